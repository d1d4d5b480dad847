"""Unsigned Q/DQ pairs told in signed numbers, on a graph written out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.errors import InputError
from edgekit.models.onnx_graph import array_of
from edgekit.quantize.signed import to_signed

PAIR = "[{0}_q] {0}_q = QuantizeLinear({0}, {1}, {2}) [{0}_dq] {0}_d = DequantizeLinear({0}_q, {1}, {2}) "


def parsed(body: str, zero: int = 0) -> ir.Model:
    """A graph from x to y that may read scales s and t, unsigned zero points u and v, and a signed one, z."""
    constants = f"float s = {{0.5}}, float t = {{0.25}}, uint8 u = {{{zero}}}, uint8 v = {{0}}, int8 z = {{3}}"
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] y) <{constants}> {{ {body} }}'
    return ir.from_proto(onnx.parser.parse_model(text))


def grids(model: ir.Model) -> dict[str, tuple[float, int, str]]:
    """Scale, zero point and type of each quantizer and dequantizer, by its name."""
    found = {}
    for node in model.graph:
        if node.op_type.endswith("eLinear"):
            scale, zero = array_of(node.inputs[1]), array_of(node.inputs[2])
            found[node.name or ""] = (float(scale), int(zero), str(zero.dtype))
    return found


def test_a_range_keeps_its_end_and_signed_ones_stay() -> None:
    body = PAIR.format("x", "s", "u") + "a = Relu(x_d) " + PAIR.format("a", "t", "z") + "b = Relu(a_d) "
    before = parsed(body + PAIR.format("b", "s", "u") + "y = Relu(b_d)")
    made = grids(to_signed(before))
    end = np.float32(0.5 * 255 / 127)
    assert made["x_q"] == made["x_dq"] == made["b_q"] == made["b_dq"] == (pytest.approx(end), 0, "int8")
    assert made["a_q"] == made["a_dq"] == (0.25, 3, "int8")
    assert grids(before)["x_q"] == (0.5, 0, "uint8")  # what was given stays
    assert made["x_q"][0] * 127 == pytest.approx(0.5 * 255)


def test_one_constant_of_several_quantizers_stays_one_and_is_not_left_behind() -> None:
    body = (
        PAIR.format("x", "s", "u") + "a = Relu(x_d) " + PAIR.format("a", "s", "u")
        + "b = Relu(a_d) " + PAIR.format("b", "t", "u") + "y = Relu(b_d)"
    )  # fmt: skip
    out = to_signed(parsed(body))
    scales = {name: made[0] for name, made in grids(out).items()}
    assert scales["x_q"] == scales["a_dq"] == 2 * scales["b_q"]
    assert sorted(out.graph.initializers) == ["s_signed", "t_signed", "u_signed"]


def test_one_scale_with_two_zero_points_is_made_once() -> None:
    out = to_signed(
        parsed(PAIR.format("x", "s", "u") + "a = Relu(x_d) " + PAIR.format("a", "s", "v") + "y = Relu(a_d)")
    )
    assert sorted(out.graph.initializers) == ["s_signed", "u_signed", "v_signed"]
    scales = [node.inputs[1] for node in out.graph if node.op_type.endswith("eLinear")]
    assert {id(each) for each in scales} == {id(out.graph.initializers["s_signed"])}


def test_numbers_that_something_else_reads_keep_their_type() -> None:
    """Only quantizers read others: a sum that shares the scale goes on with it."""
    out = to_signed(parsed(PAIR.format("x", "s", "u") + "y = Add(x_d, s)"))
    node = next(each for each in out.graph if each.op_type == "Add")
    assert float(array_of(node.inputs[1])) == 0.5


def test_a_pair_without_a_zero_point_is_left_as_it_is() -> None:
    body = "[q] q = QuantizeLinear(x, s) [dq] y = DequantizeLinear(q, s)"
    assert [len(node.inputs) for node in to_signed(parsed(body)).graph] == [2, 2]
    model = parsed(PAIR.format("x", "s", "u") + "y = Relu(x_d)")
    for node in model.graph:
        if node.op_type.endswith("eLinear"):
            node.replace_input_with(2, None)
    left = [node.inputs[1] for node in to_signed(model).graph if node.op_type.endswith("eLinear")]
    assert [value.name for value in left if value is not None] == ["s", "s"]


@pytest.mark.parametrize(("name", "told"), [("[x_q] ", "x_q"), ("", "q")])
def test_an_unsigned_range_that_begins_elsewhere_is_refused_by_name(name: str, told: str) -> None:
    with pytest.raises(InputError) as raised:
        to_signed(parsed(f"{name}q = QuantizeLinear(x, s, u) y = DequantizeLinear(q, s, u)", zero=7))
    assert raised.value.what == f"the quantizer {told} has the unsigned zero point 7"
    assert raised.value.hint == "TensorRT wants symmetric ranges; quantize the float model again."
