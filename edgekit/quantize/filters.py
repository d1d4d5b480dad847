"""What the filters of a layer are multiplied by: rows of inputs, taken at some places of an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.quantize.qdq import is_turned


@dataclass(frozen=True)
class Filters:
    """How a Conv, Gemm or MatMul reads its input.

    Attributes:
        groups: of channels; kernel, strides, dilations: (height, width); pads: top, left, bottom, right.
        is_row: whether the input is one row of numbers in place of a picture with channels.
    """

    groups: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    is_row: bool

    def grid(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of the output for an input (1, C, H, W)."""
        sides = []
        for axis in (0, 1):
            reach = self.dilations[axis] * (self.kernel[axis] - 1) + 1
            padded = shape[2 + axis] + self.pads[axis] + self.pads[axis + 2]
            sides.append((padded - reach) // self.strides[axis] + 1)
        return sides[0], sides[1]

    def rows(self, value: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
        """(G, places, K) what the filters see of an input at some places of the output, numbered row by row.

        K goes over the channels of a group and then over the places of the kernel, as the weights do.
        """
        if self.is_row:
            return value.reshape(1, 1, -1)
        top, left, bottom, right = self.pads
        padded = np.pad(value[0], ((0, 0), (top, bottom), (left, right)))
        width = self.grid(value.shape)[1]
        down, across = (
            (first * stride)[:, None] + dilation * np.arange(side)
            for first, stride, dilation, side in zip(
                (places // width, places % width), self.strides, self.dilations, self.kernel, strict=True
            )
        )
        seen = padded[:, down[:, :, None], across[:, None, :]]  # (C, places, kernel height, kernel width)
        grouped = seen.reshape(self.groups, -1, *seen.shape[1:]).swapaxes(1, 2)
        return np.ascontiguousarray(grouped).reshape(self.groups, len(places), -1)


def filters_of(node: ir.Node, weight: NDArray[Any]) -> Filters | None:
    """How a layer reads its input; None where that is not known here."""
    get = node.attributes.get_int
    if node.op_type == "Conv" and weight.ndim == 4 and _ints(node, "auto_pad", ()) == ():
        pads = _ints(node, "pads", (0, 0, 0, 0))
        return Filters(
            get("group", 1),
            (weight.shape[2], weight.shape[3]),
            _pair(_ints(node, "strides", (1, 1))),
            _pair(_ints(node, "dilations", (1, 1))),
            (pads[0], pads[1], pads[2], pads[3]),
            False,
        )
    plain = node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not get("transA", 0) and _is_one(node, "alpha") and _is_one(node, "beta")
    )
    return Filters(1, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), True) if plain and weight.ndim == 2 else None


def by_filter(node: ir.Node, values: NDArray[Any], groups: int) -> NDArray[np.float64]:
    """Weights as the graph has them, as (G, outputs of a group, K)."""
    turned = values.T if is_turned(node) else values
    return turned.reshape(groups, turned.shape[0] // groups, -1).astype(np.float64)


def as_in_graph(node: ir.Node, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """What `by_filter` was given."""
    if is_turned(node):
        return np.ascontiguousarray(values.reshape(shape[1], shape[0]).T)
    return values.reshape(shape)


def _ints(node: ir.Node, name: str, usual: Sequence[int]) -> tuple[int, ...]:
    """A list of whole numbers among a node's attributes; auto_pad other than NOTSET gives something that is not ()."""
    attribute = node.attributes.get(name)
    if attribute is None:
        return tuple(usual)
    if attribute.type == ir.AttributeType.STRING:
        return () if attribute.as_string() in ("NOTSET", "") else (1,)
    return tuple(attribute.as_ints())


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[1]


def _is_one(node: ir.Node, name: str) -> bool:
    attribute = node.attributes.get(name)
    return attribute is None or attribute.as_float() == 1.0
