"""TensorRT's rules on graphs written out by hand: what is right passes, each fault is told with its node."""

from __future__ import annotations

from dataclasses import replace

import onnx
import onnx_ir as ir
import pytest

from edgekit.errors import InputError
from edgekit.quantize.graph_format import GraphFormat
from edgekit.quantize.rules import check, faults, faults_of

NEWEST = GraphFormat(signed=True, typed=True, opset=20)

CONSTANTS = (
    "float s = {0.1}, int8 z = {0}, int8[3,2,1,1] w = {1,2,3,4,5,6}, float[3] ws = {0.1,0.2,0.3}, int8[3] wz = {0,0,0}"
    ", float[3] b = {0.0,0.0,0.0}"
)
ACTIVATION = "[q] xq = QuantizeLinear(x, s, z) [dq] xd = DequantizeLinear(xq, s, z)"
WEIGHT = "[wdq] wd = DequantizeLinear<axis=0>(w, ws, wz)"
CONV = "[conv] y = Conv(xd, wd, b)"


def graph(body: str, constants: str = CONSTANTS, opset: int = 17, pixels: str = "float[1,2,4,4] x") -> ir.Model:
    """A graph from x to y, in ONNX's text form."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]> g ({pixels}) => (float[1,3,4,4] y)'
    return ir.from_proto(onnx.parser.parse_model(f"{text} <{constants}> {{ {body} }}"))


def told(model: ir.Model) -> list[tuple[str, str]]:
    return [(each.node, each.why) for each in faults(model)]


def test_explicit_quantization_as_the_guide_has_it_is_taken() -> None:
    assert told(graph(f"{ACTIVATION} {WEIGHT} {CONV}")) == []


def with_constants(**changed: str) -> str:
    """The usual ones with others in their places, and more."""
    kept = [each for each in CONSTANTS.split(", ") if each.split(" = ")[0].split()[-1] not in changed]
    return ", ".join([*kept, *changed.values()])


NEGATIVE = "its scale is zero, negative or not finite"
UNSIGNED = "it has no zero point, which means unsigned"


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"s": "float s = {0.0}"}, [("q", NEGATIVE), ("dq", NEGATIVE)]),
        ({"s": "float s = {-0.1}"}, [("q", NEGATIVE), ("dq", NEGATIVE)]),
        ({"ws": "float[3] ws = {0.1,0.0,0.3}"}, [("wdq", NEGATIVE)]),
        ({"z": "int8 z = {3}"}, [("q", "its zero point is not 0"), ("dq", "its zero point is not 0")]),
        ({"wz": "int8[3] wz = {0,0,1}"}, [("wdq", "its zero point is not 0")]),
        (
            {"z": "uint8 z = {0}"},
            [("q", "it quantizes to uint8, not to int8"), ("dq", "it quantizes to uint8, not to int8")],
        ),
        (
            {"s": "float[2] s = {0.1,0.2}", "z": "int8[2] z = {0,0}"},
            [(name, "an activation has 2 scales; TensorRT takes one") for name in ("q", "dq")],
        ),
    ],
)
def test_numbers_that_it_rejects(changed: dict[str, str], wanted: list[tuple[str, str]]) -> None:
    assert told(graph(f"{ACTIVATION} {WEIGHT} {CONV}", with_constants(**changed))) == wanted


def test_one_value_may_have_two_faults_and_the_first_is_told_first() -> None:
    changed = with_constants(s="float s = {-1.0}", z="int8 z = {1}")
    assert told(graph(f"{ACTIVATION} {WEIGHT} {CONV}", changed)) == [
        (name, why) for name in ("q", "dq") for why in (NEGATIVE, "its zero point is not 0")
    ]


@pytest.mark.parametrize("written", ["inf", "nan"])
def test_a_scale_that_is_no_number(written: str) -> None:
    model = graph(f"{ACTIVATION} {WEIGHT} {CONV}")
    model.graph.initializers["s"].const_value = ir.tensor([float(written)], ir.DataType.FLOAT)
    assert told(model) == [("q", NEGATIVE), ("dq", NEGATIVE)]


def test_a_scale_that_is_computed_is_no_constant_and_nothing_else_is_said_of_it() -> None:
    computed = "[twice] s2 = Add(s, s) [q] xq = QuantizeLinear(x, s2, z) [dq] xd = DequantizeLinear(xq, s, z)"
    assert told(graph(f"{computed} {WEIGHT} {CONV}")) == [("q", "its scale is not a constant")]


def test_a_scale_may_come_of_a_constant_node() -> None:
    of_node = (
        "s2 = Constant<value = float {0.1}>() [q] xq = QuantizeLinear(x, s2, z) [dq] xd = DequantizeLinear(xq, s2, z)"
    )
    assert told(graph(f"{of_node} {WEIGHT} {CONV}")) == []


def test_a_zero_point_that_is_computed() -> None:
    computed = "[twice] z2 = Add(z, z) [q] xq = QuantizeLinear(x, s, z2) [dq] xd = DequantizeLinear(xq, s, z)"
    assert told(graph(f"{computed} {WEIGHT} {CONV}")) == [("q", "its zero point is not a constant")]


def test_without_a_zero_point_a_quantizer_is_unsigned_and_what_reads_signed_numbers_is_not() -> None:
    none = "[q] xq = QuantizeLinear(x, s) [dq] xd = DequantizeLinear(xq, s) [wdq] wd = DequantizeLinear<axis=0>(w, ws)"
    assert told(graph(f"{none} {CONV}")) == [("q", UNSIGNED)]
    unsigned = with_constants(w="uint8[3,2,1,1] w = {1,2,3,4,5,6}")
    assert told(graph(f"{ACTIVATION} [wdq] wd = DequantizeLinear<axis=0>(w, ws) {CONV}", unsigned)) == [
        ("wdq", UNSIGNED)
    ]


def test_a_quantizer_of_signed_numbers_without_a_zero_point_is_unsigned_all_the_same() -> None:
    made = "[wq] wq = QuantizeLinear<axis=0>(w, ws) [wdq] wd = DequantizeLinear<axis=0>(wq, ws, wz)"
    assert told(graph(f"{ACTIVATION} {made} {CONV}")) == [("wq", UNSIGNED)]


@pytest.mark.parametrize("reader", ["[relu] r = Relu(xd)", "[cast] r = Cast<to=1>(xq)"])
def test_what_is_quantized_is_dequantized_and_read_by_nothing_else(reader: str) -> None:
    wanted = [("q", "it is not followed by DequantizeLinear")] if "Cast" in reader else []
    assert told(graph(f"{ACTIVATION} {WEIGHT} {reader} {CONV}")) == wanted


def test_a_quantizer_that_nothing_reads() -> None:
    more = "[idle] idle_q = QuantizeLinear(x, s, z)"
    assert told(graph(f"{ACTIVATION} {WEIGHT} {more} {CONV}")) == [("idle", "it is not followed by DequantizeLinear")]


@pytest.mark.parametrize(
    ("operator", "shape", "axis", "wanted"),
    [
        ("y = Conv(xd, wd)", "3,2,1,1", 0, None),
        ("y = Conv(xd, wd)", "3,2,1,1", -4, None),  # from behind
        ("y = Conv(xd, wd)", "2,3,1,1", 1, 0),
        ("y = ConvTranspose(xd, wd)", "2,3,1,1", 1, None),
        ("y = ConvTranspose(xd, wd)", "3,2,1,1", 0, 1),
        ("y = Gemm<transB=1>(xd, wd)", "3,2", 0, None),
        ("y = Gemm<transB=1>(xd, wd)", "2,3", 1, 0),
        ("y = Gemm(xd, wd)", "2,3", 1, None),
        ("y = Gemm(xd, wd)", "3,2", 0, 1),
        ("y = MatMul(xd, wd)", "2,3", -1, None),
        ("y = MatMul(xd, wd)", "3,2", 0, 1),
        ("y = Mul(xd, wd)", "3,2", 0, None),  # what weights are for is not known
        ("y = MatMul(wd, xd)", "3,2", 0, None),  # nor here, where they are no second input
    ],
)
def test_scales_run_along_the_output_channels(operator: str, shape: str, axis: int, wanted: int | None) -> None:
    weight = f"[wdq] wd = DequantizeLinear<axis={axis}>(w, ws, wz)"
    numbers = with_constants(w=f"int8[{shape}] w = {{1,2,3,4,5,6}}")
    expected = f"its scales run along axis {axis}, not along the output channels (axis {wanted})"
    assert told(graph(f"{ACTIVATION} {weight} {operator}", numbers)) == (
        [("wdq", expected)] if wanted is not None else []
    )


def test_scales_without_an_axis_run_along_the_second_as_onnx_has_it() -> None:
    numbers = with_constants(w="int8[2,3,1,1] w = {1,2,3,4,5,6}")
    weight = "[wdq] wd = DequantizeLinear(w, ws, wz)"
    assert told(graph(f"{ACTIVATION} {weight} y = ConvTranspose(xd, wd)", numbers)) == []
    assert told(graph(f"{ACTIVATION} {weight} y = Conv(xd, wd)", numbers)) == [
        ("wdq", "its scales run along axis 1, not along the output channels (axis 0)")
    ]


def test_float_weights_that_are_quantized_in_the_graph_have_scales_by_channel_too() -> None:
    numbers = with_constants(w="float[3,2,1,1] w = {1.0,2.0,3.0,4.0,5.0,6.0}")
    made = "[wq] wq = QuantizeLinear<axis=0>(w, ws, wz) [wdq] wd = DequantizeLinear<axis=0>(wq, ws, wz)"
    assert told(graph(f"{ACTIVATION} {made} {CONV}", numbers)) == []
    turned = made.replace("wd = DequantizeLinear<axis=0>", "wd = DequantizeLinear<axis=1>")
    assert told(graph(f"{ACTIVATION} {turned} {CONV}", numbers)) == [
        ("wdq", "its scales run along axis 1, not along the output channels (axis 0)")
    ]


def test_two_scales_are_several_and_one_needs_no_axis() -> None:
    two = with_constants(
        w="int8[2,3,1,1] w = {1,2,3,4,5,6}", ws="float[2] ws = {0.1,0.2}", wz="int8[2] wz = {0,0}"
    )  # fmt: skip
    weight = "[wdq] wd = DequantizeLinear<axis=0>(w, ws, wz)"
    assert told(graph(f"{ACTIVATION} {weight} y = ConvTranspose(xd, wd)", two)) == [
        ("wdq", "its scales run along axis 0, not along the output channels (axis 1)")
    ]
    assert told(graph(f"{ACTIVATION} [wdq] wd = DequantizeLinear(w, s, z) {CONV}")) == []


def test_inputs_that_are_left_out_are_no_fault_but_a_scale_is() -> None:
    model = graph(f"{ACTIVATION} {WEIGHT} {CONV}")
    nodes = {node.name: node for node in model.graph}
    nodes["conv"].replace_input_with(2, None)
    assert told(model) == []
    nodes["q"].replace_input_with(1, None)
    nodes["dq"].replace_input_with(2, None)
    assert told(model) == [("q", "its scale is not a constant")]  # of what q makes, nobody says that it is unsigned
    nodes["wdq"].replace_input_with(0, None)
    assert told(model)[1:] == [("wdq", "an activation has 3 scales; TensorRT takes one")]


def test_biases_stay_in_floating_point() -> None:
    more = with_constants(bq="int8[3] bq = {1,2,3}")
    bias = "[bdq] b2 = DequantizeLinear(bq, s, z)"
    assert told(graph(f"{ACTIVATION} {WEIGHT} {bias} [conv] y = Conv(xd, wd, b2)", more)) == [
        ("conv", "its bias is quantized; biases stay in floating point")
    ]
    assert told(graph(f"{ACTIVATION} {WEIGHT} {bias} [sum] y = Sum(xd, wd, b2)", more)) == []
    assert told(graph(f"{ACTIVATION} {WEIGHT} same = Identity(b) [conv] y = Conv(xd, wd, same)")) == []


@pytest.mark.parametrize(
    "operator",
    ["ConvInteger(xq, w)", "com.microsoft.FusedConv(x, w)", "com.microsoft.QLinearAdd(xq, s, z, xq, s, z, s, z)"],
)
def test_integer_operators_are_named(operator: str) -> None:
    made = graph(f"[q] xq = QuantizeLinear(x, s, z) [dq] xd = DequantizeLinear(xq, s, z) [whole] t = {operator}")
    kind = operator.split("(")[0].rsplit(".", maxsplit=1)[-1]
    assert ("whole", f"{kind} is not explicit Q/DQ") in told(made)


def test_what_has_no_name_is_named_by_what_it_makes() -> None:
    assert told(graph("y = DynamicQuantizeLinear(x)")) == [
        ("DynamicQuantizeLinear of y", "DynamicQuantizeLinear is not explicit Q/DQ")
    ]


def test_an_opset_that_a_parser_does_not_know_comes_first() -> None:
    model = graph(f"{ACTIVATION} {WEIGHT} {CONV}", with_constants(z="int8 z = {1}"))
    assert faults(model, 17) == faults(model)
    found = faults(model, 16)
    assert (found[0].node, found[0].why) == (
        "the graph",
        "opset 17 is newer than 16, the newest that this parser knows",
    )
    assert found[1:] == faults(model)


def test_a_release_that_takes_neither_pixels_nor_int8_constants() -> None:
    pixels = graph(f"x = Cast<to=1>(u) {ACTIVATION} {WEIGHT} {CONV}", pixels="uint8[1,2,4,4] u")
    assert faults_of(pixels, NEWEST) == []
    old = replace(NEWEST, float_input=True, int8_weights=False)
    assert [(each.node, each.why) for each in faults_of(pixels, old)] == [
        ("the input u", "it is UINT8, which TensorRT takes from 8.5 on"),
        ("wdq", "it dequantizes an INT8 constant, which TensorRT takes from 10 on"),
    ]
    floats = graph(f"{ACTIVATION} {WEIGHT} {CONV}")
    assert faults_of(floats, replace(old, int8_weights=True)) == []
    assert [each.why for each in faults_of(floats, replace(NEWEST, opset=13))] == [
        "opset 17 is newer than 13, the newest that this parser knows"
    ]


def test_it_is_refused_with_the_first_fault_and_how_many_there_are() -> None:
    check(graph(f"{ACTIVATION} {WEIGHT} {CONV}"))
    check(graph(f"{ACTIVATION} {WEIGHT} {CONV}"), NEWEST)
    one = graph(f"{ACTIVATION} {WEIGHT} {CONV}", with_constants(wz="int8[3] wz = {0,0,1}"))
    with pytest.raises(InputError) as alone:
        check(one)
    assert alone.value.what == "TensorRT would reject the graph at wdq: its zero point is not 0"
    two = graph(f"{ACTIVATION} {WEIGHT} {CONV}", with_constants(z="int8 z = {1}"))
    with pytest.raises(InputError, match=r"at q: its zero point is not 0 \(1 more\)"):
        check(two)
    assert alone.value.hint == "Quantize the float model with `edgekit quantize --target rtx`."
    three = graph(f"{ACTIVATION} {WEIGHT} {CONV}", with_constants(z="int8 z = {1}", wz="int8[3] wz = {0,0,1}"))
    with pytest.raises(InputError) as several:
        check(three, NEWEST)
    assert several.value.what == "TensorRT would reject the graph at q: its zero point is not 0 (2 more)"
    with pytest.raises(InputError, match="opset 17 is newer than 13"):
        check(graph(f"{ACTIVATION} {WEIGHT} {CONV}"), replace(NEWEST, opset=13))
