"""Behind which operators values are quantized once more, on graphs written out by hand."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from edgekit.quantize.moves import with_quantized_moves

CONSTANTS = (
    "float s = {0.5}, float same = {0.5}, float t = {0.25}, uint8 u = {0}, uint8 v = {0}, uint8 w = {1}, int8 z = {0}"
    ", float[2] ss = {0.5,0.5}, uint8[2] uu = {0,0}, int64[2] to = {2,8}"
)
PAIR = "{0}_q = QuantizeLinear({0}, {1}, {2}) {0}_d = DequantizeLinear({0}_q, {1}, {2}) "
QUANTIZED = PAIR.format("x", "s", "u")
POOL = "[pool] p = MaxPool<kernel_shape=[1,1]>({0}) y = Relu(p)"
JOIN = "[join] p = Concat<axis=0>({0}) y = Relu(p)"


def parsed(body: str) -> ir.Model:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,2,2,4] x) => (float[1,2,2,4] y)'
    return ir.from_proto(onnx.parser.parse_model(f"{text} <{CONSTANTS}> {{ {body} }}"))


def added(model: ir.Model) -> list[str]:
    """Names of the nodes that came."""
    before = {node.name for node in model.graph}
    return [node.name or "" for node in with_quantized_moves(model).graph if node.name not in before]


KEPT = ["p_kept_q", "p_kept"]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (QUANTIZED + POOL.format("x_d"), KEPT),
        (QUANTIZED + "[shape] p = Reshape(x_d, to) y = Relu(p)", KEPT),  # its other input says where to
        (QUANTIZED + JOIN.format("x_d, x_d"), KEPT),
        (QUANTIZED + PAIR.format("x2", "same", "v").replace("QuantizeLinear(x2", "QuantizeLinear(x", 1)
         + JOIN.format("x_d, x2_d"), KEPT),  # other constants of the same values
        (QUANTIZED + "[relu] p = Relu(x_d) y = Relu(p)", []),  # it changes values
        (QUANTIZED + "[pool] y = MaxPool<kernel_shape=[1,1]>(x_d)", []),  # it leaves the graph
        (POOL.format("x"), []),  # no grid
        (QUANTIZED + "t_1 = Relu(x_d) " + JOIN.format("x_d, t_1"), []),
        (QUANTIZED + JOIN.format("x, x_d"), []),
        ("c = Clip(x, s, t) " + POOL.format("c"), []),  # three inputs, and no dequantizer
        ("x_q = QuantizeLinear(x, s) x_d = DequantizeLinear(x_q, s) " + POOL.format("x_d"), []),  # no zero point
        (PAIR.format("x", "ss", "uu") + POOL.format("x_d"), []),  # a scale a channel
        ("s2 = Add(s, s) " + PAIR.format("x", "s2", "u") + POOL.format("x_d"), []),  # a scale that is computed
        ("u2 = Add(u, u) " + PAIR.format("x", "s", "u2") + POOL.format("x_d"), []),
    ],
)  # fmt: skip
def test_only_what_moves_values_of_one_grid(body: str, wanted: list[str]) -> None:
    assert added(parsed(body)) == wanted


@pytest.mark.parametrize(
    ("scale", "zero", "wanted"), [("s", "u", KEPT), ("t", "u", []), ("s", "w", []), ("s", "z", [])]
)
def test_a_grid_is_its_scale_its_zero_point_and_its_type(scale: str, zero: str, wanted: list[str]) -> None:
    second = PAIR.format("x2", scale, zero).replace("QuantizeLinear(x2", "QuantizeLinear(x", 1)
    assert added(parsed(QUANTIZED + second + JOIN.format("x_d, x2_d"))) == wanted


def test_what_is_quantized_there_already_is_left_alone_and_one_float_reader_is_enough() -> None:
    pooled = "[pool] p = MaxPool<kernel_shape=[1,1]>(x_d) "
    assert added(parsed(QUANTIZED + pooled + PAIR.format("p", "s", "u") + "y = Relu(p_d)")) == []
    both = parsed(QUANTIZED + pooled + PAIR.format("p", "s", "u") + "y = Add(p_d, p)")
    assert added(both) == KEPT
    made = with_quantized_moves(both)
    assert [value.name for value in next(each for each in made.graph if each.op_type == "Add").inputs if value] == [
        "p_d", "p_kept",
    ]  # fmt: skip


def test_one_that_is_left_alone_does_not_end_it() -> None:
    first = "[first] a = MaxPool<kernel_shape=[1,1]>(x) "
    assert added(parsed(first + PAIR.format("a", "s", "u") + POOL.format("a_d"))) == KEPT
    relu = "a = Relu(x) "
    assert added(parsed(relu + PAIR.format("a", "s", "u") + POOL.format("a_d"))) == KEPT


@pytest.mark.parametrize("place", [1, 2])
def test_a_dequantizer_that_lacks_an_input_tells_no_grid(place: int) -> None:
    model = parsed(QUANTIZED + POOL.format("x_d"))
    next(each for each in model.graph if each.op_type == "DequantizeLinear").replace_input_with(place, None)
    assert added(model) == []
    missing = parsed(QUANTIZED + JOIN.format("x_d, x_d"))
    next(each for each in missing.graph if each.op_type == "Concat").replace_input_with(0, None)
    assert added(missing) == []


def test_what_was_given_stays() -> None:
    model = parsed(QUANTIZED + POOL.format("x_d"))
    added(model)
    assert [node.op_type for node in model.graph] == ["QuantizeLinear", "DequantizeLinear", "MaxPool", "Relu"]
