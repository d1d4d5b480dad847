"""Networks that were exported for several images at once, made to take one."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.edit import Edit
from edgekit.models.graph_input import INPUT, FileInput
from edgekit.models.onnx_graph import constant, dims_of, name_of, to_proto
from edgekit.models.run_graph import run_graph

ALIGNED: Final = {
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Concat",
    "Where",
    "Pow",
    "Max",
    "Min",
    "Sum",
    "MatMul",
    "Expand",
    "PRelu",
}
"""Operators where the first dimension of a constant with as many dimensions as the result is that of the images."""
SHAPES: Final = {"Reshape": 1, "Expand": 1, "Tile": 1, "Resize": 3}
"""Which input of an operator is a shape, or repeats, that begin with the images."""


def take_one(model: ir.Model, batch: int) -> None:
    """Writes 1 where a graph's constants hold its batch, in place: in shapes, and in constants of equal rows.

    What it does is a guess by places and numbers, which `same_as_file` proves or refuses.
    """
    edit = Edit(model)
    for node in [each for each in model.graph.all_nodes() if each.domain == ""]:
        place = SHAPES.get(node.op_type)
        shape = constant(node.inputs[place]) if place is not None and place < len(node.inputs) else None
        if place is not None and shape is not None and shape.size and shape[0] > 1 and shape[0] % batch == 0:
            own = shape.copy()
            own[0] //= batch
            node.replace_input_with(place, edit.constant(f"{node.op_type.lower()}_shape", own))
        if node.op_type in ALIGNED:
            _take_one_row(edit, node, batch)


def _take_one_row(edit: Edit, node: ir.Node, batch: int) -> None:
    rank = len(dims_of(node.outputs[0]))
    for place, value in enumerate(node.inputs):
        array = constant(value)
        if value is None or array is None or array.ndim < 2 or array.ndim != (rank or array.ndim):
            continue
        if len(array) == batch and bool((array == array[:1]).all()):
            node.replace_input_with(place, edit.constant(f"{name_of(value)}_row", array[:1]))


def same_as_file(model: ir.Model, file: onnx.ModelProto, found: FileInput, output: tuple[str, int]) -> None:
    """Compares the answer to one image with the file's own, in which that image is the first of a batch.

    Args:
        output: name of the output in the file, and its place in `model`.
    Raises:
        InputError: they differ, or one of them does not run.
    """
    hint = "Export it with a batch of 1, or with a free batch."
    dice = np.random.Generator(np.random.PCG64(1))
    shape = dims_of(model.graph.inputs[0])
    pictures = dice.normal(0, 1, (found.batch, *shape[1:])).astype(np.float32)
    if found.dtype == "uint8":
        pictures = np.floor(dice.uniform(0, 256, pictures.shape)).astype(np.float32)
    try:
        theirs = run_graph(file, {found.name: found.fed(pictures)}, [output[0]])[0]
        ours = run_graph(to_proto(model), {INPUT: pictures[:1]}, [name_of(model.graph.outputs[output[1]])])[0]
    except InputError as error:
        raise InputError(f"the network was exported for a batch of {found.batch}: {error.what}", hint) from error
    first = np.asarray(theirs, np.float64).reshape(found.batch, -1)[0] if theirs.size % found.batch == 0 else theirs
    near = 2e-2 if found.dtype in ("float16", "bfloat16") else 1e-3
    close = first.size == ours.size and np.allclose(ours.reshape(-1), first, rtol=near, atol=near * np.abs(first).max())
    if not close:
        what = f"the network was exported for a batch of {found.batch}, and answers otherwise for one image"
        raise InputError(what, hint)
