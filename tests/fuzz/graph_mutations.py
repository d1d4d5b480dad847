"""ONNX files as an enemy would write them: whole graphs with other numbers, operators, shapes and edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

INTEGERS: Final = (0, 1, -1, 2, 3, 7, 255, 65_536, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
OPERATORS: Final = (
    *(
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "Relu",
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "Pad",
    ),
    *("Resize", "Tile", "Expand", "ConstantOfShape", "Range", "Gather", "Slice", "Split", "Concat", "Shape", "Size"),
    *("Softmax", "Cast", "Loop", "If", "Scan", "NonZero", "TopK", "OneHot", "MaxPool", "AveragePool", "Identity"),
    *("BatchNormalization", "LSTM", "Einsum", "QuantizeLinear", "DequantizeLinear", "SequenceEmpty", "RandomNormal"),
    *("GridSample", "DFT", "Upsample", "LRN", "Dropout", "Where", "ScatterND", "Trilu", "CumSum", "Div", "Mod", "Foo"),
)
VERSIONS: Final = (0, 1, 6, 9, 12, 13, 18, 21, 25, 99, -1, 2**62)


def changed_graphs(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of the seeds with up to four changes."""

    @st.composite
    def made(draw: st.DrawFn) -> bytes:
        import onnx

        model = onnx.ModelProto()
        model.CopyFrom(_parsed(draw(st.sampled_from(seeds))))
        for _ in range(draw(st.integers(1, 4))):
            draw(st.sampled_from(CHANGES))(draw, model)
        return bytes(model.SerializeToString())

    return made()


@cache
def _parsed(content: bytes) -> Any:
    import onnx

    return onnx.load_from_string(content)


def _pick(draw: st.DrawFn, items: Any) -> Any:
    return items[draw(st.integers(0, len(items) - 1))] if len(items) else None


def _attribute(draw: st.DrawFn, model: Any) -> None:
    found = [each for node in model.graph.node for each in node.attribute]
    each = _pick(draw, found)
    if each is None:
        return
    if draw(st.booleans()) and len(each.ints):
        each.ints[draw(st.integers(0, len(each.ints) - 1))] = draw(st.sampled_from(INTEGERS))
    elif draw(st.booleans()):
        each.ints.extend(draw(st.lists(st.sampled_from(INTEGERS), max_size=5)))
    else:
        each.i, each.type = draw(st.sampled_from(INTEGERS)), draw(st.integers(0, 14))


def _constant(draw: st.DrawFn, model: Any) -> None:
    import numpy as np
    from onnx import numpy_helper

    each = _pick(draw, model.graph.initializer)
    if each is None:
        return
    match draw(st.integers(0, 3)):
        case 0:
            each.dims[:] = draw(st.lists(st.sampled_from(INTEGERS), max_size=6))
        case 1:
            numbers = draw(st.lists(st.sampled_from(INTEGERS), max_size=6))
            each.CopyFrom(numpy_helper.from_array(np.array(numbers, np.int64), each.name))
        case 2:
            each.data_type = draw(st.integers(0, 30))
        case _:
            values = draw(st.lists(st.sampled_from((0.0, 1e38, -1e38, float("nan"), float("inf"))), max_size=6))
            each.CopyFrom(numpy_helper.from_array(np.array(values, np.float32), each.name))


def _operator(draw: st.DrawFn, model: Any) -> None:
    if (node := _pick(draw, model.graph.node)) is not None:
        node.op_type = draw(st.sampled_from(OPERATORS))


def _edge(draw: st.DrawFn, model: Any) -> None:
    names = [each for node in model.graph.node for each in (*node.input, *node.output)] + ["", "nowhere"]
    node = _pick(draw, model.graph.node)
    if node is None:
        return
    ends = draw(st.sampled_from((node.input, node.output)))
    if len(ends) and draw(st.booleans()):
        ends[draw(st.integers(0, len(ends) - 1))] = draw(st.sampled_from(names))
    else:
        ends.append(draw(st.sampled_from(names)))


def _node(draw: st.DrawFn, model: Any) -> None:
    if not len(model.graph.node):
        return
    at = draw(st.integers(0, len(model.graph.node) - 1))
    if draw(st.booleans()):
        del model.graph.node[at]
    else:
        model.graph.node.append(model.graph.node[at])


def _shape(draw: st.DrawFn, model: Any) -> None:
    value = _pick(draw, [*model.graph.input, *model.graph.output])
    if value is None:
        return
    value.type.tensor_type.elem_type = draw(st.sampled_from((1, 1, 1, 2, 7, 10, 11, 0, 30)))
    dims = value.type.tensor_type.shape.dim
    if len(dims):
        dims[draw(st.integers(0, len(dims) - 1))].dim_value = draw(st.sampled_from(INTEGERS))


def _version(draw: st.DrawFn, model: Any) -> None:
    number = draw(st.sampled_from(VERSIONS))
    if draw(st.booleans()):
        model.ir_version = number
    elif len(model.opset_import):
        model.opset_import[0].version = number


CHANGES: Final[tuple[Callable[[st.DrawFn, Any], None], ...]] = (
    *(_attribute, _attribute, _constant, _constant, _operator, _edge, _edge, _node, _shape, _version),
)
