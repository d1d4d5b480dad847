"""Operators taken apart for older opsets compute what they did."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import InputError
from edgekit.models.onnx_graph import opset_of, to_proto
from edgekit.models.opset import lower
from edgekit.quantize.half import to_half

SHAPE = (1, 8, 5, 6)


def model_of(kind: str, more: list[NDArray[Any]], domain: str, opset: int, attributes: dict[str, Any]) -> ir.Model:
    names = [f"w{place}" for place in range(len(more))]
    node = helper.make_node(kind, ["x", *names], ["y"], name="it", domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        [numpy_helper.from_array(array, name) for array, name in zip(more, names, strict=True)],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made: ir.Model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    return made


def run(model: ir.Model) -> NDArray[Any]:
    x = np.random.Generator(np.random.PCG64(3)).normal(0, 3, SHAPE).astype(np.float32)
    session = onnxruntime.InferenceSession(to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


def floats(*shape: int) -> NDArray[np.float32]:
    return np.random.Generator(np.random.PCG64(len(shape))).normal(1, 0.5, shape).astype(np.float32)


OPERATORS: dict[str, tuple[str, list[NDArray[Any]], int, dict[str, Any]]] = {
    "hard swish": ("HardSwish", [], 20, {}),
    "gelu by erf": ("Gelu", [], 20, {}),
    "gelu by tanh": ("Gelu", [], 20, {"approximate": "tanh"}),
    "mish": ("Mish", [], 20, {}),
    "hard sigmoid": ("HardSigmoid", [], 20, {"alpha": 0.3, "beta": 0.4}),
    "layer norm of the last": ("LayerNormalization", [floats(6), floats(6)], 20, {"axis": -1, "epsilon": 1e-3}),
    "layer norm of three": ("LayerNormalization", [floats(8, 5, 6)], 20, {"axis": 1}),
    "group norm": ("GroupNormalization", [floats(8), floats(8)], 21, {"num_groups": 4, "epsilon": 1e-3}),
    "group norm of groups": ("GroupNormalization", [floats(4), floats(4)], 18, {"num_groups": 4}),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("opset", [13, 17])
def test_a_newer_operator_is_written_in_older_ones(name: str, opset: int) -> None:
    kind, more, since, attributes = OPERATORS[name]
    model = model_of(kind, more, "", since, attributes)
    made = lower(model, opset)
    assert opset_of(made) == opset
    onnx.checker.check_model(to_proto(made), full_check=True)
    np.testing.assert_allclose(run(made), run(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", [each for each in OPERATORS if "of groups" not in each])
def test_its_parts_are_fp16_where_the_graph_is(name: str) -> None:
    kind, more, since, attributes = OPERATORS[name]
    model = model_of(kind, more, "", since, attributes)
    made = lower(to_half(model), 17)
    np.testing.assert_allclose(run(made), run(model), rtol=3e-2, atol=3e-2)


def test_what_has_no_older_form_is_named() -> None:
    grid = np.zeros((1, 5, 6, 2), np.float32)
    with pytest.raises(InputError, match="GridSample"):
        lower(model_of("GridSample", [grid], "", 20, {}), 13)
