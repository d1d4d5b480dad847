"""ONNX classifiers as onnx_ir models: read, written, checked, counted, and with their preprocessing inside."""

from __future__ import annotations

import gc
import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common

from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.onnx_file import read_onnx
from edgekit.size import Size, shown

OLDEST_OPSET: Final = 13

PIXELS: Final = "image"
"""The input of graphs with their preprocessing inside, see edgekit.models.pixel_input."""

LARGE_BYTES: Final = 16_000_000
"""Files from here on have the graphs of before collected first: models are cycles and keep their weights until then."""


@dataclass(frozen=True)
class PixelFacts:
    """What a graph that takes pixels says of itself.

    Attributes:
        size: of its input; classes: outputs, 0 when the graph leaves them open.
        quantized: whether there are Q/DQ nodes.
        dtype: of the pixels, "uint8" or "float32".
        for_tensorrt: all zero points are signed, parts of the graph compute in FP16, or the pixels are float32.
    """

    size: Size
    classes: int
    quantized: bool
    for_tensorrt: bool
    dtype: str = "uint8"


def load(path: Path) -> ir.Model:
    """A graph that edgekit wrote, unchecked."""
    if path.stat().st_size > LARGE_BYTES:
        gc.collect()
    return ir.load(path)


def quantizes_by_channel(path: Path) -> bool:
    """Whether a graph in a file gives activations a scale a channel, as NNCF does before depthwise convolutions.

    OpenVINO runs them. ONNX Runtime 1.32 makes an integer convolution of one that is followed by a ReLU, which takes
    one scale alone and fails when it is run.
    """
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(b"DequantizeLinear") < 0:
            return False
    return any(map(_is_by_channel, load(path).graph))


def _is_by_channel(node: ir.Node) -> bool:
    """Whether a node dequantizes what was computed, by several scales."""
    source, scale = node.inputs[0] if node.inputs else None, constant(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op_type != "DequantizeLinear" or scale is None or scale.size == 1 or constant(source) is not None:
        return False
    made = None if source is None else source.producer()
    return made is None or constant(made.inputs[0]) is None


def save(model: ir.Model, path: Path) -> None:
    """Writes a graph as one file; the same graph gives the same bytes."""
    onnx.save(to_proto(model), str(path))


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """The protobuf form, for files and for the libraries that take no other; weights are copied."""
    proto = ir.to_proto(model)
    # onnx_ir states the shape of every constant a second time, as the value_info of an inner tensor.
    kept = [info for info in proto.graph.value_info if info.name not in model.graph.initializers]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)
    return proto


def opset_of(model: ir.Model) -> int:
    """The version of the standard operators; 0 where the model names none."""
    return max(model.opset_imports.get("", 0), model.opset_imports.get("ai.onnx", 0))


def name_of(value: ir.Value) -> str:
    """A tensor's name: in a graph they all have one."""
    return value.name or ""


def dims_of(value: ir.Value | None) -> tuple[int, ...]:
    """A tensor's shape, 0 for what is open; () where it is not known."""
    if value is None or value.shape is None:
        return ()
    return tuple(dim if isinstance(dim, int) else 0 for dim in value.shape)


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The numbers of an initializer, not to be written to; None for other tensors."""
    return None if value is None or value.const_value is None else value.const_value.numpy()


def array_of(value: ir.Value | None) -> NDArray[Any]:
    """The numbers of what is known to be an initializer, not to be written to."""
    array = constant(value)
    assert array is not None, value
    return array


def add_constant(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """Puts a new initializer into a graph; one of the same name is replaced."""
    value = ir.val(name, const_value=ir.tensor(array, name=name))
    graph.initializers.add(value)
    return value


def set_constant(value: ir.Value, array: NDArray[Any]) -> None:
    """Gives an initializer other numbers, in place: a new tensor, as copies of a model share theirs."""
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=value.name)
    value.const_value, value.type, value.shape = tensor, ir.TensorType(tensor.dtype), ir.Shape(array.shape)


def drop_unused(model: ir.Model) -> None:
    """Takes nodes and constants that lead nowhere out of a model, in place."""
    common.RemoveUnusedNodesPass()(model)


def forget_shapes(graph: ir.Graph) -> None:
    """Takes the types and shapes of inner tensors away, in place, where an edit may have made them wrong."""
    for value in (value for node in graph for value in node.outputs if not value.is_graph_output()):
        value.type, value.shape = None, None
        value.metadata_props.clear()


def infer_shapes(model: ir.Model) -> None:
    """Fills in what shapes can be inferred, in place."""
    order = list(model.graph.initializers.values())
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    model.graph.initializers.clear()  # the pass puts large ones at the end
    for value in order:
        model.graph.initializers.add(value)


def with_fixed_input(model: ir.Model, size: Size) -> ir.Model:
    """The same model with batch 1 and an input of `size` written into its shapes, and the shapes inferred.

    Raises:
        InputError: the model does not take one float image, or another size is fixed in it.
    """
    fixed = model.clone()
    value = image_input(fixed)
    channels = channels_of(value)
    wanted = (1, channels, *size) if layout_of(value) == "NCHW" else (1, *size, channels)
    for dim, number in zip(dims_of(value), wanted, strict=True):
        if dim > 0 and number != 1 and dim != number:
            what = f"the model's input is {dim} pixels, not {shown(size)}"
            raise InputError(what, "Give the matching --size, as height x width.")
    value.shape = ir.Shape(wanted)
    for output in fixed.graph.outputs:
        dims = dims_of(output)
        if output.shape is not None and dims and dims[0] <= 1:
            output.shape[0] = 1
    forget_shapes(fixed.graph)
    infer_shapes(fixed)
    return fixed


def given_inputs(model: ir.Model) -> list[ir.Value]:
    """The inputs that are no weights."""
    return [value for value in model.graph.inputs if not value.is_initializer()]


def image_input(model: ir.Model) -> ir.Value:
    """The one input that is no weight.

    Raises:
        InputError: there is none or more than one, or it is no float image.
    """
    inputs = given_inputs(model)
    if len(inputs) != 1:
        raise InputError(f"the model has {len(inputs)} inputs", "edgekit takes classifiers with one image input.")
    if inputs[0].dtype != ir.DataType.FLOAT or len(dims_of(inputs[0])) != 4:
        raise InputError("the model's input is not a float32 image of four dimensions", "Export it with a float input.")
    return inputs[0]


def layout_of(value: ir.Value) -> Literal["NCHW", "NHWC"]:
    """NCHW or NHWC, by where the three channels are, or the one of grey pictures.

    Raises:
        InputError: there are no such channels.
    """
    dims = dims_of(value)
    if dims[1] in (1, 3):
        return "NCHW"
    if dims[3] in (1, 3):
        return "NHWC"
    raise InputError(
        f"the model's input {list(dims)} has no dimension of three channels, or of one",
        "edgekit takes networks for RGB or grey pictures.",
    )


def sides_of(value: ir.Value) -> tuple[int, int]:
    """Height and width of an image, pixels; 0 where they are open."""
    dims = dims_of(value)
    return (dims[2], dims[3]) if layout_of(value) == "NCHW" else (dims[1], dims[2])


def channels_of(value: ir.Value) -> int:
    """Channels of an image: 3, or 1 of grey pictures."""
    return dims_of(value)[1 if layout_of(value) == "NCHW" else 3]


def facts(model: ir.Model) -> GraphFacts:
    """Counts a model whose shapes are inferred."""
    value, out = image_input(model), dims_of(model.graph.outputs[0])
    height, width = sides_of(value)
    weights = [each for each in model.graph.initializers.values() if each.dtype == ir.DataType.FLOAT]
    return GraphFacts(
        layout=layout_of(value),
        height=height,
        width=width,
        classes=out[-1] if out else 0,
        params=sum(math.prod(dims_of(each)) for each in weights),
        macs=sum(map(_macs, model.graph)),
    )


def _macs(node: ir.Node) -> int:
    out = dims_of(node.outputs[0]) if node.outputs else ()
    weight = dims_of(node.inputs[1]) if len(node.inputs) > 1 else ()
    if node.op_type == "Conv" and out and weight:
        return math.prod(out) * math.prod(weight[1:])
    if node.op_type in ("Gemm", "MatMul") and out and weight:
        inner = dims_of(node.inputs[0])
        return math.prod(out) * (inner[-1] if inner else 0)
    return 0


def with_features(model: ir.Model) -> ir.Model:
    """The same model giving only what its classifier sees (the input of the last Gemm, MatMul or Conv).

    Raises:
        InputError: the graph has no such node.
    """
    out = model.clone()
    last = next((node for node in reversed(out.graph) if node.op_type in ("Gemm", "MatMul", "Conv")), None)
    seen = None if last is None else last.inputs[0]
    if seen is None:
        raise InputError("the model has no classifier layer to take features from", "Use --strategy stratified.")
    give_only(out, [seen])
    drop_unused(out)
    return out


def give_only(model: ir.Model, values: list[ir.Value]) -> None:
    """Makes float tensors of a model its outputs, in the place of those that it has."""
    model.graph.outputs.clear()
    for value in values:
        value.type = value.type or ir.TensorType(ir.DataType.FLOAT)
        model.graph.outputs.append(value)


def takes_pixels(path: Path) -> bool:
    """Whether an ONNX file is a graph of edgekit's own: its one input is raw pixels (1, H, W, 3), prepared inside.

    They are uint8, or float32 for TensorRT before 8.5. A network from outside that takes uint8 is none: how it wants
    its pixels laid out is not known by that.

    Raises:
        InputError: it is no whole ONNX file.
    """
    model = read_onnx(path)
    inputs = given_inputs(model)
    if len(inputs) != 1 or len(dims_of(inputs[0])) != 4 or not model.graph.outputs:
        return False
    readers = [node.name or "" for node in inputs[0].consumers()]
    own = inputs[0].name == PIXELS and bool(readers) and all(name.startswith("edgekit_") for name in readers)
    return own and inputs[0].dtype in (ir.DataType.UINT8, ir.DataType.FLOAT)


def pixel_facts(path: Path) -> PixelFacts:
    """What a file says whose graph takes pixels; its weights are not read."""
    graph = ir.load(path).graph
    zeros = [node.inputs[2] for node in graph if node.op_type == "QuantizeLinear" and len(node.inputs) > 2]
    signed = all(zero.dtype == ir.DataType.INT8 for zero in zeros if zero is not None and zero.is_initializer())
    half = any(value.dtype == ir.DataType.FLOAT16 for value in graph.initializers.values())
    image, out = next(value for value in graph.inputs if not value.is_initializer()), dims_of(graph.outputs[0])
    return PixelFacts(
        size=(dims_of(image)[1], dims_of(image)[2]),
        classes=out[-1] if out else 0,
        quantized=bool(zeros),
        for_tensorrt=half or (bool(zeros) and signed) or image.dtype == ir.DataType.FLOAT,
        dtype="float32" if image.dtype == ir.DataType.FLOAT else "uint8",
    )
