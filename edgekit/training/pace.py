"""How much training fits in a budget of minutes: a few steps are timed, and the plan is kept beside the checkpoint."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch
from torch import nn

from edgekit.training.autocast import autocast
from edgekit.training.distillation import DistillationLoss
from edgekit.training.recipe import TrainingRecipe

DRAWING: Final = 0.6
"""What is left of the pace beside drawing or decoding and the optimiser's own step; measured on two cores."""


def kept(folder: Path, plan: Callable[[], TrainingRecipe]) -> TrainingRecipe:
    """The plan of the run that was begun in a folder; a new one if none was."""
    path = folder / "plan.json"
    if path.exists():
        return TrainingRecipe.model_validate(json.loads(path.read_text(encoding="utf-8")))
    recipe = plan()
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(recipe.model_dump_json(indent=1), encoding="utf-8")
    return recipe


def pace(student: nn.Module, guide: DistillationLoss, side: int, batch: int) -> float:
    """Images a second of a training step without the optimiser; pictures are drawn beside it by another process."""
    pictures = torch.rand(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.long)
    probe = student.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    before = copy.deepcopy(student.state_dict())
    times = []
    for _ in range(3):
        began = time.monotonic()
        with autocast():
            logits = probe(pictures)
        guide.loss(pictures, logits, labels, 0.0).backward()  # type: ignore[no-untyped-call]
        times.append(time.monotonic() - began)
        probe.zero_grad(set_to_none=True)
    student.load_state_dict(before)
    return batch / min(times) * DRAWING
