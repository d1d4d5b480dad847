"""Learning from the unpruned network: its answers, and what it sees on the way to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from edgekit.prune.channels import ChannelGraph, Keep, removed_layers
from edgekit.prune.surgery import kept_outputs
from edgekit.prune.teacher import Teacher
from edgekit.training.distillation import Loss, Taught, answers_loss

FEATURE_WEIGHT: Final = 0.5
"""Of the features at first; it falls to 0, since a narrow network cannot match all of them."""
FEATURE_LAYERS: Final = 8
"""Layers whose outputs are compared, evenly spread over the depth."""


class Distillation:
    """The loss of a pruned network beside its unpruned teacher; see edgekit.training.distillation.

    Answers are learned as in edgekit.training.distillation. Features: a channel that stays is compared with the same
    channel of the teacher, in units of that channel's variance, so that no adapter between the two is needed.
    """

    def __init__(self, teacher: Teacher, rows: Mapping[str, Tensor], labelled: bool) -> None:
        """Layers that are compared and their channels that stay: see `compared`, in the teacher's order."""
        self._teacher, self._names, self.labelled = teacher, tuple(rows), labelled

    def taught(self, inputs: Tensor) -> Taught:
        """The teacher's logits, and the channels of its layers that the student has too."""
        return self._teacher(inputs)

    @contextmanager
    def beside(self, student: nn.Module) -> Iterator[Loss]:
        """The loss by answers and by features, which fall away with the run."""
        seen: dict[str, Tensor] = {}
        hooks = [student.get_submodule(name).register_forward_hook(_noting(seen, name)) for name in self._names]

        def loss(taught: Taught, logits: Tensor, labels: Tensor, done: float) -> Tensor:
            wanted, *layers = taught
            answers = answers_loss(wanted, logits, labels if self.labelled else None)
            pairs = zip(self._names, layers, strict=True)  # a layer may be left out in training now and then
            apart = [_apart(seen.pop(name), layer.float()) for name, layer in pairs if name in seen]
            features = torch.stack(apart).mean() if apart else torch.zeros(())
            return answers + FEATURE_WEIGHT * (1 - done) * features

        try:
            yield loss
        finally:
            for hook in hooks:
                hook.remove()


def compared(graph: ChannelGraph, keep: Keep) -> dict[str, Tensor]:
    """The layers that are compared, batch norms or else convolutions, and positions of their channels that stay."""
    gone = removed_layers(graph, keep)
    there = [layer for layer in graph.layers.values() if layer.name not in gone]
    norms = [layer.name for layer in there if layer.kind == "norm"]
    names = norms or [layer.name for layer in there if layer.kind == "conv"]
    count = min(FEATURE_LAYERS, len(names))
    chosen = [names[(place + 1) * len(names) // count - 1] for place in range(count)]
    return {name: torch.from_numpy(kept_outputs(graph, keep, name)) for name in chosen}


def _apart(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared distance of features (N, C, ...) in units of each channel's variance, bounded."""
    places = [place for place in range(wanted.ndim) if place != 1]
    spread = wanted.var(places, unbiased=False, keepdim=True) + 1e-3
    return ((made.float() - wanted).square() / spread).mean().clamp(max=4.0)


def _noting(seen: dict[str, Tensor], name: str) -> Callable[[nn.Module, Any, Tensor], None]:
    def note(module: nn.Module, given: Any, made: Tensor) -> None:
        seen[name] = made

    return note
