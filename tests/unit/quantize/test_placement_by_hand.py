"""What is worth INT8, and which sums are fused, on graphs written out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgekit.quantize.placement import _pays, name_of_input, not_worth_int8, placed, with_fused_sums
from edgekit.targets.releases import Int8Placement

RULE = Int8Placement(channels=4, multiple=2, grouped_kernel=3)
PAIR = "{0}_q = QuantizeLinear({0}, s, z) {0}_d = DequantizeLinear({0}_q, s, z) "
WEIGHT = "{0}_d = DequantizeLinear({0}, s, z) "


def parsed(body: str, weights: dict[str, tuple[int, ...]], number: str, outputs: str = "float[1,6] y") -> ir.Model:
    constants = [
        f"{number}[{','.join(map(str, shape))}] {name} = {{{','.join(['1'] * int(np.prod(shape)))}}}"
        for name, shape in weights.items()
    ]
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[1,4,4,4] x) => '
    told = f"({outputs}) <{', '.join(['float s = {0.1}', 'int8 z = {0}', *constants])}> {{ {body} }}"
    return ir.from_proto(onnx.parser.parse_model(text + told))


def both(
    body: str, weights: dict[str, tuple[int, ...]], quantized: list[str], outputs: str = "float[1,6] y"
) -> tuple[ir.Model, ir.Model]:
    """A graph with its weights and the named tensors quantized, and the float graph.

    Args:
        body: with {NAME} for a tensor that is read quantized where it is.
    """
    names = [*quantized, *weights]
    pairs = {name: (WEIGHT if name in weights else PAIR).format(name) for name in names}
    plain = body.format(**{name: name for name in names})
    lines = []
    for line in body.split(";"):
        lines += [pairs.pop(name) for name in names if f"{{{name}}}" in line and name in pairs]
        lines.append(line.format(**{name: f"{name}_d" for name in names}))
    made = parsed(" ".join(lines), weights, "int8", outputs)
    return made, parsed(plain.replace(";", " "), weights, "float", outputs)


HEAD = "[conv] a = Conv({x}, {w}); [mean] m = GlobalAveragePool({a}); %s [fc] y = Gemm<transB=1>({flat}, {v})"
WIDE = {"w": (4, 4, 1, 1), "v": (6, 4)}


@pytest.mark.parametrize(
    ("between", "wanted"),
    [
        ("flat = Flatten(m);", ["mean", "fc"]),
        ("t = Identity(m); flat = Flatten(t);", ["mean", "fc"]),
        ("t = Dropout(m); flat = Flatten(t);", ["mean", "fc"]),
        ("axes = Constant<value_ints=[2,3]>(); flat = Squeeze(m, axes);", ["mean", "fc"]),
        ("to = Constant<value_ints=[1,4]>(); flat = Reshape(m, to);", ["mean", "fc"]),
        ("t = Relu(m); flat = Flatten(t);", ["fc"]),
        ("flat = Flatten(m); u = Relu(m);", ["fc"]),  # something else reads the mean
    ],
)
def test_a_mean_goes_with_the_linear_layer_that_alone_reads_it(between: str, wanted: list[str]) -> None:
    outputs = "float[1,6] y" + (", float[1,4,1,1] u" if "u = " in between else "")
    quantized, core = both(HEAD % between, WIDE, ["x", "a", "flat"], outputs)
    assert not_worth_int8(quantized, core, RULE) == wanted


def test_a_mean_by_reduction_and_a_linear_layer_that_reads_the_picture_itself() -> None:
    reduced = (
        "[conv] a = Conv({x}, {w}); [mean] flat = ReduceMean<axes=[2,3],keepdims=0>({a}); [fc] y = MatMul({flat}, {v})"
    )
    quantized, core = both(reduced, {"w": (4, 4, 1, 1), "v": (4, 6)}, ["x", "a", "flat"])
    assert not_worth_int8(quantized, core, RULE) == ["mean", "fc"]
    straight = "flat = Flatten(x); [fc] y = MatMul({flat}, {v})"
    quantized, core = both(straight, {"v": (64, 6)}, ["flat"])
    assert not_worth_int8(quantized, core, RULE) == ["fc"]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (RULE, ["mean", "fc"]),
        (Int8Placement(channels=4, multiple=2, grouped_kernel=3, gemv=True), []),
        (Int8Placement(channels=5, multiple=2, grouped_kernel=3, gemv=True), []),
        (Int8Placement(channels=5, multiple=3, grouped_kernel=3, gemv=True), ["conv"]),
        (Int8Placement(channels=5, multiple=3, grouped_kernel=3), ["conv", "mean", "fc"]),
    ],
)
def test_each_by_its_rule(rule: Int8Placement, wanted: list[str]) -> None:
    quantized, core = both(HEAD % "flat = Flatten(m);", WIDE, ["x", "a", "flat"])
    found = not_worth_int8(quantized, core, rule)
    assert found == wanted
    left = placed(quantized, core, rule)
    assert [node.op_type for node in left.graph].count("QuantizeLinear") == 3 - len(found)
    assert (left is quantized) is (not wanted)


@pytest.mark.parametrize(
    ("shape", "left"),
    [((3, 4), ["fc"]), ((4, 3), ["fc"]), ((4, 4), []), ((2, 9), ["fc"])],
)
def test_a_product_of_several_rows_by_the_sides_of_its_weights(shape: tuple[int, int], left: list[str]) -> None:
    rows = 64 // shape[0] if 64 % shape[0] == 0 else 21
    body = f"to = Constant<value_ints=[{rows},{shape[0]}]>(); r = Reshape(x, to); [fc] y = MatMul({{r}}, {{v}})"
    quantized, core = both(body, {"v": shape}, ["r"], f"float[{rows},{shape[1]}] y")
    assert not_worth_int8(quantized, core, RULE) == left


@pytest.mark.parametrize(
    ("dims", "left"), [("1,6", ["fc"]), ("6,1", ["fc"]), ("6,6", []), ("2,6", []), ("1,6,6", []), ("n,6", ["fc"])]
)
def test_one_row_or_column_is_a_vector(dims: str, left: list[str]) -> None:
    """A batch that is open counts as one picture."""
    body = "r = Flatten(x); [fc] y = MatMul({r}, {v})"
    quantized, core = both(body, {"v": (64, 6)}, ["r"], f"float[{dims}] y")
    assert not_worth_int8(quantized, core, RULE) == left


def test_the_first_convolution_is_known_by_what_it_reads() -> None:
    body = "[first] a = Conv({x}, {w}); [second] b = Conv({a}, {v}); y = Flatten(b)"
    three = {"w": (4, 3, 1, 1), "v": (3, 4, 1, 1)}
    quantized, core = both(body, three, ["x", "a"])
    assert not_worth_int8(quantized, core, Int8Placement(channels=5, multiple=2, grouped_kernel=3)) == ["second"]
    node = next(each for each in core.graph if each.name == "second")
    assert name_of_input(node) == "a"
    assert name_of_input(ir.node("Conv", [None, ir.val("w")])) == ""


def test_a_convolution_whose_weights_are_computed_stays() -> None:
    body = "k = Add(w, w); [conv] a = Conv({x}, k); y = Flatten(a)"
    quantized, core = both(body, {"w": (1, 4, 1, 1)}, ["x"])
    assert not_worth_int8(quantized, core, RULE) == []


def summed(body: str, outputs: str = "float[1,4,4,4] y") -> ir.Model:
    start = PAIR.format("x") + WEIGHT.format("w")
    return parsed(start + body, {"w": (4, 4, 1, 1)}, "int8", outputs)


def reads(model: ir.Model) -> list[str]:
    """What makes each input of the sum: Q/DQ, or an operator by its name."""
    node = next(each for each in model.graph if each.name == "sum")
    makers = [value.producer() for value in node.inputs if value is not None]
    return ["Q/DQ" if each.op_type == "DequantizeLinear" else each.name or "" for each in makers if each is not None]


A, B = PAIR.format("a"), PAIR.format("b")
LEFT = f"[left] a = Conv(x_d, w_d) {A}"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (f"{LEFT} [sum] y = Add(a_d, x_d)", ["left", "Q/DQ"]),
        (f"{LEFT} [sum] y = Add(x_d, a_d)", ["Q/DQ", "left"]),
        (f"{LEFT} [right] b = Conv(a_d, w_d) {B} [sum] y = Add(x_d, b_d)", ["Q/DQ", "right"]),
        # two convolutions: the one with more before it
        (f"{LEFT} r = Relu(x_d) [right] b = Conv(r, w_d) {B} [sum] y = Add(a_d, b_d)", ["Q/DQ", "right"]),
        (f"{LEFT} r = Relu(x_d) [right] b = Conv(r, w_d) {B} [sum] y = Add(b_d, a_d)", ["right", "Q/DQ"]),
        (f"{LEFT} [right] b = Conv(x_d, w_d) {B} [sum] y = Add(a_d, b_d)", ["Q/DQ", "right"]),  # as many
        # what is read elsewhere keeps its quantizer: the convolution, its numbers, what they stand for
        (f"{LEFT} t = Relu(a) [sum] y = Add(a_d, x_d)", ["Q/DQ", "Q/DQ"]),
        (f"{LEFT} t = Cast<to=1>(a_q) [sum] y = Add(a_d, x_d)", ["Q/DQ", "Q/DQ"]),
        (f"{LEFT} t = Relu(a_d) [sum] y = Add(a_d, x_d)", ["Q/DQ", "Q/DQ"]),
        (f"[left] a = Relu(x_d) {A} [sum] y = Add(a_d, x_d)", ["Q/DQ", "Q/DQ"]),  # no convolution
        ("[left] a = Conv(x_d, w_d) [sum] y = Add(a, x_d)", ["left", "Q/DQ"]),  # no quantizer: as it was
        (f"{LEFT} [sum] y = Mul(a_d, x_d)", ["Q/DQ", "Q/DQ"]),  # no sum
    ],
)
def test_a_sum_reads_the_convolution_that_it_is_fused_with(body: str, wanted: list[str]) -> None:
    before = summed(body)
    kinds = [node.op_type for node in before.graph]
    made = with_fused_sums(before)
    assert reads(made) == wanted
    assert [node.op_type for node in before.graph] == kinds  # what was given stays
    gone = reads(before).count("Q/DQ") - wanted.count("Q/DQ")
    assert [node.op_type for node in made.graph].count("QuantizeLinear") == kinds.count("QuantizeLinear") - gone


def test_what_leaves_the_graph_keeps_its_quantizer() -> None:
    body = f"{LEFT} [sum] y = Add(a_d, x_d)"
    for name, kind in (("a", "float"), ("a_q", "int8"), ("a_d", "float")):
        made = with_fused_sums(summed(body, f"float[1,4,4,4] y, {kind}[1,4,4,4] {name}"))
        assert reads(made) == ["Q/DQ", "Q/DQ"]


def test_each_sum_of_a_row_of_blocks_is_fused() -> None:
    body = f"{LEFT} [one] b = Add(a_d, x_d) {B} [right] c = Conv(b_d, w_d) {PAIR.format('c')} [sum] y = Add(b_d, c_d)"
    made = with_fused_sums(summed(body))
    assert reads(made) == ["Q/DQ", "right"]
    assert [node.op_type for node in made.graph].count("QuantizeLinear") == 2


@pytest.mark.parametrize(
    ("shape", "groups", "pays"),
    [
        ((16, 16, 3, 3), 1, True),
        ((16, 16, 1, 7), 1, True),  # wide enough on both sides: nothing else is asked
        ((8, 16, 1, 1), 1, True),
        ((16, 8, 1, 1), 1, True),
        ((24, 8, 3, 3), 1, True),
        ((12, 12, 3, 3), 1, False),
        ((8, 8, 3, 3), 1, False),
        ((24, 12, 1, 7), 1, False),  # its kernel is no square
        ((20, 9, 3, 3), 1, False),  # neither side fits
        ((32, 1, 3, 3), 32, True),
        ((16, 1, 3, 3), 2, True),
        ((18, 8, 3, 3), 2, False),
        ((32, 1, 5, 5), 32, True),
        ((32, 1, 1, 1), 32, False),
        ((32, 1, 1, 3), 32, False),
        ((12, 1, 3, 3), 12, False),
        ((33, 8, 3, 3), 3, False),
        ((12, 8, 3, 3), 2, False),  # the outputs are what has to fit
    ],
)
def test_a_convolution_by_its_channels(shape: tuple[int, ...], groups: int, pays: bool) -> None:
    weight = ir.val("w", const_value=ir.tensor(np.zeros(shape, np.float32)))
    node = ir.node("Conv", [ir.val("x"), weight], {"group": groups})
    assert _pays(node, Int8Placement(), False) is pays


def test_the_first_layer_is_worth_it_with_three_channels() -> None:
    weight = ir.val("w", const_value=ir.tensor(np.zeros((8, 3, 3, 3), np.float32)))
    node = ir.node("Conv", [ir.val("x"), weight], {})
    assert _pays(node, Int8Placement(), True)
    assert not _pays(node, Int8Placement(), False)
    assert _pays(ir.node("Conv", [ir.val("x"), ir.val("computed")], {}), Int8Placement(), False)
