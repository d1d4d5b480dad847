"""A bundle for one of OpenVINO's other devices: run there, or on the processor with a warning that is shown."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle, rewrite

from edgekit.runtime import (
    Bundle,
    BundleError,
    DeviceWarning,
    MissingError,
    agent,
    openvino_network,
    openvino_plugins,
)
from edgekit.runtime.engines import load
from edgekit.runtime.openvino_plugins import PLUGINS, asked
from edgekit.runtime.settings import Settings, engine_settings

GREY = np.full((1, 32, 32, 3), 128, np.uint8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it")


@pytest.fixture
def for_gpu(whole: Path, tmp_path: Path) -> Path:
    """A bundle that says that it was built for a GPU."""
    return told_of(whole, tmp_path, "GPU")


@pytest.fixture
def standing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets AUTO over the processor, another real plugin, stand for a GPU."""
    monkeypatch.setitem(PLUGINS, "GPU", PLUGINS["GPU"]._replace(device="AUTO:CPU"))
    monkeypatch.setattr(openvino_plugins, "visible", lambda: ("CPU", "GPU"))


def told_of(whole: Path, folder: Path, plugin: Any) -> Path:
    copy = folder / "bundle"
    shutil.copytree(whole, copy)
    rewrite(copy, lambda manifest: manifest["target"].update(plugin=plugin))
    return copy


def without(plugin: str) -> None:
    if openvino_plugins.lacking(plugin) is None:
        pytest.skip(f"there is an {plugin} here")


def test_a_bundle_of_the_processor_warns_of_nothing(whole: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeviceWarning)
        with Bundle.open(whole) as bundle:
            assert (bundle.plugin, bundle.warnings) == ("CPU", [])


@pytest.mark.parametrize("plugin", ["GPU", "NPU"])
def test_without_its_device_it_runs_on_the_processor_and_says_so(whole: Path, tmp_path: Path, plugin: str) -> None:
    without(plugin)
    copy = told_of(whole, tmp_path, plugin)
    rewrite(copy, lambda manifest: manifest.update(precision="fp16"))  # which the processor computes in FP32
    words = f"built and measured for an Intel {plugin}, and runs on the processor: OpenVINO sees no {plugin} here"
    with pytest.warns(DeviceWarning, match=words):
        opened = Bundle.open(copy)
    with opened as bundle:
        assert bundle.plugin == "CPU"
        assert [words in each for each in bundle.warnings] == [True]
        with Bundle.open(whole) as other:
            np.testing.assert_array_equal(bundle.logits(GREY), other.logits(GREY))


def test_another_runtime_is_said_too(for_gpu: Path) -> None:
    with pytest.warns(DeviceWarning, match="runs on the processor: it is run with onnxruntime"):
        Bundle.open(for_gpu, runtime="onnxruntime").close()


@pytest.mark.parametrize("verb", ["classify", "verify"])
def test_commands_show_it_in_a_line(for_gpu: Path, verb: str) -> None:
    without("GPU")
    image = for_gpu.parent / "grey.png"
    from PIL import Image

    Image.fromarray(GREY[0]).save(image)
    command = [sys.executable, str(for_gpu / "edgekit_runtime.pyz"), verb, str(for_gpu)]
    done = subprocess.run(
        [*command, *([str(image)] if verb == "classify" else [])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("edgekit: warning: the bundle was built and measured for an Intel GPU") == 1
    assert "DeviceWarning" not in done.stderr


def test_nothing_else_falls_back() -> None:
    """A host that asks a device for its GPU has no use for the processor's figures."""
    without("GPU")
    with pytest.raises(MissingError, match=r"OpenVINO sees no GPU here.*intel-opencl-icd"):
        load("openvino", "/nowhere", "int8", Settings(plugin="GPU"))
    with pytest.raises(BundleError, match=r"OpenVINO's NPU computes no fp32"):
        load("openvino", "/nowhere", "fp32", Settings(plugin="NPU"))


def test_a_device_does_not_judge_it_on_its_processor_unasked(for_gpu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without("GPU")
    monkeypatch.setattr(agent, "Inbox", lambda source: None)  # its own ends the process with the host
    answers: list[Any] = []
    with pytest.raises(MissingError, match="OpenVINO sees no GPU"), pytest.warns(DeviceWarning):
        agent._check({"folder": str(for_gpu)}, io.BytesIO(b""), answers.append)
    with pytest.warns(DeviceWarning, match="it is run with onnxruntime"):
        agent._check({"folder": str(for_gpu), "runtime": "onnxruntime"}, io.BytesIO(b""), answers.append)
    assert len(answers) == 1


@pytest.mark.parametrize("plugin", ["XPU", "AUTO:CPU", "GPU.1", 5, ["GPU"], "", True])
def test_a_plugin_that_there_is_not_is_refused(whole: Path, tmp_path: Path, plugin: Any) -> None:
    with pytest.raises(BundleError, match=r"the manifest of .* is wrong: plugin is .*, known are CPU, GPU, NPU"):
        Bundle.open(told_of(whole, tmp_path, plugin))
    with pytest.raises(ValueError, match="plugin is"):
        engine_settings({"plugin": plugin})


def test_a_host_tells_a_device_which_it_is() -> None:
    assert engine_settings({"plugin": "NPU"}) == Settings(plugin="NPU")
    assert engine_settings({"plugin": None}) == engine_settings({}) == Settings(plugin="CPU")


@pytest.mark.usefixtures("standing_in")
def test_with_its_device_it_runs_there_and_is_kept_compiled(whole: Path, for_gpu: Path, own_store: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeviceWarning)
        with Bundle.open(for_gpu) as bundle, Bundle.open(whole) as other:
            assert (bundle.plugin, bundle.warnings) == ("GPU", [])
            np.testing.assert_allclose(bundle.logits(GREY), other.logits(GREY), atol=2e-2)
    assert list((own_store / "engines" / "openvino").iterdir())
    path, wanted = str(for_gpu / "model.xml"), asked("GPU", "fp32", "latency")
    made = openvino_network._on_device(path, PLUGINS["GPU"], wanted, keeps=False)
    assert made.get_property("MULTI_DEVICE_PRIORITIES") == "CPU"  # which only AUTO's own networks know


@pytest.mark.usefixtures("standing_in")
def test_the_oldest_of_what_is_kept_goes(for_gpu: Path, own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_store / "engines" / "openvino"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"{number}.blob").write_bytes(b"old")
    Bundle.open(for_gpu).close()
    assert len(list(folder.glob("*.blob"))) <= openvino_network.KEPT_NETWORKS
