"""The headline command, from the embedded default to a bundle that an app can load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import SHARED_DATA

from edgekit.bundle.directory import check_bundle, read_manifest
from edgekit.data.signs import draw, label_of
from edgekit.report import validate
from edgekit.runtime import Bundle, BundleError

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
FILES = {
    *(
        "report.json",
        "report.md",
        "report.html",
        "recipe.yaml",
        "recipe.lock.yaml",
        "model.onnx",
        "model.xml",
        "model.bin",
    ),
    *("calibration.json", "golden.npz", "answers.npz", "edgekit_runtime.pyz"),
}


def variant(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in report["variants"] if each["name"] == name)
    return found


def test_the_bundle_holds_what_the_contract_says(headline: Any) -> None:
    assert check_bundle(headline.directory) == []
    manifest = read_manifest(headline.directory)
    assert set(manifest.files) == FILES
    assert manifest.as_json()["input"] == {
        "name": "image", "dtype": "uint8", "shape": [1, 299, 299, 3], "layout": "NHWC", "color": "RGB",
    }  # fmt: skip
    assert len(manifest.labels) == 24
    assert json.loads((headline.directory / "report.json").read_text()) == headline.report


def test_the_report_is_measured_and_within_budget(headline: Any) -> None:
    report = headline.report
    validate(report)
    assert report["chosen"] == "int8"
    assert report["verdict"]["ok"] is True
    assert 90 <= variant(report, "fp32")["accuracy"]["top1"] <= 99.5
    assert report["verdict"]["accuracy"]["drop"] <= 1.0
    assert report["data"]["images"] == 240
    assert report["calibration"]["images"] == 300
    assert [stage["name"] for stage in report["stages"]] == [
        *("export", "calibrate", "prepare", "referee", "quantize", "compile", "validate", "measure"),
        *("arithmetic", "kernels", "profile"),
    ]
    for each in report["variants"]:
        assert each["latency"]["p50"] > 0
        assert each["latency"]["runs"] >= 30
    assert variant(report, "int8")["size_bytes"] < variant(report, "fp32")["size_bytes"]
    assert variant(report, "torch-eager")["runtime"] == "torch"


def test_what_is_chosen_is_what_was_measured(measured: Any) -> None:
    """INT8 was asked for: it stays if it is within the budget and faster than FP32 and BF16 beyond doubt."""
    report = measured.report
    int8, lows = variant(report, "int8"), {}
    for each in report["variants"]:
        lows[each["name"]] = {ratio["base"]: ratio["ci95"][0] for ratio in each.get("ratios", ())}
    assert "fp32" in lows["int8"]
    assert (report["chosen"] == "int8") == all(low > 1 for low in lows["int8"].values())
    assert all(low > 1 for low in lows[report["chosen"]].values())
    if report["chosen"] != "int8":
        assert lows["int8"][int8["beaten_by"]] <= 1
        assert f"not faster than {int8['beaten_by'].upper()}" in int8["reason"]
        assert any("int8 was taken back" in line for line in report["warnings"])


def test_an_app_classifies_raw_pixels(headline: Any) -> None:
    with Bundle.open(headline.directory) as bundle:
        pictures = np.stack([draw("validation", index, bundle.size[0]) for index in range(2_400, 2_448)])
        answers = bundle.classify(pictures, top=1)
        labels = [bundle.labels[label_of(index)] for index in range(2_400, 2_448)]
        right = sum(answer[0][0] == label for answer, label in zip(answers, labels, strict=True))
        assert right >= 42
        assert all(0 < answer[0][1] <= 1 for answer in answers)
        with pytest.raises(BundleError, match="uint8"):
            bundle.logits(pictures.astype(np.float32))


@pytest.mark.parametrize("name", ["model.bin", "golden.npz", "manifest.json"])
def test_a_damaged_bundle_is_not_loaded(headline: Any, tmp_path: Path, name: str) -> None:
    import shutil

    copy = shutil.copytree(headline.directory, tmp_path / "copy")
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(BundleError):
        Bundle.open(copy)


def test_golden_outputs_are_compared(headline: Any, tmp_path: Path) -> None:
    """A bundle whose hashes are right but whose outputs are not is refused."""
    import hashlib
    import shutil

    copy = shutil.copytree(headline.directory, tmp_path / "copy")
    with np.load(copy / "golden.npz") as kept:
        np.savez(copy / "golden.npz", inputs=kept["inputs"], logits=-kept["logits"])
    manifest = json.loads((copy / "manifest.json").read_text())
    digest = hashlib.sha256((copy / "golden.npz").read_bytes()).hexdigest()
    manifest["files"]["golden.npz"]["sha256"] = digest
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="golden"):
        Bundle.open(copy)


AGAIN = """
import json, sys
from edgekit.cli import main
try:
    main(json.loads(sys.argv[1]))
except SystemExit as left:
    code = left.code
heavy = sorted({"torch", "openvino", "nncf", "onnx"} & set(sys.modules))
print(json.dumps({"code": code, "heavy": heavy}), file=sys.stderr)
"""


@pytest.mark.parametrize("more", [[], ["--max-drop", "0.7"], ["--latency-budget", "1000"]])
def test_again_every_stage_is_cached_and_nothing_heavy_is_loaded(
    measured: Any, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(measured.store))
    arguments = [*measured.arguments, *more, "--json", "-q"]
    command = [sys.executable, "-c", AGAIN, json.dumps(arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    report = json.loads(answer.stdout)
    assert all(stage["cached"] for stage in report["stages"])
    assert json.loads(answer.stderr.splitlines()[-1]) == {"code": 0, "heavy": []}


def test_a_budget_that_is_not_met_exits_3_and_still_writes(
    measured: Any, edgekit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(measured.store))
    arguments = [*measured.arguments[:-1], tmp_path / "out", "--latency-budget", "0.001"]
    answer = edgekit(*arguments)
    assert answer.returncode == 3, answer.stderr
    assert "budget was not met" in answer.stderr
    assert check_bundle(tmp_path / "out") == []


def test_the_recipe_in_the_bundle_builds_the_same_graph(
    measured: Any, edgekit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(measured.store))
    answer = edgekit("build", "--recipe", measured.directory / "recipe.yaml", "--out", tmp_path / "again")
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (measured.directory / "model.onnx").read_bytes()


def test_inspect_report_compare_and_evaluate_take_the_bundle(headline: Any, edgekit: Any) -> None:
    told = json.loads(edgekit("inspect", headline.directory, "--json").stdout)
    assert told["ok"]
    assert told["manifest"]["precision"] == "int8"
    assert "INT8" in edgekit("report", headline.directory).stdout
    compared = edgekit("compare", headline.directory, headline.directory, "--max-drop", 0.1, "--json")
    assert compared.returncode == 0
    assert edgekit("compare", headline.directory, "--max-latency", 0.001).returncode == 3
    evaluated = json.loads(edgekit("evaluate", headline.directory, "--images", 240, "--json").stdout)
    assert evaluated["accuracy"]["top1"] == variant(headline.report, "int8")["accuracy"]["top1"]
    assert evaluated["throughput_ips"] > 0


def test_two_builds_are_compared_image_by_image(measured: Any, headline: Any, edgekit: Any) -> None:
    answer = edgekit("compare", measured.directory, headline.directory, "--max-drop", 50, "--json")
    assert answer.returncode == 0, answer.stderr
    told = json.loads(answer.stdout)["builds"]
    assert told[1]["below_first"]["paired"]["images"] == 240
    assert told[1]["below_first"]["drop"] == pytest.approx(told[0]["top1"] - told[1]["top1"])
    assert told[1]["fp32_below_first"]["paired"]["lost"] == 0


def test_a_real_browser_opens_the_report_offline(headline: Any, tmp_path: Path) -> None:
    import shutil

    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("there is no browser here")
    page, shot = headline.directory / "report.html", tmp_path / "shot.png"
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
    )  # fmt: skip

    def run(*more: str) -> str:
        command = [browser, *flags, *more, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    drawn = run("--dump-dom")
    assert "<svg" in drawn
    assert drawn.count('class="dot"') >= 3
    assert drawn.count('class="drawn') == 3
    assert "INT8 is" in drawn
    run(f"--screenshot={shot}", "--window-size=1200,1600")
    from PIL import Image

    colours = np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3)
    assert len(np.unique(colours, axis=0)) > 200  # a drawn page, not a blank one or an error


def test_the_shared_data_is_nowhere_in_the_project() -> None:
    """Not by name, and not by content."""
    root = Path(__file__).resolve().parents[2]
    theirs = [path for path in (SHARED_DATA / "imagenet_sample").rglob("*") if path.is_file()]
    if not theirs:
        pytest.skip("the labelled photos are not here")
    told = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    ours = [root / name for name in told.split("\0") if name and (root / name).is_file()]
    assert Path(__file__).resolve() in ours
    assert not {path.name for path in theirs} & {path.name for path in ours}
    sizes = {path.stat().st_size for path in theirs}
    alike = {path.read_bytes() for path in ours if path.stat().st_size in sizes}
    assert not any(path.read_bytes() in alike for path in theirs)
