"""`--target igpu` and `npu`, and bundles for them, on a machine with neither; and a whole build where one stands in."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from bundles import make_bundle, rewrite
from command import json_of
from command import run_edgekit as edgekit
from cpp_library import Programs
from PIL import Image

from edgekit.runtime.openvino_plugins import lacking

STANDS_IN = """
from edgekit.runtime import openvino_plugins as plugins
for name in ("GPU", "NPU"):
    plugins.PLUGINS[name] = plugins.PLUGINS[name]._replace(device="AUTO:CPU")
plugins.visible = lambda: ("CPU", "GPU", "NPU")
"""
"""For every process of a build: AUTO over the processor, another real plugin, in the place of a device."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle for a GPU, and a picture beside it."""
    if lacking("GPU") is None:
        pytest.skip("there is a GPU here")
    made = make_bundle(tmp_path / "bundle")
    rewrite(made, lambda manifest: manifest["target"].update(plugin="GPU"))
    Image.new("RGB", (40, 40), (90, 120, 30)).save(tmp_path / "picture.png")
    return made


@pytest.mark.parametrize(("target", "plugin"), [("igpu", "GPU"), ("npu", "NPU")])
def test_a_build_for_a_device_that_is_not_here_ends_at_once(target: str, plugin: str, tmp_path: Path) -> None:
    if lacking(plugin) is None:
        pytest.skip("it is here")
    done = edgekit("build", "--model", "inception_v4", "--target", target, "--out", tmp_path / "out")
    assert done.returncode == 4
    line = rf"edgekit: error: --target {target} cannot run here: OpenVINO sees no {plugin} here, only CPU\. It takes .*"
    assert re.fullmatch(line, done.stderr.strip())
    assert not (tmp_path / "out").exists()


def test_doctor_and_targets_tell_of_the_devices() -> None:
    told = edgekit("doctor").stdout
    assert re.search(r"OpenVINO's devices +CPU \(.+\)", told)
    if lacking("NPU") is not None:
        assert re.search(r"npu +no +int8 fp16 +OpenVINO sees no NPU here", told)
    table = edgekit("targets").stdout
    assert len(re.findall(r"^(?:igpu|npu) +openvino .*not yet run on hardware", table, re.MULTILINE)) == 2
    assert "openvino: openvino-npu" in edgekit("targets", "npu").stdout


def test_verbs_tell_that_the_processor_runs_it(bundle: Path) -> None:
    for verb in ("run", "verify"):
        pictures = [bundle.parent / "picture.png"] if verb == "run" else []
        done = edgekit(verb, bundle, *pictures)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("edgekit: warning: the bundle was built and measured for an Intel GPU") == 1
    done = edgekit("bench", bundle, "--runs", "30", "--max-seconds", "0.3")
    assert done.returncode == 0, done.stderr
    assert "edgekit: warning: built for an Intel GPU, and run on the processor: OpenVINO sees no GPU" in done.stderr


def test_cpp_warns_and_runs_it_on_the_processor(programs: Programs, bundle: Path) -> None:
    done = programs.run(bundle, bundle.parent / "picture.png")
    assert done.returncode == 0, done.stderr
    words = "the bundle was built and measured for an Intel GPU, and runs on the processor: OpenVINO sees no GPU here"
    assert done.stderr.startswith(f"edgekit: warning: {words}, only CPU")
    of_processor = bundle.with_name("other")
    shutil.copytree(bundle, of_processor)
    rewrite(of_processor, lambda manifest: manifest["target"].pop("plugin"))
    other = programs.run(of_processor, bundle.parent / "picture.png")
    assert (other.stdout, other.stderr) == (done.stdout, "")


@pytest.mark.parametrize("plugin", ['"XPU"', "5"])
def test_cpp_refuses_a_plugin_that_there_is_not(programs: Programs, bundle: Path, plugin: str) -> None:
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"plugin": "GPU"', f'"plugin": {plugin}'))
    done = programs.run(bundle, bundle.parent / "picture.png")
    assert done.returncode == 2
    assert "the manifest of" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("target", "plugin"), [("igpu", "GPU"), ("npu", "NPU")])
def test_a_whole_build_where_another_plugin_stands_in(
    target: str, plugin: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(STANDS_IN)
    package = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(package)]))
    recipe = tmp_path / "quick.yaml"
    recipe.write_text("prune: none\nimages: 60\nlatency: {runs: 30, max_seconds: 0.1}\n")
    report = json_of(
        tmp_path / "store", "build", "--model", "inception_v4", "--target", target, "--recipe", str(recipe),
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    compared = {each["name"] for each in report["variants"]} - {"torch-eager"}
    assert compared == {"fp32", "fp16", "int8"}
    manifest = json_of(tmp_path / "store", "inspect", str(tmp_path / "out"))["manifest"]
    chosen = next(each for each in report["variants"] if each["kind"] == "chosen")
    of_processor = target == "npu" and chosen["precision"] == "fp32"
    assert manifest["target"].get("plugin") == (None if of_processor else plugin)
