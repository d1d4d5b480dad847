"""Pools that round their size up, written as pools that round down: runtimes differ in what they make of the former.

ONNX leaves out a last window that begins in the padding after the input (as torch does); shape inference and OpenVINO
keep it. With the padding that gives the same windows there is nothing to differ about.
"""

from __future__ import annotations

import math
from typing import Final

import onnx_ir as ir

from edgekit.models.onnx_graph import dims_of

POOLS: Final = ("MaxPool", "AveragePool")


def round_down(model: ir.Model) -> list[str]:
    """Rewrites every pool that rounds up, where its input's size is known and the windows can be had without; in place.

    Returns:
        kinds and names of those that stay as they are.
    """
    left = []
    for node in model.graph:
        if node.op_type not in POOLS or not node.attributes.get_int("ceil_mode", 0):
            continue
        pads = _padding(node)
        if pads is None:
            left.append(f"{node.op_type} {node.name}")
            continue
        node.attributes.pop("ceil_mode")
        node.attributes.pop("auto_pad", None)
        node.attributes.add(ir.AttrInt64s("pads", pads))
        for made in node.outputs:
            made.shape = None  # what was noted may be the size with a window more
    return left


def _padding(node: ir.Node) -> list[int] | None:
    """Begins and ends of the padding with which the pool has the same windows and rounds down; None if none does."""
    source, kernel = node.inputs[0], list(node.attributes.get_ints("kernel_shape"))
    sides, axes = dims_of(source)[2:], len(kernel)
    if len(sides) != axes or 0 in sides or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    strides = list(node.attributes.get_ints("strides", [1] * axes))
    dilations = list(node.attributes.get_ints("dilations", [1] * axes))
    old = list(node.attributes.get_ints("pads", [0] * 2 * axes))
    ends = []
    for axis, side in enumerate(sides):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        windows = _windows(side, (old[axis], old[axes + axis]), reach, strides[axis])
        end = (windows - 1) * strides[axis] + reach - side - old[axis]
        if end < 0:  # the last columns are in no window: some padding less is no padding
            end = 0
        if end >= kernel[axis] or (side + old[axis] + end - reach) // strides[axis] + 1 != windows:
            return None
        ends.append(end)
    counted = node.op_type == "AveragePool" and node.attributes.get_int("count_include_pad", 0) == 1
    if counted and ends != old[axes:]:  # what is padded more would be counted, and what lies beyond is not
        return None
    return [*old[:axes], *ends]


def _windows(side: int, pads: tuple[int, int], reach: int, stride: int) -> int:
    """How many windows a pool has that rounds up, as ONNX defines it."""
    count = math.ceil((side + sum(pads) - reach) / stride) + 1
    return count - 1 if (count - 1) * stride >= side + pads[0] else count
