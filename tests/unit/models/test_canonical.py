"""What comes from outside is made one form: graphs as they are met, each against its own answers in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from written import CHANNELS, CLASSES, SIZE, F, Graph, picture, run

from edgekit.errors import InputError
from edgekit.models.answer import TOLD_NOTHING, Answer
from edgekit.models.canonical import Canonical, canonical, canonical_of
from edgekit.models.onnx_graph import opset_of, to_proto

SIDES = (SIZE, SIZE)


def made_of(model: ModelProto, answer: Answer = TOLD_NOTHING, size: tuple[int, int] = SIDES) -> Canonical:
    return canonical_of(model, answer, size, "net.onnx")


def answers(made: Canonical, given: NDArray[Any] | None = None) -> NDArray[Any]:
    return run(to_proto(made.model), picture() if given is None else given)


def same(model: ModelProto, made: Canonical) -> None:
    np.testing.assert_allclose(answers(made)[0], run(model, picture()).reshape(-1), rtol=1e-4, atol=1e-5)


def kinds(made: Canonical) -> list[str]:
    return [node.op_type for node in made.model.graph]


def test_it_has_one_input_one_output_and_no_name_of_edgekits() -> None:
    g = Graph()
    first = g.op("Identity", g.stem(), out="image")
    second = g.op("Relu", g.op("Neg", first, out="edgekit_scale"), out="input")
    model = g.model(**{g.head(second, out="logits"): [1, CLASSES]})
    model.graph.node[0].name = "edgekit_mul"
    made = made_of(model)
    same(model, made)
    graph = made.model.graph
    assert [value.name for value in (*graph.inputs, *graph.outputs)] == ["input", "logits"]
    names = [value.name for node in graph for value in node.outputs] + [node.name for node in graph]
    assert not any(str(name).startswith("edgekit_") or name in ("image", "input") for name in names)
    assert len(set(names)) == len(names)
    assert opset_of(made.model) == 20


def test_functions_are_inlined() -> None:
    g = Graph()
    model = g.model(y=[1, CLASSES])
    g.head(g.op("Act", g.stem(), domain="own"), out="y")
    model = g.model(y=[1, CLASSES])
    opsets = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Mul", ["a", "a"], ["s"]), helper.make_node("Relu", ["s"], ["b"])]
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "Act", ["a"], ["b"], body, opsets))
    made = made_of(model)
    same(model, made)
    assert "Act" not in kinds(made)
    assert not made.model.functions


def test_unsorted_graphs_and_outputs_without_shapes_are_taken() -> None:
    g = Graph()
    model = g.model(**{g.head(g.stem()): [1, CLASSES]})
    sorted_model = ModelProto()
    sorted_model.CopyFrom(model)
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    same(sorted_model, made_of(model))


@pytest.mark.parametrize("all_inputs", [True, False])
def test_files_of_the_first_years_have_their_constants_as_inputs(all_inputs: bool) -> None:
    """Until version 4 of the format each constant was an input with a default, as in the model zoo's files."""
    g = Graph(opset=11)
    model = g.model(**{g.head(g.stem()): [1, CLASSES]})
    model.ir_version = 3
    for constant in model.graph.initializer if all_inputs else ():
        told = helper.make_tensor_value_info(constant.name, constant.data_type, constant.dims)
        model.graph.input.insert(0, told)
    made = made_of(model)
    wanted = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(answers(made), wanted.run(None, {"x": picture()})[0], rtol=1e-5, atol=1e-5)
    assert [value.name for value in made.model.graph.inputs] == ["input"]


def test_fp16_is_computed_in_float32_and_told() -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    g = Graph()
    model = onnx.shape_inference.infer_shapes(g.model(**{g.head(g.stem()): [1, CLASSES]}))
    for keep in (True, False):
        copy = ModelProto()
        copy.CopyFrom(model)
        made = made_of(convert_float_to_float16(copy, keep_io_types=keep))
        np.testing.assert_allclose(answers(made), run(model, picture()), rtol=2e-2, atol=2e-2)
        assert made.facts.notes == ("computed in FP16 in the file; edgekit computes it in float32",)
        assert "Cast" not in kinds(made)
        assert {value.dtype for value in made.model.graph.initializers.values()} == {ir.DataType.FLOAT}


def test_each_layer_has_its_own_weights() -> None:
    g = Graph()
    weight, x = g.keep(g.floats(CHANNELS, CHANNELS, 3, 3)), g.stem()
    tied = g.op("Identity", weight)
    turned = g.op("Transpose", g.keep(g.floats(3, 3, CHANNELS, CHANNELS)), perm=[3, 2, 0, 1])
    for each in (weight, tied, turned, turned):
        x = g.op("Relu", g.op("Conv", x, each, pads=[1] * 4))
    model = g.model(**{g.head(x): [1, CLASSES]})
    made = made_of(model)
    same(model, made)
    read = [node.inputs[1] for node in made.model.graph if node.op_type in ("Conv", "Gemm")]
    assert all(value is not None and value.is_initializer() for value in read)
    assert len(set(read)) == len(read) == 6
    assert not {"Identity", "Transpose"} & set(kinds(made))


def test_a_branch_may_read_names_from_outside_and_one_that_is_known_is_taken() -> None:
    def branches(g: Graph, x: str) -> dict[str, Any]:
        value = [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
        then = helper.make_graph([helper.make_node("Relu", [x], ["b"])], "then", [], value)
        other = helper.make_graph([helper.make_node("Neg", [x], ["b"])], "other", [], value)
        return {"then_branch": then, "else_branch": other}

    g = Graph()
    x = g.stem()
    x = g.op("If", g.keep(np.array(False)), **branches(g, x))
    total = g.op("ReduceSum", x, keepdims=0)
    x = g.op("If", g.op("Less", total, g.keep(np.array(0, F))), **branches(g, x))
    model = g.model(**{g.head(x): [1, CLASSES]})
    made = made_of(model)
    same(model, made)
    assert kinds(made).count("If") == 1


def test_masks_and_bounds_may_be_infinite_and_weights_may_not() -> None:
    g = Graph()
    x = g.op("Pad", g.stem(), g.ints(0, 0, 0, 0, 0, 0, 1, 1), g.keep(np.array(-np.inf, F)))
    x = g.op("Clip", g.op("MaxPool", x, kernel_shape=[3, 3]), "", g.keep(np.array(np.inf, F)))
    model = g.model(**{g.head(x): [1, CLASSES]})
    same(model, made_of(model))
    for kind, place in (("Conv", 1), ("Gemm", 1)):
        g = Graph()
        model = g.model(**{g.head(g.stem()): [1, CLASSES]})
        name = next(node.input[place] for node in model.graph.node if node.op_type == kind)
        _spoil(model, name, np.inf)
        with pytest.raises(InputError, match=f"infinite values, first in {name}"):
            made_of(model)


def _spoil(model: ModelProto, name: str, value: float) -> None:
    tensor = next(each for each in model.graph.initializer if each.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, name))


def test_nan_is_found_wherever_it_is() -> None:
    spoilt = numpy_helper.from_array(np.array([np.nan], F), "v")
    g = Graph()
    g.op("Add", g.head(g.stem()), g.op("Constant", value=spoilt), out="y")
    with pytest.raises(InputError, match="NaN"):
        made_of(g.model(y=[1, CLASSES]))
    g = Graph()
    x, value = g.stem(), [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    inner = [helper.make_node("Constant", [], ["k"], value=spoilt), helper.make_node("Add", [x, "k"], ["b"])]
    branch = helper.make_graph(inner, "then", [], value)
    other = helper.make_graph([helper.make_node("Neg", [x], ["b"])], "other", [], value)
    x = g.op("If", g.keep(np.array(False)), then_branch=branch, else_branch=other)
    with pytest.raises(InputError, match="NaN"):
        made_of(g.model(**{g.head(x): [1, CLASSES]}))


@pytest.mark.parametrize("kind", ["DequantizeLinear", "QLinearConv", "MatMulInteger", "DynamicQuantizeLinear"])
def test_a_quantized_network_is_refused(kind: str) -> None:
    g = Graph()
    model = g.model(**{g.head(g.stem()): [1, CLASSES]})
    model.graph.node[1].op_type = kind
    with pytest.raises(InputError, match=f"quantized already: it has {kind}"):
        made_of(model)


def test_group_normalisation_is_taken_apart() -> None:
    for opset, count in ((18, 4), (21, CHANNELS)):
        g = Graph(opset)
        x = g.stem()
        for _ in range(3):
            scale, bias = (g.keep(g.floats(count)) for _ in range(2))
            x = g.op("GroupNormalization", x, scale, bias, num_groups=4)
        model = g.model(**{g.head(x): [1, CLASSES]})
        made = made_of(model)
        same(model, made)
        assert "GroupNormalization" not in kinds(made)
        assert opset_of(made.model) == 20
        assert all(value.shape is not None for node in made.model.graph for value in node.outputs)


def test_operators_of_onnx_runtime_are_taken_apart_or_have_their_shapes() -> None:
    g = Graph()
    x = g.op("QuickGelu", g.op("Gelu", g.stem(), domain="com.microsoft"), domain="com.microsoft")
    conv = g.keep(g.floats(CHANNELS, CHANNELS, 3, 3)), g.keep(g.floats(CHANNELS))
    x = g.op("FusedConv", x, *conv, activation="Relu", pads=[1] * 4, domain="com.microsoft")
    x = g.op("FusedMatMul", x, g.keep(g.floats(8, 8)), alpha=0.5, domain="com.microsoft")
    model = g.model(**{g.head(x): [1, CLASSES]})
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    made = made_of(model)
    same(model, made)
    assert [each.op_type for each in made.model.graph if each.domain] == ["FusedMatMul"]
    assert all(value.shape is not None for node in made.model.graph for value in node.outputs)


def batched(batch: int, way: str) -> ModelProto:
    g = Graph()
    g.input([batch, 3, SIZE, SIZE])
    x = g.stem()
    if way == "expand":
        row = g.op("Expand", g.keep(g.floats(1, CHANNELS, 1, 1)), g.ints(batch, CHANNELS, 8, 8))
        x = g.op("Add", x, row)
    elif way == "tile":
        x = g.op("Concat", x, g.op("Tile", g.keep(g.floats(1, CHANNELS, 8, 8)), g.ints(batch, 1, 1, 1)), axis=2)
    elif way == "slice":
        x = g.op("Slice", x, g.ints(0, 0), g.ints(batch, 5), g.ints(0, 2))
    elif way == "heads":
        x = g.op("Reshape", g.op("Reshape", x, g.ints(batch * 2, 4, 8, 8)), g.ints(batch, CHANNELS, 8, 8))
    elif way == "mixed":
        x = g.op("Sub", x, g.op("ReduceMean", x, axes=[0], keepdims=1))
    pooled = g.op("GlobalAveragePool", x)
    logits = g.op("Gemm", g.op("Reshape", pooled, g.ints(batch, CHANNELS)), g.keep(g.floats(CHANNELS, CLASSES)))
    return g.model(**{g.op("Reshape", logits, g.ints(batch, -1)): [batch, CLASSES]})


@pytest.mark.parametrize("way", ["plain", "expand", "tile", "slice", "heads"])
@pytest.mark.parametrize("batch", [5, 8])
def test_a_network_for_several_images_takes_one(way: str, batch: int) -> None:
    model = batched(batch, way)
    made = made_of(model)
    many = picture(batch, 3, SIZE, SIZE)
    np.testing.assert_allclose(answers(made, many[:1])[0], run(model, many)[0], rtol=1e-4, atol=1e-5)


def test_a_network_that_mixes_its_images_is_refused() -> None:
    with pytest.raises(InputError, match="batch of 8") as told:
        made_of(batched(8, "mixed"))
    assert "batch of 1" in told.value.hint


def test_what_is_no_number_is_refused_by_name() -> None:
    g = Graph()
    x = g.stem()
    kept = g.op("SequenceConstruct", x, x)
    x = g.op("SequenceAt", kept, g.op("ArgMax", g.op("ReduceMean", x, axes=[1, 2, 3], keepdims=0), axis=0, keepdims=0))
    with pytest.raises(InputError, match="SequenceConstruct"):
        made_of(g.model(**{g.head(x): [1, CLASSES]}))


def test_too_old_an_opset_and_an_operator_without_an_equal_are_named() -> None:
    g = Graph(6)
    with pytest.raises(InputError, match="opset 6"):
        made_of(g.model(**{g.head(g.stem()): [1, CLASSES]}))
    g = Graph(8)
    scan = g.op("Scan", "", g.stem(), num_scan_inputs=1, body=helper.make_graph([], "b", [], []))
    with pytest.raises(InputError, match=r"Scan|no ONNX|cannot run"):
        made_of(g.model(**{g.head(scan): [1, CLASSES]}))


def test_a_file_that_is_cut_and_one_that_is_wrong_are_told_apart(tmp_path: Path) -> None:
    g = Graph()
    model = g.model(**{g.head(g.stem()): [1, CLASSES]})
    (tmp_path / "cut.onnx").write_bytes(model.SerializeToString()[:-200])
    with pytest.raises(InputError, match="not a whole ONNX model") as cut:
        canonical(tmp_path / "cut.onnx", TOLD_NOTHING, SIDES)
    assert "truncated" in cut.value.hint
    model.graph.node[2].input[0] = "nowhere"
    onnx.save(model, str(tmp_path / "wrong.onnx"))
    with pytest.raises(InputError) as wrong:
        canonical(tmp_path / "wrong.onnx", TOLD_NOTHING, SIDES)
    assert "truncated" not in wrong.value.line()
    onnx.save(
        batched(1, "plain"), str(tmp_path / "net.onnx"), save_as_external_data=True, location="w", size_threshold=0
    )
    (tmp_path / "w").unlink()
    with pytest.raises(InputError, match="weights beside"):
        canonical(tmp_path / "net.onnx", TOLD_NOTHING, SIDES)


def test_newer_opsets_are_written_as_opset_20_where_they_can_be() -> None:
    g = Graph(24)
    x = g.op("Swish", g.op("RMSNormalization", g.stem(), g.keep(g.floats(8)), axis=-1), alpha=1.5)
    model = g.model(**{g.head(x): [1, CLASSES]})
    model.ir_version = 11
    made = made_of(model)
    same(model, made)
    assert opset_of(made.model) == 20
