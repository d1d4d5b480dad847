"""What compression changed and how far the images can tell, in the report of a real build."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ODD = "<i>&"
"""Part of the names of classes: folders may be called so."""
QUICK = "prune: none\nlatency: {runs: 10, max_seconds: 0.1}\n"
FLAGS = ("--mean", 0.5, "--std", 0.25, "--crop-fraction", 1, "--size", 32, "--max-drop", 100, "--allow-chance")

Edgekit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def build(edgekit: Edgekit, tiny_onnx: Callable[..., Path], tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Builds the tiny network from an image folder, and gives what its report says."""
    recipe, model = tmp_path / "quick.yaml", tiny_onnx()
    recipe.write_text(QUICK)

    def made(data: Path, *more: object) -> dict[str, Any]:
        arguments = ("build", "--model", model, "--data", data, "--recipe", recipe, "--out", tmp_path / "out")
        answer = edgekit(*arguments, *FLAGS, *more, "--json")
        assert answer.returncode == 0, answer.stderr
        told: dict[str, Any] = json.loads(answer.stdout)
        return told

    return made


def int8_of(report: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in report["variants"] if each["name"] == "int8")
    return found


def test_a_build_tells_what_changed_and_how_it_spreads(
    build: Callable[..., dict[str, Any]], photos: Callable[..., Path], tmp_path: Path
) -> None:
    """Counts agree with each other and with the drop, pictures are the folder's, and the page shows them."""
    folder, more = photos(classes=4, count=60), photos("more", classes=4, count=8, seed=8)
    for letter in "abcd":
        (folder / letter).rename(folder / f"{letter}{ODD}")
    seeded = ("--calibration", more, "--calibration-images", 12, "--calibration-seeds", 2)
    report = build(folder, *seeded)

    fp32, int8 = report["variants"][0], int8_of(report)
    flips, classes, accuracy = int8["flips"], int8["classes"], report["verdict"]["accuracy"]
    assert "flips" not in fp32
    assert flips["changed"] == round(240 * (100 - int8["accuracy"]["agreement"]) / 100)
    assert flips["changed"] > 0
    drop = fp32["accuracy"]["top1"] - int8["accuracy"]["top1"]
    assert drop == pytest.approx(100 * (flips["lost"] - flips["won"]) / 240)
    assert classes["left_out"] == 0
    for key in ("lost", "won"):
        assert sum(each[key] for each in classes["shown"]) == flips[key]
    assert {each["label"] for each in classes["shown"]} <= {f"{letter}{ODD}" for letter in "abcd"}
    assert len(flips["shown"]) == min(12, flips["changed"])
    for flip in flips["shown"]:
        label, _, name = flip["image"].partition("/")
        assert flip["label"] == label
        assert flip["before"] != flip["after"]
        with Image.open(folder / label / name) as original, Image.open(picture(flip)) as small:
            assert small.size == (32, 32)
            colours = [np.asarray(each.convert("RGB"), np.float32).mean((0, 1)) for each in (original, small)]
            np.testing.assert_allclose(*colours, atol=12)
    assert accuracy["decided"] is True  # nothing can drop by more than 100 points
    if report["chosen"] == "fp32":  # so small a network may not gain by INT8, and FP32 needs no images
        assert accuracy["images_needed"] is None
    else:
        assert 1 <= accuracy["images_needed"] <= 240

    spread = report["calibration"]["spread"]
    assert (spread["seeds"], len(spread["drops"])) == (2, 2)
    assert spread["drops"][0] == pytest.approx(drop)
    assert (spread["min"], spread["max"]) == (min(spread["drops"]), max(spread["drops"]))

    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<img") == len(flips["shown"])
    assert all(flip["thumbnail"] in page for flip in flips["shown"])
    assert "Other calibration sets" in page
    text = (tmp_path / "out" / "report.md").read_text()
    for form in (page, text):
        assert ODD not in form
        assert all(escape(flip["image"]) in form for flip in flips["shown"])

    again = build(folder, *seeded)
    assert (int8_of(again)["flips"], again["calibration"]["spread"]) == (flips, spread)
    assert all(stage["cached"] for stage in again["stages"] if stage["name"] in ("validate", "quantize", "spread"))


def test_what_cannot_be_told_is_said(build: Callable[..., dict[str, Any]], photos: Callable[..., Path]) -> None:
    """Without a device there is nothing to calibrate again for, and few images cannot tell a small drop.

    A target that is not timed here: what is refused depends on accuracy alone.
    """
    report = build(photos(classes=3, count=10), "--calibration-seeds", 2, "--max-drop", 1, "--target", "jetson")
    assert "spread" not in report["calibration"]
    assert any("spread over calibration sets was not measured" in line for line in report["warnings"])
    assert any("20 images cannot tell whether the drop of int8" in line for line in report["warnings"])


def picture(flip: dict[str, Any]) -> io.BytesIO:
    return io.BytesIO(base64.b64decode(flip["thumbnail"], validate=True))
