"""Which operators stay in INT8 for TensorRT, and where sums read what a convolution made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import CompileSettings
from edgekit.backends.tensorrt_builder import build
from edgekit.backends.tensorrt_library import installed
from edgekit.models.onnx_graph import load, opset_of
from edgekit.quantize.graph_format import format_for
from edgekit.quantize.graphs import write_dla, write_graph
from edgekit.quantize.placement import not_worth_int8, placed, with_fused_sums
from edgekit.quantize.ptq import Pictures, quantize
from edgekit.quantize.qdq import operators, quantizer_of
from edgekit.quantize.signed import to_signed
from edgekit.targets import find, release_of
from edgekit.targets.releases import Int8Placement

RULE = Int8Placement()
RTX = pytest.mark.skipif(installed("tensorrt-rtx") is None, reason="TensorRT for RTX is not installed")
SIZE = networks.SIZE


def residual(folder: Path, shortcut: bool) -> tuple[Path, Path]:
    """A float32 network of two residual blocks with a factor before the sum, and its Q/DQ form.

    Args:
        shortcut: whether the first block has a convolution on its way around, too.
    """
    dice = np.random.Generator(np.random.PCG64(9))
    constants: list[TensorProto] = [numpy_helper.from_array(np.array(0.3, np.float32), "factor")]
    nodes = []

    def put(kind: str, sources: list[str], out: str, **attributes: object) -> str:
        nodes.append(helper.make_node(kind, sources, [out], out, **attributes))
        return out

    def conv(source: str, channels: tuple[int, int], side: int, out: str) -> str:
        shape = (channels[1], channels[0], side, side)
        values = dice.normal(0, (2 / (channels[0] * side**2)) ** 0.5, shape).astype(np.float32)
        constants.append(numpy_helper.from_array(values, f"{out}.w"))
        constants.append(numpy_helper.from_array(dice.normal(0, 0.1, channels[1]).astype(np.float32), f"{out}.b"))
        return put("Conv", [source, f"{out}.w", f"{out}.b"], out, pads=[side // 2] * 4)

    last = put("Relu", [conv("input", (3, 16), 3, "stem")], "stem_relu")
    for block in ("one", "two"):
        inner = put("Relu", [conv(last, (16, 16), 3, f"{block}.in")], f"{block}.relu")
        branch = put("Mul", [conv(inner, (16, 16), 1, f"{block}.out"), "factor"], f"{block}.scaled")
        around = conv(last, (16, 16), 1, f"{block}.around") if shortcut and block == "one" else last
        last = put("Relu", [put("Add", [around, branch], f"{block}.sum")], f"{block}.end")
    flat = put("Flatten", [put("GlobalAveragePool", [last], "mean")], "flat")
    constants.append(numpy_helper.from_array(dice.normal(0, 1, (32, 16)).astype(np.float32), "head.w"))
    put("Gemm", [flat, "head.w"], "logits", transB=1)
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 32])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    core, quantized = folder / "core.onnx", folder / "quantized.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model, strict_mode=True), str(core))
    pictures = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    quantize(core, quantized, Pictures(lambda: (p[None] for p in pictures), 8), networks.PLAIN, signed=True)
    return core, quantized


@pytest.mark.parametrize("shortcut", [False, True])
def test_a_sum_reads_its_convolution_and_the_quantized_way_around(shortcut: bool, tmp_path: Path) -> None:
    core, quantized = residual(tmp_path, shortcut)
    before = load(quantized)
    sums = [node for node in before.graph if node.op_type == "Add"]
    assert all(quantizer_of(value) is not None for node in sums for value in node.inputs)  # as NNCF makes them
    out = tmp_path / "int8.onnx"
    write_graph(core, quantized, out, "int8", networks.PLAIN, format_for(release_of(find("jetson-xavier-nx"))))
    made = load(out)
    assert "Mul" not in [node.op_type for node in made.graph if not (node.name or "").startswith("edgekit_")]
    for name in ("one", "two"):
        node = next(each for each in made.graph if each.name == f"{name}.sum")
        around, branch = node.inputs
        assert quantizer_of(around) is not None
        before_sum = None if branch is None else branch.producer()
        assert before_sum is not None
        assert (before_sum.op_type, before_sum.name) == ("Conv", f"{name}.out")  # not the shorter way, where it has one


def test_a_dla_keeps_both_inputs_quantized_and_loses_the_factor(tmp_path: Path) -> None:
    _, quantized = residual(tmp_path, False)
    write_dla(quantized, tmp_path, networks.PLAIN, format_for(release_of(find("jetson-xavier-nx"))))
    plain = load(tmp_path / "model.dla.onnx")
    assert [node.op_type for node in plain.graph].count("Mul") == 1  # of the preprocessing
    told = {line.split(":")[0] for line in (tmp_path / "model.dla.cache").read_text().splitlines()}
    assert {"one.out", "two.out", "one.end"} <= told


def test_a_convolution_that_is_read_twice_keeps_its_quantizer() -> None:
    """Else INT8 would be given up for the other reader."""
    model = sum_of_two(read_twice=True)
    assert [node.op_type for node in with_fused_sums(model).graph] == [node.op_type for node in model.graph]
    fused = with_fused_sums(sum_of_two(read_twice=False))
    assert [node.op_type for node in fused.graph].count("QuantizeLinear") == 1


def sum_of_two(read_twice: bool) -> ir.Model:
    """x and its convolution, both quantized and added."""
    constants = [numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), "w")]
    constants += [numpy_helper.from_array(np.array(0.1, np.float32), "s")]
    constants += [numpy_helper.from_array(np.array(0, np.int8), "z")]
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], "conv")]
    for name in ("x", "c"):
        nodes.append(helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}.q"], f"{name}.q"))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", "s", "z"], [f"{name}.d"], f"{name}.d"))
    nodes.append(helper.make_node("Add", ["x.d", "c.d"], ["y"], "sum"))
    if read_twice:
        nodes.append(helper.make_node("Relu", ["c.d"], ["other"], "relu"))
    outputs = ["y", *(["other"] if read_twice else [])]
    ends = {each: helper.make_tensor_value_info(each, TensorProto.FLOAT, [1, 4, 2, 2]) for each in ("x", *outputs)}
    graph = helper.make_graph(nodes, "two", [ends["x"]], [ends[each] for each in outputs], constants)
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def small_parts(folder: Path) -> tuple[ir.Model, ir.Model]:
    core = networks.branching()
    return ir.from_proto(networks.quantized_by_nncf(core, folder)), ir.from_proto(core)


def test_small_convolutions_and_the_last_layer_are_left_out(tmp_path: Path) -> None:
    quantized, core = small_parts(tmp_path)
    names = not_worth_int8(quantized, core, RULE)
    assert names == ["left", "right", "pooled", "linear"]  # 8 to 8 channels; the first has 3, `mix` 24, `last` 16
    left = {each.name for each in operators(placed(quantized, core, RULE), core)}
    assert not left & set(names)
    assert {"stem", "mix", "last"} <= left
    assert not_worth_int8(quantized, core, Int8Placement(channels=0, gemv=True)) == []
    assert not_worth_int8(quantized, core, Int8Placement(channels=0)) == ["pooled", "linear"]


def test_nothing_is_computed_more_coarsely(tmp_path: Path) -> None:
    """The quantizers that are left are some of those that were there, with their scales."""
    core, quantized = residual(tmp_path, True)
    before = to_signed(load(quantized))
    after = with_fused_sums(placed(before, load(core), RULE))
    assert opset_of(after) == opset_of(before)

    def quantizers(model: ir.Model) -> set[str]:
        return {node.name or "" for node in model.graph if node.op_type == "QuantizeLinear"}

    assert quantizers(after) < quantizers(before)


@RTX
def test_the_real_builder_makes_sums_that_do_not_requantize(tmp_path: Path) -> None:
    """Its kernels are named by what they do: quantize (clip, round, cast), back (cast, multiply), and then add."""
    core, quantized = residual(tmp_path, False)
    form = format_for(release_of(find("rtx")))
    found = {}
    for name, told in (("before", replace(form, placement=None)), ("after", form)):
        write_graph(core, quantized, tmp_path / f"{name}.onnx", "int8", networks.PLAIN, told)
        made = build(tmp_path / f"{name}.onnx", tmp_path, "int8", "tensorrt-rtx", CompileSettings(("8.6",)))
        found[name] = [layer.name for layer in made.layers]
    requantizing = {name: sum("RounCastCastMulAdd" in each for each in names) for name, names in found.items()}
    assert requantizing == {"before": 2, "after": 0}  # one for each block
    assert len(found["after"]) <= len(found["before"])
