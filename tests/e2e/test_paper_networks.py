"""The residual networks of the paper, shipped with weights: each built, and judged together with Inception-v4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command import json_of, with_int8

from edgekit.bundle.directory import check_bundle
from edgekit.report import validate


@pytest.mark.parametrize("model", ["inception_resnet_v1", pytest.param("inception_resnet_v2", marks=pytest.mark.slow)])
def test_a_residual_network_goes_the_whole_way(headline: Any, tmp_path: Path, model: str) -> None:
    recipe, out = tmp_path / "quick.yaml", tmp_path / "out"
    # 240 pictures cannot tell a point: what is tested is that INT8 is built and judged, and that a bundle of it works.
    latency, calibration = "latency: {runs: 30, max_seconds: 0.1}", "calibration: {images: 100}"
    recipe.write_text(f"prune: none\n{latency}\n{calibration}\nimages: 240\nmax_drop: 4.0\n")
    arguments = ("build", "--model", model, "--target", "cpu", "--recipe", str(recipe), "--out", str(out))
    report = json_of(headline.store, *arguments)
    if report["chosen"] != "int8":  # where both cores are busy, an interval of its ratio may hold 1
        assert next(each for each in report["variants"] if each["name"] == "int8")["beaten_by"] in ("bf16", "fp32")
        bundle, out = out, tmp_path / "int8"
        report = with_int8(headline.store, bundle, out)
    report.pop("bundle")
    validate(report)
    assert check_bundle(out) == []
    assert (report["model"]["name"], report["model"]["tag"], report["chosen"]) == (model, "signs", "int8")
    variants = {each["name"]: each for each in report["variants"]}
    assert variants["fp32"]["accuracy"]["top1"] >= 91
    assert report["verdict"]["ok"] is True
    assert variants["int8"]["size_bytes"] < variants["fp32"]["size_bytes"]
    told = json_of(headline.store, "evaluate", str(out), "--images", "120")
    assert told["precision"] == "int8"
    assert told["accuracy"]["top1"] >= 88


def test_the_papers_ensemble_and_crops_run_on_a_compiled_bundle(headline: Any) -> None:
    told = json_of(
        headline.store,
        *("evaluate", str(headline.directory), "--ensemble", "inception_resnet_v1,inception_resnet_v2"),
        *("--crops", "12", "--images", "48"),
    )
    assert [each["precision"] for each in told["members"]] == ["int8", "fp32", "fp32"]
    assert told["crops"] == 12
    assert told["accuracy"]["top1"] >= max(each["accuracy"]["top1"] for each in told["members"]) - 5
    assert told["ensemble_gain"]["ci95"][0] <= told["ensemble_gain"]["points"] <= told["ensemble_gain"]["ci95"][1]
