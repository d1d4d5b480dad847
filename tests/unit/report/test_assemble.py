"""The report of a build, put together from what its stages found; and builds compared by their reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from reports import full_report
from samples import SAMPLE_REPORT

from edgekit import __version__
from edgekit.cli.compare import command
from edgekit.data.calibration import choose
from edgekit.data.folder import open_images
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.source import Source
from edgekit.report import schema
from edgekit.report.assemble import Findings, assemble
from edgekit.validate.verdict import Verdict

TOLD = full_report()
SOURCE = Source("registry", "inception_v4", "signs", None, "a" * 64, "inception_v4.signs", Preprocessing())
NOTHING = Findings(
    source=SOURCE,
    facts={"height": 299, "width": 149, "classes": 24, "params": 10, "macs": None},
    target=TOLD["target"],
    environment={"openvino": "2025.3"},
    images=None,
    calibration=None,
    spread=None,
    verdict=Verdict(SAMPLE_REPORT["variants"], SAMPLE_REPORT["verdict"], "int8", ["from the verdict"]),
    pruning=None,
    tuning=None,
    stages=[{"name": "export", "seconds": 1.0, "cached": True}],
    warnings=["from a stage"],
)


def test_a_build_without_images_says_so() -> None:
    report = assemble(NOTHING)
    assert Draft202012Validator(schema()).is_valid(report.as_dict())
    assert (report.edgekit, report.task, report.model.name) == (__version__, "classify", "inception_v4")
    assert report.model.input == (1, 3, 299, 149)
    assert report.data.why is not None
    assert (report.calibration, report.pruning, report.precision_search, report.referee) == (None, None, None, None)
    assert report.warnings == ("from a stage", "from the verdict")
    assert report.environment["openvino"] == "2025.3"
    assert {"python", "system"} <= set(report.environment)


def test_everything_that_was_found_is_in_it() -> None:
    images = open_images("signs", limit=6)
    pinned = choose(images, 4, "random", 7)
    report = assemble(
        replace(
            NOTHING,
            images=images,
            calibration=pinned,
            spread=TOLD["calibration"]["spread"],
            pruning=TOLD["pruning"],
            tuning=TOLD["tuning"],
            referee=TOLD["referee"],
        )
    )
    assert (report.data.name, report.data.images, report.data.digest) == ("signs", 6, images.digest)
    assert report.calibration is not None
    assert (report.calibration.images, report.calibration.seed, report.calibration.digest) == (4, 7, pinned.digest)
    written = report.as_dict()
    assert written["calibration"]["spread"] == TOLD["calibration"]["spread"]
    assert {key: written[key] for key in ("pruning", "tuning", "referee")} == {
        key: TOLD[key] for key in ("pruning", "tuning", "referee")
    }
    assert Draft202012Validator(schema()).is_valid(written)


def test_what_no_report_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"\$\.tuning\.surprise"):
        assemble(replace(NOTHING, tuning={**TOLD["tuning"], "surprise": 1}))
    with pytest.raises(InputError, match=r"\$\.model\.params"):
        assemble(replace(NOTHING, facts={**NOTHING.facts, "params": -1}))


def compare(*arguments: str) -> tuple[int, dict[str, Any], str]:
    answer = CliRunner().invoke(command, [*arguments, "--json"], standalone_mode=False)
    assert answer.exception is None, answer.exception
    return answer.return_value, json.loads(answer.stdout), answer.stderr


def test_builds_are_compared_by_their_reports(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(SAMPLE_REPORT))
    worse = full_report()
    worse["variants"][2]["accuracy"]["top1"] = 95.1
    worse["target"]["device"] = "another CPU"
    new.write_text(json.dumps(worse))
    code, told, _ = compare(str(old), str(new), "--max-drop", "1.5", "--max-latency", "4")
    assert (code, told["ok"], told["failures"]) == (0, True, [])
    assert told["builds"][1] == {
        "build": str(new), "chosen": "int8", "top1": 95.1, "drop": 0.2, "p50": 4.0, "size_bytes": 5_000_000,
        "data": "b" * 64, "device": "another CPU",
    }  # fmt: skip
    code, told, _ = compare(str(old), str(new), "--max-drop", "1", "--max-latency", "3.5")
    assert code == 3
    assert told["failures"] == [
        f"{old}: p50 4.00 ms, the gate is 3.5",
        f"{new}: 1.10 points below the first, the gate is 1",
        f"{new}: p50 4.00 ms, the gate is 3.5",
    ]
    answer = CliRunner().invoke(command, [str(old), str(new)], standalone_mode=False)
    assert "measured on different machines" in answer.stderr
    assert "different images" not in answer.stderr
    assert "1.00x" in answer.stdout


def test_what_was_not_measured_fails_a_gate(tmp_path: Path) -> None:
    report = full_report()
    nothing = dict.fromkeys(("p50", "p90", "p99", "mean", "ci95", "throughput_ips", "runs", "warmup"))
    report["variants"][2]["latency"] = {**nothing, "why": "no device"}
    report["variants"][2]["accuracy"] |= {"top1": None, "why": "no labels"}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    code, told, _ = compare(str(path), str(path), "--max-drop", "1", "--max-latency", "3.5")
    assert code == 3
    assert [text.partition(": ")[2] for text in told["failures"]] == [
        "latency was not measured",
        "accuracy was not measured",
        "latency was not measured",
    ]
