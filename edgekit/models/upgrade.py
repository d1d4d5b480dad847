"""Older opsets made new: attributes that became inputs, renamed operators, a softmax of another axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.edit import Edit, called, integer, words
from edgekit.models.onnx_graph import constant, opset_of

TARGET: Final = 20
OLDEST: Final = 7
REDUCTIONS: Final = (
    "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare", "ReduceLogSum",
    "ReduceLogSumExp",
)  # fmt: skip
AXES_ARE_INPUTS: Final = 18
"""The opset from which on the axes of these are an input, not an attribute."""


Moved = tuple[int, tuple[tuple[str, int, Any], ...]]

MOVED: Final[dict[str, Moved]] = {
    "Clip": (11, (("min", 1, np.float32), ("max", 2, np.float32))),
    "Pad": (11, (("pads", 1, np.int64), ("value", 2, np.float32))),
    "Slice": (10, (("starts", 1, np.int64), ("ends", 2, np.int64), ("axes", 3, np.int64))),
    "TopK": (10, (("k", 1, np.int64),)),
    "Split": (13, (("split", 1, np.int64),)),
    **dict.fromkeys(("Squeeze", "Unsqueeze", "ReduceSum"), (13, (("axes", 1, np.int64),))),
    **dict.fromkeys(REDUCTIONS, (AXES_ARE_INPUTS, (("axes", 1, np.int64),))),
}
"""Operators whose attributes became inputs: the opset that did it, and for each its name, input and type."""


def upgrade(model: ir.Model) -> None:
    """Writes a float32 graph in opset 20, in place; one of a newer opset stays so.

    Raises:
        InputError: it is older than opset 7, or has an operator that opset 20 does not have; both are named.
    """
    now = opset_of(model)
    for node in model.graph.all_nodes():
        node.domain = "" if node.domain == "ai.onnx" else node.domain
    if 0 < now < OLDEST:
        raise InputError(f"the network is of opset {now}", f"edgekit reads opset {OLDEST} and newer: export it again.")
    if now < TARGET:
        edit = Edit(model)
        for node in [each for each in model.graph.all_nodes() if each.domain == ""]:
            _move(edit, node, now)
            adapt = ADAPTERS.get(node.op_type)
            if adapt is not None and now < adapt[0]:
                adapt[1](edit, node)
        for node in model.graph.all_nodes():
            _check(node, now)
    model.opset_imports.pop("ai.onnx", None)
    model.opset_imports[""] = max(now, TARGET)


def refused(node: ir.Node, why: str) -> InputError:
    """An operator that cannot be taken over."""
    return InputError(f"the operator {called(node)} {why}", "Export the network again with opset 13 or newer.")


def _move(edit: Edit, node: ir.Node, now: int) -> None:
    """Attributes that became inputs."""
    since, moved = MOVED.get(node.op_type, (0, ()))
    if now >= since:
        return
    for name, place, kind in moved:
        attribute = node.attributes.pop(name, None)
        if attribute is None:
            continue
        if place >= len(node.inputs):
            node.resize_inputs(place + 1)
        array = np.asarray(attribute.value, kind)
        array = array.reshape(1) if name == "k" else array
        node.replace_input_with(place, edit.constant(f"{node.op_type.lower()}_{name}", array))


def _check(node: ir.Node, now: int) -> None:
    """Refuses what opset 20 would read in another way, or not at all."""
    if node.domain != "" or node.op_type == "GroupNormalization":  # which is taken apart, see edgekit.models.decompose
        return
    try:
        schema = onnx.defs.get_schema(node.op_type, TARGET, "")
    except onnx.defs.SchemaError:
        raise refused(node, f"of opset {now} is not known in opset {TARGET}") from None
    unknown = [name for name in node.attributes if name not in schema.attributes]
    if schema.deprecated or unknown or len(node.inputs) > schema.max_input:
        raise refused(node, f"of opset {now} has no equal in opset {TARGET}")


def _flat_softmax(edit: Edit, node: ir.Node) -> None:
    """Before opset 13 all axes from the one named on were one: they are flattened, and shaped as they were again."""
    axis, source = integer(node, "axis", 1), node.inputs[0]
    assert source is not None
    rank = None if source.shape is None else len(source.shape)
    if rank is not None and axis % rank == rank - 1:
        node.attributes.add(ir.AttrInt64("axis", -1))
        return
    shape = edit.before(node, "Shape", [source])
    flat = edit.before(node, "Flatten", [source], axis=axis)
    made = edit.before(node, node.op_type, [flat], axis=-1)
    edit.replace(node, edit.before(node, "Reshape", [made, shape]))


def _batch_norm(edit: Edit, node: ir.Node) -> None:
    spatial = node.attributes.pop("spatial", None)
    if spatial is not None and spatial.as_int() == 0:
        raise refused(node, "normalises each pixel on its own")
    if any(value.uses() for value in node.outputs[1:]):
        raise refused(node, "is in training mode")
    node.resize_outputs(1)


def _resized(edit: Edit, node: ir.Node) -> None:
    """Upsample, and the Resize of opset 10: pixels are counted from their corners."""
    given = node.attributes.pop("scales", None)
    scales = edit.constant("scales", np.array(given.as_floats(), np.float32)) if given else node.inputs[1]
    array = constant(scales)
    if array is None:
        raise refused(node, "has scales that are not constant")
    if bool((array < 1).any() and (array > 1).any()):
        raise refused(node, "makes one side larger and the other smaller")
    mode = words(node, "mode", "nearest")
    nearest = "ceil" if bool((array < 1).any()) else "floor"
    inputs = [node.inputs[0], None, scales]
    told = {"mode": mode, "coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
    edit.replace(node, edit.before(node, "Resize", inputs, **told))


def _resize(edit: Edit, node: ir.Node) -> None:
    """The Resize of opset 10, which has scales alone; later ones may carry inputs that are empty."""
    if len(node.inputs) == 2:
        _resized(edit, node)
        return
    if words(node, "coordinate_transformation_mode", "half_pixel") == "tf_half_pixel_for_nn":
        node.attributes.add(ir.AttrString("coordinate_transformation_mode", "half_pixel"))
        node.attributes.add(ir.AttrString("nearest_mode", "floor"))
    for place in (1, 2):
        array = constant(node.inputs[place])
        if array is not None and array.size == 0:
            node.replace_input_with(place, None)


def _split(edit: Edit, node: ir.Node) -> None:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        node.attributes.add(ir.AttrInt64("num_outputs", len(node.outputs)))


def _dropout(edit: Edit, node: ir.Node) -> None:
    node.attributes.pop("ratio", None)


def _scatter(edit: Edit, node: ir.Node) -> None:
    node.op_type = "ScatterElements"


ADAPTERS: Final[dict[str, tuple[int, Callable[[Edit, ir.Node], None]]]] = {
    "Softmax": (13, _flat_softmax), "LogSoftmax": (13, _flat_softmax), "Hardmax": (13, _flat_softmax),
    "BatchNormalization": (14, _batch_norm), "Upsample": (10, _resized), "Resize": (13, _resize),
    "Split": (18, _split), "Dropout": (12, _dropout), "Scatter": (11, _scatter),
}  # fmt: skip
"""Operators that changed otherwise: the opset that did it, and what makes the older one new."""
