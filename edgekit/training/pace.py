"""How much training fits in a budget of minutes: a few steps are timed."""

from __future__ import annotations

import copy
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from edgekit.runtime.cgroup import usable_cores
from edgekit.size import Size
from edgekit.training.autocast import autocast
from edgekit.training.distillation import DistillationLoss, Taught
from edgekit.training.replicas import Replicas
from edgekit.training.step import answers
from edgekit.training.strides import pixels_left_out_first

DRAWING: Final = 0.75
"""What is left of the pace beside drawing or decoding on a core of its own, and the optimiser's own step; measured on
two cores: 0.73 to 0.84."""

DRAWING_BESIDE: Final = 0.6
"""The same where no core is left to what draws."""

MARGIN: Final = 0.95
"""Part of the time that a plan fills, so that a run at about its pace is not cut."""


@dataclass(frozen=True)
class Pace:
    """Seconds of a batch that is learned from, and of asking the teacher about one picture."""

    learning_seconds: float
    teaching_seconds: float


def timed(
    student: nn.Module, guide: DistillationLoss, size: Size, batch: int, channels: int = 3, parts: int = 1
) -> Pace:
    """Times a few steps without the optimiser, on a copy; `parts` of a batch go through side by side."""
    pictures = torch.rand(batch, channels, *size).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long)
    probe = copy.deepcopy(student).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    guide.taught(pictures)
    began = time.monotonic()
    taught = guide.taught(pictures)
    teaching, times = time.monotonic() - began, []
    replicas = Replicas(probe, parts, torch.get_num_threads())
    split = [each.chunk(parts) for each in (pictures, labels, *taught)]
    with ExitStack() as stack:
        losses = [stack.enter_context(guide.beside(each)) for each in replicas.networks]
        stack.enter_context(pixels_left_out_first(*replicas.networks))
        stack.enter_context(replicas.ready())

        def learn(place: int) -> None:
            inputs, names, *rest = (each[place] for each in split)
            told: Taught = tuple(rest)
            with autocast():
                logits = answers(replicas.networks[place], inputs)
            losses[place](told, logits, names, 0.0).backward()  # type: ignore[no-untyped-call]

        for _ in range(3):
            began = time.monotonic()
            replicas.run(learn)
            times.append(time.monotonic() - began)
            probe.zero_grad(set_to_none=True)
    return Pace(min(times), teaching / batch)


def pace(student: nn.Module, guide: DistillationLoss, size: Size, batch: int, channels: int = 3) -> float:
    """Images a second of a training step whose pictures are all new, drawn beside it by another process."""
    made = timed(student, guide, size, batch, channels)
    seconds = made.learning_seconds + batch * made.teaching_seconds
    return batch / seconds * (DRAWING if torch.get_num_threads() < usable_cores() else DRAWING_BESIDE)
