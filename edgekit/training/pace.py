"""How much training fits in a budget of minutes: a few steps are timed."""

from __future__ import annotations

import copy
import time
from typing import Final

import torch
from torch import nn

from edgekit.runtime.cgroup import usable_cores
from edgekit.size import Size
from edgekit.training.autocast import autocast
from edgekit.training.distillation import DistillationLoss
from edgekit.training.step import answers
from edgekit.training.strides import pixels_left_out_first

DRAWING: Final = 0.75
"""What is left of the pace beside drawing or decoding on a core of its own, and the optimiser's own step; measured on
two cores: 0.73 to 0.84."""

DRAWING_BESIDE: Final = 0.6
"""The same where no core is left to what draws."""

MARGIN: Final = 0.95
"""Part of the time that a plan fills, so that a run at about its pace is not cut."""


def pace(student: nn.Module, guide: DistillationLoss, size: Size, batch: int, channels: int = 3) -> float:
    """Images a second of a training step without the optimiser; pictures are drawn beside it by another process."""
    pictures = torch.rand(batch, channels, *size).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long)
    probe = student.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = copy.deepcopy(student.state_dict())
    times = []
    for _ in range(3):
        began = time.monotonic()
        with autocast(), pixels_left_out_first(probe):
            logits = answers(probe, pictures)
        guide.loss(pictures, logits, labels, 0.0).backward()  # type: ignore[no-untyped-call]
        times.append(time.monotonic() - began)
        probe.zero_grad(set_to_none=True)
    student.load_state_dict(before)
    return batch / min(times) * (DRAWING if torch.get_num_threads() < usable_cores() else DRAWING_BESIDE)
