"""What is recorded of a build, read from its bundle."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import pytest
from reports import full_report
from samples import SAMPLE_REPORT
from tracked_bundles import reported

from edgekit.errors import InputError
from edgekit.track.record import record_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    return reported(folder / "bundle", target="cpu", data="photos", sbom=True, tensorrt={"workspace_mb": 64})


def test_a_record_has_all_that_there_is(bundle: Path) -> None:
    record = record_of(bundle)
    assert record.experiment == "inception_v4-cpu"
    assert record.name == "int8 2026-01-02T03:04"
    assert record.note.startswith("inception_v4.signs on cpu: INT8 is 3.0x faster than FP32")
    assert record.ended_s == 1767323045
    asked = {"model", "target", "data", "sbom", "calibration.images", "tensorrt.workspace_mb", "versions.x"}
    assert asked <= record.params.keys()
    assert record.params["sbom"] == "true"
    assert record.params["tensorrt.workspace_mb"] == "64"
    assert "weights" not in record.params  # it was not told
    assert record.tags["edgekit.verdict"] == "Within budget"
    assert record.tags["edgekit.weights_sha256"] == "a" * 64
    digest = hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()
    assert record.tags["edgekit.bundle_sha256"] == digest


def test_numbers_of_the_verdict_and_of_variants(bundle: Path) -> None:
    numbers = record_of(bundle).metrics
    wanted = {
        "top1": 96.2, "drop_points": 0.2, "drop_points_low": -0.1, "drop_points_high": 0.5, "p_value": 0.4,
        "speedup_vs_fp32": 3.0, "speedup_vs_fp32_low": 2.9, "p50_ms": 4.0, "size_bytes": 5e6, "within_budget": 1.0,
        "int8/top1": 96.2, "int8/top1_low": 95.2, "fp32/p50_ms": 12.0, "bf16/p99_ms": 6.0 * 1.3, "fp32/kept": 0.0,
    }  # fmt: skip
    assert {name: numbers.get(name) for name in wanted} == pytest.approx(wanted)
    assert all(isinstance(value, float) for value in numbers.values())


def test_what_was_not_measured_is_not_there(tmp_path: Path) -> None:
    report = copy.deepcopy(SAMPLE_REPORT)
    for variant in report["variants"]:
        unmeasured(variant["accuracy"], "no labels", "top1", "top5", "agreement", "ci95")
        unmeasured(variant["latency"], "no device", "p50", "p90", "p99", "mean", "ci95", "throughput_ips")
    unmeasured(report["verdict"]["accuracy"], "no labels", "drop", "ci95", "p_value", "ok")
    unmeasured(report["verdict"]["latency"], "no device", "speedup_vs_fp32", "ci95", "p50")
    record = record_of(reported(tmp_path / "bundle", report))
    left = {name for name in record.metrics if name.startswith("int8/")}
    assert left == {f"int8/{name}" for name in ("images", "size_bytes", "params", "macs", "kept")}
    assert not {"top1", "drop_points", "p50_ms"} & record.metrics.keys()
    assert record.tags["edgekit.why_no_accuracy"] == "no labels"
    assert record.tags["edgekit.why_no_latency"] == "no device"


def unmeasured(part: dict[str, Any], why: str, *keys: str) -> None:
    part.update(dict.fromkeys(keys), why=why)


def test_a_report_with_every_part(tmp_path: Path) -> None:
    record = record_of(reported(tmp_path / "bundle", full_report()))
    chosen = full_report()["chosen"]
    assert f"{chosen}/ratio_to_fp32" in record.metrics
    assert record.tags["edgekit.processor"] == "a CPU"
    assert record.tags["edgekit.decided"] == "true"


def test_files_that_tell_of_a_build_or_all(bundle: Path) -> None:
    told = {path.name for path in record_of(bundle).files}
    assert told == {"manifest.json", "recipe.yaml", "report.html", "report.json", "report.md"}
    assert {path.name for path in record_of(bundle, whole=True).files} == {path.name for path in bundle.iterdir()}


def test_what_is_no_whole_bundle(bundle: Path, tmp_path: Path) -> None:
    from bundles import make_bundle

    with pytest.raises(InputError, match="no report"):
        record_of(make_bundle(tmp_path / "without"))
    broken = reported(tmp_path / "broken")
    (broken / "golden.npz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"damaged: golden\.npz"):
        record_of(broken)
    with pytest.raises(InputError, match=r"manifest\.json"):
        record_of(tmp_path)
