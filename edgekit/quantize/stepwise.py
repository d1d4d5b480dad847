"""A graph run step by step over some images, so that layers can be changed on the way and nothing is computed twice.

What was computed is kept in memory for as long as something ahead needs it. ONNX Runtime computes, none of its
optimizations on: what the graph says, whatever integer kernels the processor has.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import drop_unused, give_only, image_input, name_of, to_proto
from edgekit.models.run_graph import session_of

Tensors = dict[str, NDArray[np.float32]]


class Stepwise:
    """One graph, which may be changed behind what was computed, and the tensors of every image that are ahead of it.

    Args:
        model: looked at anew in each step; images: float32 inputs, batch 1.
    """

    def __init__(self, model: ir.Model, images: Sequence[NDArray[np.float32]]) -> None:
        self._model, self._image = model, name_of(image_input(model))
        self._kept: list[Tensors] = [{self._image: image} for image in images]

    def step(self, wanted: Collection[str], kept: Collection[str]) -> Iterator[Tensors]:
        """The wanted tensors of each image; those of `kept` stay for the steps to come."""
        there = self._kept[0].keys()
        names = [name for name in dict.fromkeys([*wanted, *kept]) if name not in there]
        session: Any = None
        given: list[str] = []
        if names:
            cut = self._from_here(names)
            given = [name_of(value) for value in cut.graph.inputs]
            session = session_of(to_proto(cut).SerializeToString(), optimized=False)
        for tensors in self._kept:
            found = dict(tensors)
            if session is not None:
                made = session.run(names, {name: tensors[name] for name in given})
                found |= dict(zip(names, made, strict=True))
            tensors |= {name: found[name] for name in kept}
            yield {name: found[name] for name in wanted}

    def forget(self, ahead: Collection[str]) -> None:
        """Lets go of what no tensor ahead is computed from."""
        needed = {name_of(value) for value in self._from_here(ahead).graph.inputs} if ahead else set()
        for tensors in self._kept:
            for name in tensors.keys() - needed - set(ahead):
                del tensors[name]

    def _from_here(self, names: Collection[str]) -> ir.Model:
        """The part of the graph that computes some tensors from those that are kept."""
        cut = self._model.clone()
        values = ir.convenience.create_value_mapping(cut.graph)
        for name in self._kept[0].keys() - {self._image}:
            old = values[name]
            old.name = f"{name}_computed"
            new = ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=old.shape)
            old.replace_all_uses_with(new)
            cut.graph.inputs.append(new)
            values[name] = new
        give_only(cut, [values[name] for name in names if name not in self._kept[0]])
        drop_unused(cut)
        read = [value for value in cut.graph.inputs if value.consumers() and not value.is_initializer()]
        cut.graph.inputs.clear()
        cut.graph.inputs.extend(read)
        return cut
