"""What a network learns from beside its labels: the answers of another one."""

from __future__ import annotations

from typing import Final, Protocol

import torch
from torch import Tensor, nn

from edgekit.training.autocast import autocast

TEMPERATURE: Final = 2.0


class DistillationLoss(Protocol):
    """What is learned from beside or instead of labels."""

    labelled: bool
    """Whether labels are learned from too."""

    def loss(self, inputs: Tensor, logits: Tensor, labels: Tensor, done: float) -> Tensor:
        """The loss of a batch: normalised images, what the network made of them, labels; `done` of the run, 0 to 1."""
        ...


class Answers:
    """The loss of a network beside the one that it is to answer like; a DistillationLoss.

    Kullback-Leibler divergence at a temperature (Hinton et al. 2015, arXiv 1503.02531); labels add their cross-entropy
    where there are any.
    """

    def __init__(self, teacher: nn.Module, labelled: bool) -> None:
        self._teacher = teacher.eval().requires_grad_(False)
        self._teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.labelled = labelled

    def loss(self, inputs: Tensor, logits: Tensor, labels: Tensor, done: float) -> Tensor:
        """Mean loss of a batch."""
        with torch.no_grad(), autocast(inputs.device.type):
            wanted = self._teacher.to(inputs.device)(inputs).float()
        soft = torch.log_softmax(logits.float() / TEMPERATURE, 1)
        target = torch.log_softmax(wanted / TEMPERATURE, 1)
        whole = nn.functional.kl_div(soft, target, reduction="batchmean", log_target=True) * TEMPERATURE**2
        return whole + nn.functional.cross_entropy(logits.float(), labels) if self.labelled else whole
