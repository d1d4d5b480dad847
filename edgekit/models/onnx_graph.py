"""What edgekit does to an ONNX graph: check it, fix its batch to one, count it, put the preprocessing inside."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts

OLDEST_OPSET = 13


def read_onnx(path: Path) -> ModelProto:
    """A checked ONNX model; external data is read only from inside the model's own folder.

    Raises:
        InputError: missing, truncated, no ONNX, opset below 13, or weights that are not finite.
    """
    if not path.is_file():
        raise InputError(f"there is no model file {path}", "Give the path of an .onnx file.")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and external-data errors have no common ancestor
        why = str(error).splitlines()[0][:140] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is not a whole ONNX model: {why}",
            "The file is truncated or of another kind; export it again.",
        ) from error
    if not model.graph.node:
        raise InputError(f"{path} holds an empty ONNX graph", "The file is truncated or empty; export it again.")
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise InputError(f"{path} has opset {opset}", f"Export it with opset {OLDEST_OPSET} or newer.")
    for tensor in model.graph.initializer:
        if tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE) and not bool(
            np.isfinite(numpy_helper.to_array(tensor)).all()
        ):
            raise InputError(
                f"the weights of {path} have NaN or infinite values, first in {tensor.name}", "Train it again."
            )
    return model


def with_fixed_input(model: ModelProto, size: int) -> ModelProto:
    """The same model with batch 1 and a `size` x `size` input written into its shapes, and the shapes inferred.

    Raises:
        InputError: the model does not take one float image, or another size is fixed in it.
    """
    fixed = ModelProto()
    fixed.CopyFrom(model)
    value = image_input(fixed)
    layout = layout_of(value)
    dims = value.type.tensor_type.shape.dim
    wanted = (1, 3, size, size) if layout == "NCHW" else (1, size, size, 3)
    for dim, number in zip(dims, wanted, strict=True):
        if dim.HasField("dim_value") and dim.dim_value > 0 and number != 1 and dim.dim_value != number:
            raise InputError(f"the model's input is {dim.dim_value} pixels, not {size}", "Give the matching --size.")
        dim.dim_value = number
    for output in fixed.graph.output:
        shape = output.type.tensor_type.shape.dim
        if len(shape) and not (shape[0].HasField("dim_value") and shape[0].dim_value > 1):
            shape[0].dim_value = 1
    del fixed.graph.value_info[:]
    return shape_inference.infer_shapes(fixed, data_prop=True)


def image_input(model: ModelProto) -> Any:
    """The one input that is no weight.

    Raises:
        InputError: there is none or more than one, or it is no float image.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise InputError(f"the model has {len(inputs)} inputs", "edgekit takes classifiers with one image input.")
    kind = inputs[0].type.tensor_type
    if kind.elem_type != TensorProto.FLOAT or len(kind.shape.dim) != 4:
        raise InputError("the model's input is not a float32 image of four dimensions", "Export it with a float input.")
    return inputs[0]


def layout_of(value: Any) -> str:
    """NCHW or NHWC, by where the three channels are."""
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in value.type.tensor_type.shape.dim]
    if dims[1] == 3:
        return "NCHW"
    if dims[3] == 3:
        return "NHWC"
    raise InputError(f"the model's input {dims} has no dimension of three channels", "edgekit takes RGB classifiers.")


def facts(model: ModelProto) -> GraphFacts:
    """Counts a model whose shapes are inferred."""
    value = image_input(model)
    layout = layout_of(value)
    dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
    height, width = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    out = model.graph.output[0].type.tensor_type.shape.dim
    weights = {t.name: tuple(t.dims) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
    return GraphFacts(
        layout=layout,
        height=height,
        width=width,
        classes=out[len(out) - 1].dim_value if len(out) else 0,
        params=sum(math.prod(shape) for shape in weights.values()),
        macs=_macs(model),
    )


def _macs(model: ModelProto) -> int:
    shapes: dict[str, tuple[int, ...]] = {t.name: tuple(t.dims) for t in model.graph.initializer}
    for value in [*model.graph.value_info, *model.graph.output, *model.graph.input]:
        shapes.setdefault(value.name, tuple(d.dim_value for d in value.type.tensor_type.shape.dim))
    total = 0
    for node in model.graph.node:
        out = shapes.get(node.output[0], ()) if node.output else ()
        weight = shapes.get(node.input[1], ()) if len(node.input) > 1 else ()
        if node.op_type == "Conv" and out and weight:
            total += math.prod(out) * math.prod(weight[1:])
        elif node.op_type in ("Gemm", "MatMul") and out and weight:
            inner = shapes.get(node.input[0], (0,))
            total += math.prod(out) * (inner[-1] if inner else 0)
    return total


def with_preprocessing(model: ModelProto, preprocessing: Preprocessing) -> ModelProto:
    """Puts the preprocessing in front: the new input `image` is uint8 (1, H, W, 3) RGB.

    Cast to float, colour order, one multiplication and one addition per channel, and the layout the network wants.
    """
    out = ModelProto()
    out.CopyFrom(model)
    old = image_input(out)
    layout = layout_of(old)
    dims = [d.dim_value for d in old.type.tensor_type.shape.dim]
    height, width = (dims[2], dims[3]) if layout == "NCHW" else (dims[1], dims[2])
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    constants = {
        "edgekit_scale": (1.0 / (255.0 * std)).astype(np.float32),
        "edgekit_shift": (-mean / std).astype(np.float32),
    }
    nodes = [helper.make_node("Cast", ["image"], ["edgekit_float"], name="edgekit_cast", to=TensorProto.FLOAT)]
    last = "edgekit_float"
    if preprocessing.color == "bgr":
        out.graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0], np.int64), "edgekit_bgr"))
        nodes.append(
            helper.make_node("Gather", [last, "edgekit_bgr"], ["edgekit_swapped"], name="edgekit_swap", axis=3)
        )
        last = "edgekit_swapped"
    scaled = old.name if layout == "NHWC" else "edgekit_normalised"
    nodes += [
        helper.make_node("Mul", [last, "edgekit_scale"], ["edgekit_scaled"], name="edgekit_mul"),
        helper.make_node("Add", ["edgekit_scaled", "edgekit_shift"], [scaled], name="edgekit_add"),
    ]
    if layout == "NCHW":
        nodes.append(helper.make_node("Transpose", [scaled], [old.name], name="edgekit_layout", perm=[0, 3, 1, 2]))
    for name, array in constants.items():
        out.graph.initializer.append(numpy_helper.from_array(array, name))
    kept = list(out.graph.node)
    del out.graph.node[:]
    out.graph.node.extend([*nodes, *kept])
    remaining = [value for value in out.graph.input if value.name != old.name]
    del out.graph.input[:]
    out.graph.input.extend(
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, height, width, 3]), *remaining]
    )
    return out


def with_features(model: ModelProto) -> ModelProto:
    """The same model giving only what its classifier sees (the input of the last Gemm, MatMul or Conv).

    Raises:
        InputError: the graph has no such node.
    """
    out = ModelProto()
    out.CopyFrom(model)
    last = next((n for n in reversed(out.graph.node) if n.op_type in ("Gemm", "MatMul", "Conv")), None)
    if last is None:
        raise InputError("the model has no classifier layer to take features from", "Use --strategy stratified.")
    del out.graph.output[:]
    out.graph.output.append(helper.make_tensor_value_info(last.input[0], TensorProto.FLOAT, None))
    return out


def takes_pixels(path: Path) -> bool:
    """Whether an ONNX file's one input is uint8 (1, H, W, 3), as in the graphs that edgekit writes.

    Raises:
        InputError: it is no whole ONNX file.
    """
    model = read_onnx(path)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    return len(inputs) == 1 and inputs[0].type.tensor_type.elem_type == TensorProto.UINT8


def pixel_facts(path: Path) -> tuple[int, int, bool, bool]:
    """Of a graph that takes pixels: its side in pixels, its classes (0 when open), whether there are Q/DQ nodes, and
    whether it is in TensorRT's form: all its zero points are signed, or parts of it compute in FP16.
    """
    model = onnx.load(str(path), load_external_data=False)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    value = next(v for v in model.graph.input if v.name not in constants)
    out = model.graph.output[0].type.tensor_type.shape.dim
    quantizers = [node for node in model.graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2]
    signed = all(constants[q.input[2]].data_type == TensorProto.INT8 for q in quantizers if q.input[2] in constants)
    half = any(tensor.data_type == TensorProto.FLOAT16 for tensor in constants.values())
    side, classes = value.type.tensor_type.shape.dim[1].dim_value, out[len(out) - 1].dim_value if len(out) else 0
    return side, classes, bool(quantizers), half or (bool(quantizers) and signed)


def drop_unread_constants(model: ModelProto) -> None:
    """Takes the constants that no node reads out of a graph, in place."""
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def integer_of(node: NodeProto, name: str, default: int) -> int:
    """An attribute of a node that is a whole number; `default` where the node does not have it."""
    return next((int(each.i) for each in node.attribute if each.name == name), default)
