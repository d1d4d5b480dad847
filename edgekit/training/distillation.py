"""What a network learns from beside its labels: the answers of another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol, TypeAlias

import torch
from torch import Tensor, nn

from edgekit.training.autocast import autocast

TEMPERATURE: Final = 2.0

Taught: TypeAlias = tuple[Tensor, ...]
"""What the teacher makes of pictures, its logits (N, classes) first; N, the first axis of all, counts the pictures."""

Loss: TypeAlias = Callable[[Taught, Tensor, Tensor, float], Tensor]
"""The mean loss of a batch: what was taught of it, the student's logits, labels, and how much of the run is done."""


class DistillationLoss(Protocol):
    """What is learned from beside or instead of labels."""

    labelled: bool
    """Whether labels are learned from too."""

    def taught(self, inputs: Tensor) -> Taught:
        """What there is to learn of normalised images: it depends on each of them alone."""
        ...

    def beside(self, student: nn.Module) -> AbstractContextManager[Loss]:
        """The loss of a batch that this network has just run; of copies that run at once, each has its own."""
        ...


class Answers:
    """The loss of a network beside the one that it is to answer like; a DistillationLoss."""

    def __init__(self, teacher: nn.Module, labelled: bool) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.labelled = labelled

    def taught(self, inputs: Tensor) -> Taught:
        """The teacher's logits."""
        with torch.no_grad(), autocast(inputs.device.type):
            return (self._teacher.to(inputs.device)(inputs).float(),)

    @contextmanager
    def beside(self, student: nn.Module) -> Iterator[Loss]:
        """The loss by answers alone."""
        yield lambda taught, logits, labels, done: answers_loss(taught[0], logits, labels if self.labelled else None)


def answers_loss(wanted: Tensor, logits: Tensor, labels: Tensor | None) -> Tensor:
    """Kullback-Leibler divergence of logits (N, classes) at a temperature, and the cross-entropy of labels if any.

    Hinton et al. 2015, arXiv 1503.02531.
    """
    soft = torch.log_softmax(logits.float() / TEMPERATURE, 1)
    target = torch.log_softmax(wanted / TEMPERATURE, 1)
    whole = nn.functional.kl_div(soft, target, reduction="batchmean", log_target=True) * TEMPERATURE**2
    return whole if labels is None else whole + nn.functional.cross_entropy(logits.float(), labels)
