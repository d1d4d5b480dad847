"""Learning from the unpruned network: its answers, and what it sees on the way to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor, nn

from edgekit.prune.channels import ChannelGraph, Keep
from edgekit.prune.surgery import kept_outputs
from edgekit.training.distillation import Answers

FEATURE_WEIGHT: Final = 0.5
"""Of the features at first; it falls to 0, since a narrow network cannot match all of them."""
FEATURE_LAYERS: Final = 8
"""Layers whose outputs are compared, evenly spread over the depth."""


class Distillation:
    """The loss of a pruned network beside its unpruned teacher; see edgekit.training.distillation.

    Answers are learned as in edgekit.training.distillation. Features: a channel that stays is compared with the same
    channel of the teacher, in units of that channel's variance, so that no adapter between the two is needed.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, graph: ChannelGraph, keep: Keep, labelled: bool) -> None:
        self._answers, self.labelled = Answers(teacher, labelled), labelled
        self._seen: dict[str, tuple[list[Tensor], list[Tensor]]] = {}
        self._kept: dict[str, Tensor] = {}
        self._hooks: list[Any] = []
        for name in compared(graph):
            self._kept[name] = torch.from_numpy(kept_outputs(graph, keep, name))
            sides: tuple[list[Tensor], list[Tensor]] = ([], [])
            self._seen[name] = sides
            for network, side in zip((teacher, student), sides, strict=True):
                self._hooks.append(network.get_submodule(name).register_forward_hook(_noting(side)))

    def loss(self, inputs: Tensor, logits: Tensor, labels: Tensor, done: float) -> Tensor:
        """Mean loss of a batch whose student has just run."""
        answers = self._answers.loss(inputs, logits, labels, done)
        return answers + FEATURE_WEIGHT * (1 - done) * self._features()

    def close(self) -> None:
        """Takes the hooks off both networks."""
        for hook in self._hooks:
            hook.remove()

    def _features(self) -> Tensor | float:
        losses = []
        for name, (teacher, student) in self._seen.items():
            if not teacher or not student:
                continue  # a layer that is left out in training now and then
            wanted = teacher.pop()[:, self._kept[name]].float()
            made = student.pop().float()
            places = [place for place in range(wanted.ndim) if place != 1]
            spread = wanted.var(places, unbiased=False, keepdim=True) + 1e-3
            losses.append(((made - wanted).square() / spread).mean().clamp(max=4.0))
        return torch.stack(losses).mean() if losses else 0.0


def compared(graph: ChannelGraph) -> list[str]:
    """The layers that are compared: batch norms, or convolutions where there are none."""
    norms = [layer.name for layer in graph.layers.values() if layer.kind == "norm"]
    names = norms or [layer.name for layer in graph.layers.values() if layer.kind == "conv"]
    count = min(FEATURE_LAYERS, len(names))
    return [names[(place + 1) * len(names) // count - 1] for place in range(count)]


def _noting(side: list[Tensor]) -> Callable[[nn.Module, Any, Tensor], None]:
    def note(module: nn.Module, given: Any, made: Tensor) -> None:
        side[:] = [made]

    return note
