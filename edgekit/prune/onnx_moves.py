"""How the channels that stay pass through the nodes of an ONNX graph that have no weights, and what must be cut there.

Numbers of channels stand in constants of such nodes too: the target of a Reshape, the sizes of a Split, scales of
quantized inputs, batch norms that are not folded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import add_constant, array_of, dims_of, name_of, set_constant

Mask: TypeAlias = NDArray[np.bool_]

PER_CHANNEL: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.INT8, ir.DataType.UINT8})
"""Types of what is held for each channel; shapes and axes are of others."""


@dataclass(frozen=True)
class Stays:
    """Which places along an axis of a tensor stay."""

    axis: int
    mask: Mask


@dataclass
class Passage:
    """A graph that is being cut, from its first node to its last.

    Attributes:
        stays: of the tensors that lose something.
        done: constants that are cut already.
    """

    graph: ir.Graph
    stays: dict[ir.Value | None, Stays] = field(default_factory=dict)
    done: set[ir.Value] = field(default_factory=set)

    def through(self, node: ir.Node) -> None:
        """Notes what stays of a node's outputs, and cuts its constants."""
        if not any(value in self.stays for value in node.inputs):
            return
        move = MOVES.get(node.op_type)
        if move is not None:
            move(self, node)
            return
        made = _rank(node.outputs[0])
        for value in node.inputs:
            given = self.stays.get(value)
            if given is not None:
                axis = given.axis + max(0, made - _rank(value))
                self.stays |= {out: Stays(axis, given.mask) for out in node.outputs}
                self._cut_constants(node, given.mask)
                return

    def _cut_constants(self, node: ir.Node, mask: Mask) -> None:
        for value in node.inputs:
            if value is None or not value.is_initializer() or value in self.done or value.dtype not in PER_CHANNEL:
                continue
            shape = dims_of(value)
            if len(mask) in shape and max(shape) == np.prod(shape) > 1:
                set_constant(value, np.compress(mask, array_of(value), shape.index(len(mask))))
                self.done.add(value)

    def reshaped(self, node: ir.Node) -> None:
        """Reshape, Flatten, Squeeze and Unsqueeze, whatever axes they join and take apart."""
        before, after = dims_of(node.inputs[0]), dims_of(node.outputs[0])
        given = self.stays[node.inputs[0]]
        whole = _spread(given, before).reshape(after)
        for axis in range(len(after)):
            others = tuple(place for place in range(len(after)) if place != axis)
            mask = np.asarray(whole.any(others))
            if not mask.all() and np.array_equal(whole, _spread(Stays(axis, mask), after)):
                self.stays[node.outputs[0]] = Stays(axis, mask)
                if node.op_type == "Reshape":
                    self.set_input(node, 1, [*after[:axis], int(mask.sum()), *after[axis + 1 :]])
                return

    def set_input(self, node: ir.Node, place: int, numbers: list[int]) -> None:
        """Gives a node a constant of its own in place of one that others may read too."""
        name = f"{name_of(node.outputs[0])}_kept_{place}"
        node.replace_input_with(place, add_constant(self.graph, name, np.array(numbers, np.int64)))

    def transposed(self, node: ir.Node) -> None:
        given, rank = self.stays[node.inputs[0]], _rank(node.inputs[0])
        turned = list(node.attributes.get_ints("perm", list(reversed(range(rank)))))
        self.stays[node.outputs[0]] = Stays(turned.index(given.axis), given.mask)

    def joined(self, node: ir.Node) -> None:
        """Concat; of what loses nothing all stays."""
        along = node.attributes.get_int("axis", 1) % _rank(node.outputs[0])
        first = next(self.stays[value] for value in node.inputs if value in self.stays)
        if along != first.axis:
            self.stays[node.outputs[0]] = first
            return
        masks = [
            self.stays[value].mask if value in self.stays else np.ones(dims_of(value)[along], bool)
            for value in node.inputs
        ]
        self.stays[node.outputs[0]] = Stays(along, np.concatenate(masks))

    def split(self, node: ir.Node) -> None:
        given = self.stays[node.inputs[0]]
        along = node.attributes.get_int("axis", 0) % _rank(node.inputs[0])
        if along != given.axis:
            self.stays |= dict.fromkeys(node.outputs, given)
            return
        sizes = [dims_of(out)[along] for out in node.outputs]
        masks = np.split(given.mask, np.cumsum(sizes)[:-1])
        self.stays |= {out: Stays(along, mask) for out, mask in zip(node.outputs, masks, strict=True)}
        if len(node.inputs) > 1 and node.inputs[1] is not None:
            self.set_input(node, 1, [int(mask.sum()) for mask in masks])

    def pooled(self, node: ir.Node) -> None:
        """Means and the like over other axes, which may go away."""
        given, before, after = self.stays[node.inputs[0]], _rank(node.inputs[0]), _rank(node.outputs[0])
        gone = before - after
        axes = node.attributes.get_ints("axes", ()) or [int(each) for each in _axes(node)]
        less = sum(axis % before < given.axis for axis in axes) if gone else 0
        self.stays[node.outputs[0]] = Stays(given.axis - less, given.mask)

    def unshuffled(self, node: ir.Node) -> None:
        """DepthToSpace, which takes block x block channels for one: those that were made of channels in a row."""
        given, block = self.stays[node.inputs[0]], node.attributes.get_int("blocksize", 1)
        in_a_row = node.attributes.get_string("mode", "DCR") == "CRD"
        shape = (-1, block * block) if in_a_row else (block * block, -1)
        self.stays[node.outputs[0]] = Stays(given.axis, np.asarray(given.mask.reshape(shape).all(1 if in_a_row else 0)))


def _axes(node: ir.Node) -> NDArray[np.int64]:
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    return np.array([], np.int64) if axes is None or not axes.is_initializer() else array_of(axes).ravel()


def _rank(value: ir.Value | None) -> int:
    return len(dims_of(value))


def _spread(stays: Stays, shape: tuple[int, ...]) -> Mask:
    """The mask for every place of a tensor."""
    narrow = [len(stays.mask) if axis == stays.axis else 1 for axis in range(len(shape))]
    return np.broadcast_to(stays.mask.reshape(narrow), shape)


MOVES: Final[Mapping[str, Callable[[Passage, ir.Node], None]]] = {
    "Reshape": Passage.reshaped, "Flatten": Passage.reshaped, "Squeeze": Passage.reshaped,
    "Unsqueeze": Passage.reshaped, "Transpose": Passage.transposed, "Concat": Passage.joined, "Split": Passage.split,
    "ReduceMean": Passage.pooled, "ReduceMax": Passage.pooled, "ReduceSum": Passage.pooled,
    "DepthToSpace": Passage.unshuffled,
}  # fmt: skip
