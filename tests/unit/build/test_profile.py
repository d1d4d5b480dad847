"""The stage that times layers: of networks that run here, and what it says of those that cannot be timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.backends import DEFAULTS, Compiled, LayerTime, backend
from edgekit.build.assemble_evidence import coverage, layer_times
from edgekit.build.compile import CompiledForm
from edgekit.build.evaluate import Executed
from edgekit.build.profile import PROFILE, Profiled, ProfileInput
from edgekit.build.stage import File
from edgekit.data.calibration import CalibrationItem, CalibrationSet
from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.graphs import write_graph
from edgekit.targets import this_machine
from edgekit.validate.quantiles import LEVELS, distribution


def test_layers_are_timed_where_they_can_be(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    graph = tmp_path / "fp32.onnx"
    write_graph(tiny_onnx(), None, graph, "fp32", Preprocessing(32, 1.0), backend("openvino").graph_format(None))
    variants = []
    for name in ("openvino", "onnxruntime"):
        (tmp_path / name).mkdir()
        variants.append(_executed(name, backend(name).compile(graph, tmp_path / name, "fp32", DEFAULTS)))
    variants.append(_executed("gpu", Compiled("tensorrt", str(graph), "fp32", 0)))
    PROFILE.make(ProfileInput(tuple(variants), this_machine(), 3), tmp_path, lambda done, total, what: None)
    found = PROFILE.read(tmp_path)
    assert list(found) == ["openvino", "onnxruntime", "gpu"]
    assert found["gpu"] == Profiled(None, None, "layers are not timed with TensorRT")
    for name, operator in (("openvino", "Convolution"), ("onnxruntime", "Conv")):
        layers = found[name].layers
        assert layers is not None
        assert {each.precision for each in layers if each.operator == operator} == {"fp32"}
        assert found[name].runs == 3
    told = layer_times(found["openvino"])
    assert told is not None
    assert told.layers is not None
    assert any(each.kernel and each.operator == "Convolution" for each in told.layers)
    assert layer_times(found["gpu"]).as_dict() == {  # type: ignore[union-attr]
        "runs": None, "layers": None, "why": "layers are not timed with TensorRT",
    }  # fmt: skip


def _executed(name: str, compiled: Compiled) -> Executed:
    return Executed(name, CompiledForm(compiled, (File(Path(compiled.path), "0" * 64),)))


def test_an_operator_is_no_kernel() -> None:
    told = layer_times(Profiled(2, (LayerTime("a", "Conv", 2.0), LayerTime("b", "jit_x8s8", 1.0, "Pool", "int8"))))
    assert told is not None
    assert told.as_dict() == {
        "runs": 2,
        "layers": [
            {"name": "a", "operator": "Conv", "kernel": None, "precision": None, "microseconds": 2.0},
            {"name": "b", "operator": "Pool", "kernel": "jit_x8s8", "precision": "int8", "microseconds": 1.0},
        ],
    }
    assert layer_times(None) is None


@pytest.mark.parametrize(
    ("labels", "classes", "told"),
    [((0, 0, 2), 4, (2, 4, 0, 2)), ((0, 1), 2, (2, 2, 1, 1)), ((0, 1), None, (2, None, 1, 1)), ((None, None), 2, None)],
)
def test_classes_that_are_calibrated_with(
    labels: tuple[int | None, ...], classes: int | None, told: tuple[int | None, ...] | None
) -> None:
    items = tuple(CalibrationItem(str(place), "0" * 64, label) for place, label in enumerate(labels))
    found = coverage(CalibrationSet("here", None, "random", 0, classes, items))
    assert (found and (found.covered, found.of, found.fewest, found.most)) == told


def test_a_distribution_rises_and_holds_the_median() -> None:
    times = np.random.Generator(np.random.PCG64(0)).gamma(4.0, 2.0, 201)
    found = distribution(np.sort(times).tolist())
    assert found.percent == LEVELS
    assert list(found.ms) == sorted(found.ms)
    assert found.ms[LEVELS.index(50)] == float(np.percentile(times, 50))
    assert (found.ms[0], found.ms[-1]) == (times.min(), times.max())
