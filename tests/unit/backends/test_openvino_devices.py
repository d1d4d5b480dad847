"""OpenVINO's GPU and NPU: one table for builds and devices, refused where they are not, and never computed otherwise.

There is neither here. What stands for them is another of OpenVINO's plugins, AUTO over the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends import BACKENDS, DEFAULTS, Compiled, backend, openvino_plugin
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import UnavailableError
from edgekit.quantize.graphs import write_graph
from edgekit.runtime import openvino_plugins as plugins
from edgekit.runtime.openvino_core import core
from edgekit.targets import TARGETS, find, this_machine

DEVICES = ("openvino-gpu", "openvino-npu")
PICTURES = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def graph(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Callable[[str], Path]:
    """A small real graph that takes pixels, in a floating-point precision."""

    def make(precision: str) -> Path:
        path = tmp_path / f"{precision}.onnx"
        write_graph(tiny_onnx(), None, path, precision, Preprocessing(32, 1.0), backend("openvino").graph_format(None))
        return path

    return make


@pytest.fixture
def standing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets another real plugin of OpenVINO's stand for GPU and NPU."""
    for name in ("GPU", "NPU"):
        monkeypatch.setitem(plugins.PLUGINS, name, plugins.PLUGINS[name]._replace(device="AUTO:CPU"))
    monkeypatch.setattr(plugins, "visible", lambda: ("CPU", "GPU.0", "GPU.1", "NPU"))


def compiled(name: str, precision: str, graph: Callable[[str], Path], folder: Path) -> Compiled:
    into = folder / f"{name}-{precision}"
    into.mkdir()
    return backend(name).compile(graph(precision), into, precision, DEFAULTS)


def logits(network: Compiled) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with backend(network.backend).load(network, "throughput") as session:
        many = session.infer_many(PICTURES)
        np.testing.assert_allclose(np.concatenate([session.infer(each[None]) for each in PICTURES]), many, atol=1e-5)
    return many


def test_backends_and_targets_go_by_the_table_of_plugins() -> None:
    assert set(openvino_plugin.PLUGIN_OF.values()) == set(plugins.PLUGINS)
    for name, plugin in openvino_plugin.PLUGIN_OF.items():
        assert name in BACKENDS
        assert set(backend(name).PRECISIONS) <= set(plugins.PLUGINS[plugin].hints)
    for target in TARGETS.values():
        if target.can.plugin:
            assert openvino_plugin.PLUGIN_OF[target.backends[target.runtime]] == target.can.plugin
            own = backend(target.backends[target.runtime])
            assert set(target.precisions) <= set(own.PRECISIONS)
            assert (target.baseline_backend is None) is ("fp32" in own.PRECISIONS)
            assert any("not yet run on hardware" in note for note in target.notes)
            assert "not yet run on hardware" in target.description


@pytest.mark.parametrize(("target", "package"), [("igpu", "intel-opencl-icd"), ("npu", "intel-level-zero-npu")])
def test_a_device_that_is_not_here_is_refused_with_what_it_takes(target: str, package: str) -> None:
    plugin = find(target).can.plugin
    if plugins.lacking(plugin) is None:
        pytest.skip(f"there is an {plugin} here")
    with pytest.raises(UnavailableError, match=f"--target {target} cannot run here: OpenVINO sees no {plugin}") as told:
        openvino_plugin.require(plugin, target)
    assert "CPU" in told.value.what
    assert package in told.value.hint


@pytest.mark.parametrize("name", DEVICES)
def test_nothing_is_loaded_for_a_device_that_is_not_here(
    name: str, graph: Callable[[str], Path], tmp_path: Path
) -> None:
    if plugins.lacking(openvino_plugin.PLUGIN_OF[name]) is None:
        pytest.skip("there is one")
    made = compiled(name, "fp16", graph, tmp_path)  # which takes no device
    assert made.backend == name
    for use in (lambda: backend(name).load(made).__enter__(), lambda: backend(name).profile(made, 1)):
        with pytest.raises(UnavailableError, match="OpenVINO sees no"):
            use()


@pytest.mark.usefixtures("standing_in")
@pytest.mark.parametrize(("name", "precision"), [(DEVICES[0], "fp32"), (DEVICES[0], "fp16"), (DEVICES[1], "fp16")])
def test_a_network_runs_on_the_plugin_of_its_backend(
    name: str, precision: str, graph: Callable[[str], Path], tmp_path: Path
) -> None:
    wanted = logits(compiled("openvino", "fp32", graph, tmp_path))
    made = compiled(name, precision, graph, tmp_path)
    np.testing.assert_allclose(logits(made), wanted, atol=2e-2)
    inside = openvino_plugin._compiled(made, plugins.asked(*openvino_plugin._how(made), "latency"))
    assert inside.get_property("MULTI_DEVICE_PRIORITIES") == "CPU"  # which only AUTO's own networks know
    layers = backend(name).profile(made, 3)
    assert sum("onv" in layer.name or "c1" in layer.name or "r1" in layer.name for layer in layers) >= 1


@pytest.mark.usefixtures("standing_in")
def test_an_npu_computes_no_fp32_and_nothing_else_is_computed_in_its_name(
    graph: Callable[[str], Path], tmp_path: Path
) -> None:
    baseline = compiled("openvino-npu", "fp32", graph, tmp_path)
    assert baseline.backend == find("npu").baseline_backend == "openvino"
    assert logits(baseline).shape == (5, 4)
    with pytest.raises(UnavailableError, match=r"OpenVINO's NPU computes no fp32"):
        backend("openvino-npu").load(replace(baseline, backend="openvino-npu")).__enter__()
    with pytest.raises(UnavailableError, match=r"OpenVINO's GPU computes no bf16"):
        backend("openvino-gpu").load(replace(baseline, backend="openvino-gpu", precision="bf16")).__enter__()


@pytest.mark.usefixtures("standing_in")
def test_what_a_network_is_compiled_with() -> None:
    assert plugins.asked("GPU", "int8", "latency", threads=3) == {
        "ALLOW_AUTO_BATCHING": "NO",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f16",
    }
    assert plugins.asked("GPU", "fp32")["INFERENCE_PRECISION_HINT"] == "f32"
    assert plugins.asked("NPU", "int8", "throughput") == {"PERFORMANCE_HINT": "THROUGHPUT"}
    assert plugins.asked("CPU", "int8", "latency", threads=3)["INFERENCE_NUM_THREADS"] == "3"


def test_the_device_and_its_driver_are_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = this_machine()
    assert backend("openvino").identity(machine).hardware == ()
    if plugins.lacking("GPU") is not None:
        assert backend("openvino-gpu").identity(machine).hardware == ("no GPU",)
    monkeypatch.setattr(plugins, "visible", lambda: ("CPU", "GPU"))
    told = {"SUPPORTED_PROPERTIES": {"GPU_DRIVER_VERSION": "RO"}, "FULL_DEVICE_NAME": "Iris", "GPU_DRIVER_VERSION": 7}
    monkeypatch.setattr(plugins, "_property", lambda device, name: told[name])
    assert backend("openvino-gpu").identity(machine).hardware == ("Iris", "driver 7")


def test_openvino_tells_of_the_processor_what_it_is() -> None:
    first = plugins.all_seen()[0]
    assert first.device == "CPU"
    assert first.name != "CPU"
    assert first.driver is None


def test_an_error_of_openvinos_is_told_without_its_places() -> None:
    with pytest.raises(RuntimeError) as raised:
        core().get_property("HETERO:CPU", "FULL_DEVICE_NAME")
    assert plugins.said(raised.value).startswith("You can only get_property")
    assert plugins.said(RuntimeError("Exception from a.cpp:1:")) == "Exception from a.cpp:1:"
