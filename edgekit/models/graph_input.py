"""The input of a network from outside, whatever its type, layout and batch: float32 (1, C, H, W) afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.answer import Answer
from edgekit.models.bounds import MOST_NUMBERS
from edgekit.models.edit import Edit, integer, integers
from edgekit.models.onnx_file import read_proto
from edgekit.models.onnx_graph import array_of, constant, dims_of, drop_unused, given_inputs, infer_shapes, name_of
from edgekit.models.run_graph import plain
from edgekit.size import LARGEST_SIDE

INPUT: Final = "input"
FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)
CHANNELS: Final = (1, 3)
TO_NCHW: Final = [0, 3, 1, 2]
TO_NHWC: Final = [0, 2, 3, 1]
MOVES: Final = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice", "Gather", "Concat"}
"""Operators that move numbers and compute nothing, so that the type of the numbers does not matter."""


@dataclass(frozen=True)
class FileInput:
    """The input as the file has it.

    Attributes:
        name: in the file; dtype: "float32", "float16", "bfloat16", "float64" or "uint8".
        layout: "NCHW" or "NHWC"; batched: whether there is a dimension of images at all.
        batch: how many images it takes at once; 1 where that is open.
        channels, height, width: 0 where a side is open.
        properties: the metadata of the file.
    """

    name: str
    dtype: str
    layout: str
    batched: bool
    batch: int
    channels: int
    height: int
    width: int
    properties: Mapping[str, str] = field(default_factory=dict, compare=False)

    def fed(self, pictures: NDArray[np.float32]) -> NDArray[np.generic]:
        """Pictures (N, C, H, W) as the file wants them."""
        if self.dtype == "bfloat16":
            raise InputError(f"the input {self.name} is bfloat16", "Export it with a float32 input.")
        turned = pictures if self.layout == "NCHW" else pictures.transpose(0, 2, 3, 1)
        made = np.ascontiguousarray(turned.round() if self.dtype == "uint8" else turned).astype(self.dtype)
        return made if self.batched else made[0]


def peek(path: Path, answer: Answer) -> FileInput:
    """What the image input of an ONNX file is; its weights are not read.

    Raises:
        InputError: it is no whole ONNX file, or has no such input.
    """
    proto = read_proto(path, weights=False)
    try:
        model: ir.Model = ir.from_proto(proto)
    except Exception as error:  # a graph that contradicts itself, in any of many ways
        raise InputError(f"{path} is no ONNX network: {plain(error)}", "Export it again.") from error
    return look_at_input(model, answer)


def look_at_input(model: ir.Model, answer: Answer) -> FileInput:
    """What the one image input of a graph is.

    Raises:
        InputError: there is none, or more than one; or its type, shape or channels are none that edgekit takes.
    """
    value = _the_input(model)
    shown = f"{value.name} {_shown(value)}"
    if value.dtype not in (*FLOATS, ir.DataType.UINT8):
        kind = "nothing that is known" if value.dtype is None else value.dtype.name.lower()
        raise InputError(f"the input {shown} is {kind}, no picture", "Export it with a float32 or uint8 input.")
    dims = dims_of(value)
    if len(dims) not in (3, 4):
        raise InputError(f"the input {shown} is no picture of four dimensions", "Export it with (N, C, H, W).")
    batched = len(dims) == 4
    whole = dims if batched else (1, *dims)
    layout, channels = _layout(value, whole, answer)
    height, width = (whole[2], whole[3]) if layout == "NCHW" else (whole[1], whole[2])
    if max(height, width) > LARGEST_SIDE or max(1, whole[0]) * channels * height * width > MOST_NUMBERS:
        raise InputError(
            f"the input {shown} has more pixels than fit into memory", "Check its shape, and export it again."
        )
    dtype = {"FLOAT": "float32", "DOUBLE": "float64"}.get(value.dtype.name, value.dtype.name.lower())
    metadata: Mapping[Any, Any] = model.metadata_props  # protobuf gives what is no UTF-8 as bytes
    said = {key: told for key, told in metadata.items() if isinstance(key, str) and isinstance(told, str)}
    sides = (channels, height, width)
    return FileInput(name_of(value), dtype, layout, batched, max(1, whole[0]), *sides, properties=said)


def _shown(value: ir.Value) -> str:
    return "of unknown shape" if value.shape is None else f"[{', '.join(str(dim) for dim in value.shape)}]"


def _the_input(model: ir.Model) -> ir.Value:
    """The one input that the answers may depend on; inputs that nothing reads count for nothing."""
    inputs = given_inputs(model)
    if len(inputs) > 1:
        inputs = [value for value in inputs if value.uses() or value.is_graph_output()] or inputs
    if len(inputs) != 1:
        named = ": " + "; ".join(f"{value.name} {_shown(value)}" for value in inputs) if inputs else ""
        raise InputError(
            f"the model has {len(inputs)} inputs{named}",
            "edgekit takes networks with one image input; export the others as constants.",
        )
    return inputs[0]


def _layout(value: ir.Value, dims: tuple[int, ...], answer: Answer) -> tuple[str, int]:
    """The layout and the number of channels: as told, by the shape, or by what reads the image."""
    found = {"NCHW": dims[1], "NHWC": dims[3]}
    fits = [layout for layout, channels in found.items() if channels in CHANNELS]
    open_ones = [layout for layout, channels in found.items() if channels == 0]
    read, channels = _as_read(value)
    if answer.layout is not None:
        layout = answer.layout.upper()
    elif read is not None and found[read] in (0, channels) and channels in CHANNELS:
        layout = read
    elif len(fits) == 1 or (fits and not open_ones and dims[1] == 3 and dims[3] == 1):
        layout = fits[0]
    elif fits or open_ones:
        what = f"the layout of the input {value.name} {_shown(value)} cannot be told"
        raise InputError(what, "Give --layout nchw or nhwc.")
    else:
        layout = "NCHW"
    number = found[layout] or (channels if layout == read else 0) or 3
    if number not in CHANNELS:
        what = f"the input {value.name} {_shown(value)} has no dimension of three channels, or of one"
        raise InputError(what, "edgekit takes networks for RGB or grey pictures.")
    return layout, number


def _as_read(value: ir.Value) -> tuple[str | None, int]:
    """The layout and channels that the first layer wants of an image; None where something else reads it first."""
    for node in value.consumers():
        if node.op_type == "Conv":
            weight = dims_of(node.inputs[1])
            return ("NCHW", weight[1] * integer(node, "group", 1)) if len(weight) == 4 else (None, 0)
        if node.op_type == "Transpose" and integers(node, "perm") == TO_NCHW:
            inner = [_as_read(node.outputs[0])]
            return "NHWC", next((channels for _, channels in inner if channels), 0)
    return None, 0


def set_input(model: ir.Model, found: FileInput, size: tuple[int, int]) -> None:
    """Puts the input `input`, float32 (1, C, height, width), in the place of the file's, in place.

    Raises:
        InputError: the file has another size.
    """
    for known, wanted in ((found.height, size[0]), (found.width, size[1])):
        if known > 0 and known != wanted:
            told = f"{found.height or '?'}x{found.width or '?'}"
            raise InputError(
                f"the model's input is {told} pixels, not {size[0]}x{size[1]}", "Give the matching --size, or none."
            )
    edit, old = Edit(model), next(value for value in model.graph.inputs if value.name == found.name)
    for value in given_inputs(model):
        if value is not old:
            model.graph.inputs.remove(value)
    old.name = edit.name("input_of_file")
    image = ir.val(INPUT, ir.DataType.FLOAT, [1, found.channels, *size])
    model.graph.inputs.remove(old)
    model.graph.inputs.insert(0, image)
    first, last = model.graph[0], image
    if found.layout == "NHWC":
        last = edit.before(first, "Transpose", [last], perm=TO_NHWC)
    if not found.batched:
        last = edit.before(first, "Squeeze", [last, edit.ints("axes", 0)])
    if found.dtype == "uint8" and not _floats_soon(old):
        last = edit.before(first, "Cast", [edit.before(first, "Round", [last])], to=ir.DataType.UINT8.value)
    old.replace_all_uses_with(last, replace_graph_outputs=True)


def join_turns(model: ir.Model) -> None:
    """Leaves out a turn of the image to NHWC and the file's own turn back, in place, with what lies between them.

    That is what normalises the image: its constants are turned instead.
    """
    edit, image = Edit(model), model.graph.inputs[0]
    for turn in [each for each in image.consumers() if integers(each, "perm") == TO_NHWC]:
        last = turn
        while (reader := _normalising(last)) is not None:
            last = _turned_after(edit, last, reader)
        source = last.inputs[0]
        for back in list(last.outputs[0].consumers()):
            ends = back.outputs[0].is_graph_output() and source is image
            if source is not None and integers(back, "perm") == TO_NCHW and not ends:
                edit.replace(back, source)
    drop_unused(model)
    infer_shapes(model)


def _turned_after(edit: Edit, turn: ir.Node, reader: ir.Node) -> ir.Node:
    """Has a reader of a turned image compute before the turn; gives the turn behind it."""
    inputs = [turn.inputs[0] if value is turn.outputs[0] else _by_channel(edit, value) for value in reader.inputs]
    turned = edit.before(reader, "Transpose", [edit.before(reader, reader.op_type, inputs)], perm=TO_NHWC)
    edit.replace(reader, turned)
    node = turned.producer()
    assert node is not None
    return node


def _by_channel(edit: Edit, value: ir.Value | None) -> ir.Value:
    """A constant of NHWC channels, or of one number, for NCHW."""
    array = array_of(value)
    return edit.constant("by_channel", array.reshape(-1, 1, 1) if array.size > 1 else array.reshape(()))


def _normalising(turn: ir.Node) -> ir.Node | None:
    """The one reader of a turned image that adds to it or multiplies it, by channels; None where there is no such."""
    readers = list(turn.outputs[0].consumers())
    if len(readers) != 1 or turn.outputs[0].is_graph_output() or readers[0].op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    other = next((constant(value) for value in readers[0].inputs if value is not turn.outputs[0]), None)
    by_channel = other is not None and other.ndim <= 4 and other.size in (1, other.shape[-1] if other.ndim else 1)
    return readers[0] if by_channel and not readers[0].outputs[0].is_graph_output() else None


def _floats_soon(value: ir.Value) -> bool:
    """Whether uint8 numbers are only moved until a Cast makes floats of them: they may be floats from the start."""
    if value.is_graph_output() or not value.uses():
        return False
    for node in value.consumers():
        if node.op_type == "Cast":
            if integer(node, "to", 0) not in {each.value for each in FLOATS}:
                return False
        elif (
            node.op_type not in MOVES
            or (node.op_type == "Concat" and _has_constants(node))
            or not _floats_soon(node.outputs[0])
        ):
            return False
    return True


def _has_constants(node: ir.Node) -> bool:
    return any(constant(value) is not None for value in node.inputs)
