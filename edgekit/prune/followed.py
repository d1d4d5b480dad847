"""One operation as it is seen, what channels a tensor holds, and what is known of a network that is being followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from edgekit.prune.channels import Units
from edgekit.prune.joined import Joined


@dataclass(frozen=True)
class Along:
    """What channels a tensor holds: along one axis each place is one, along the others there is no difference.

    Attributes:
        nodes: (places,) channels, FIXED where it is none that could go.
    """

    axis: int
    nodes: Units


@dataclass(frozen=True)
class Call:
    """An operation of torch that was run: which, with what, and what came of it."""

    func: Any
    args: tuple[Any, ...]
    kwargs: Any
    made: Any

    @property
    def name(self) -> str:
        """Torch's, without the mark of those that work in place."""
        name: str = self.func.overloadpacket.__name__
        return name.removesuffix("_")

    @property
    def tensors(self) -> list[Tensor]:
        """All that go in, in order."""
        return [*tensors_in(self.args), *tensors_in(list(self.kwargs.values()))]

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument by its name; its own default, or this one, where it was not given."""
        if name in self.kwargs:
            return self.kwargs[name]
        for place, told in enumerate(self.func._schema.arguments):
            if told.name == name:
                own = told.default_value if told.has_default_value() else default
                return self.args[place] if place < len(self.args) else own
        return default


def tensors_in(values: Any) -> Iterator[Tensor]:
    """The tensors among values, in lists and tuples too."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for each in values:
            yield from tensors_in(each)


def title(name: str) -> str:
    """The name of an operation as it is told: `native_layer_norm` is LayerNorm."""
    return "".join(part[:1].upper() + part[1:] for part in name.removeprefix("native_").split("_"))


Part = tuple[str, nn.Module, str]
"""Name of a layer, the layer, and what a tensor is in it: weight, bias, running_mean, ..."""


@dataclass
class Followed:
    """What is known of a network that is being followed.

    Attributes:
        turned: matrices that are a linear layer's weight, transposed.
        parts: tensor of a layer, by identity: the layers that have it.
        called: layers that were called as modules; the last of them is running, or has just run.
    """

    joined: Joined
    turned: WeakTensorKeyDictionary
    parts: dict[int, list[Part]]
    called: dict[str, None] = field(default_factory=dict)
    _staying: dict[str, str] = field(default_factory=dict)

    def part(self, tensor: Tensor) -> str | None:
        """The layer that a tensor is a part of, or a transposed weight."""
        if tensor in self.turned:
            return str(self.turned[tensor][0])
        found = self.parts.get(id(tensor))
        return None if found is None else found[0][0]

    def owner(self, tensor: Tensor, part: str) -> Part | None:
        """The layer whose weight (or other part) a tensor is, where it is that of the layer that was called last."""
        if tensor in self.turned:
            found: Sequence[Part] = [self.turned[tensor]]
        else:
            found = self.parts.get(id(tensor), [])
        running = next(reversed(self.called), None)
        return next((each for each in found if each[0] == running and each[2] == part), None)

    def is_shared(self, owner: Part) -> bool:
        """Whether the weight of a layer is another layer's too."""
        weight: Any = owner[1].weight
        return len(self.parts.get(id(weight), [])) > 1

    def turn(self, call: Call) -> list[None] | None:
        """A weight that is transposed, and nothing else."""
        found = self.parts.get(id(call.tensors[0]), [])
        made = next(tensors_in(call.made))
        if not found or call.name not in ("t", "transpose", "permute") or made.ndim != 2:
            return None
        running = next(reversed(self.called), None)
        owner = next((each for each in found if each[0] == running), found[0])
        if made.shape != call.tensors[0].shape[::-1] or owner[2] != "weight":
            return None
        self.turned[made] = owner
        return [None]

    def is_bias_of(self, tensor: Tensor, nodes: Units) -> bool:
        """Whether a tensor is the bias of the layer that makes just these channels."""
        for name, _, part in self.parts.get(id(tensor), []):
            layer = self.joined.layers.get(name)
            if part == "bias" and layer is not None and np.array_equal(layer.outputs, nodes):
                return True
        return False

    def stay(self, layers: Iterable[str], why: str) -> None:
        """All channels of these layers must stay: what they are made of is used in a way that is not followed."""
        for name in layers:
            self._staying.setdefault(name, why)

    def settle(self) -> None:
        """Holds what `stay` was told of, when all layers are known."""
        for name, why in self._staying.items():
            layer = self.joined.layers.get(name)
            if layer is not None:
                self.joined.hold(layer.outputs, why)
                if layer.inputs is not None:
                    self.joined.hold(layer.inputs, why)
