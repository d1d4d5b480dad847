"""Training: exact resume, running averages, the schedules, and that it learns."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.models.inception_v4 import InceptionV4
from edgekit.training.loop import RunSettings, Tick, seeded, train
from edgekit.training.optimizers import _as_matrix, optimizer_for
from edgekit.training.recipe import TrainingRecipe
from edgekit.training.schedule import rate_factor


@dataclass(frozen=True)
class Stripes:
    """Two classes that differ in the direction of their stripes."""

    count: int = 64

    def training_image(self, index: int, size: tuple[int, int], seed: int) -> tuple[np.ndarray, int]:
        dice = np.random.Generator(np.random.PCG64([index, seed]))
        wave = 128 + 100 * np.sin(np.arange(size[0]) * 1.3 + dice.uniform(0, 6))
        plane = np.broadcast_to(wave[:, None] if index % 2 else wave[None, :], size)
        noisy = plane[..., None] + dice.normal(0, 20, (*size, 3))
        return np.clip(noisy, 0, 255).astype(np.uint8), index % 2


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2),
        nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip


def recipe(**more: Any) -> TrainingRecipe:
    stages = ({"size": 80, "images": 48, "batch": 8}, {"size": 96, "images": 40, "batch": 8})
    told = {
        "optimizer": "muon",
        "schedule": "one-cycle",
        "auxiliary": ("0",),
        "ema": 0.9,
        "clip_norm": 2.0,
        "stages": stages,
    }
    return TrainingRecipe.model_validate({**told, **more})


def run(
    settings: TrainingRecipe, out: Path, stop_after: int | None = None, on_tick: Any = lambda tick: None
) -> dict[str, torch.Tensor]:
    how = RunSettings(workers=0, stop_after=stop_after)
    return train(seeded(settings.seed, small), Stripes(), settings, out, how, on_tick=on_tick).network.state_dict()


@pytest.mark.parametrize("optimizer", ["muon", "rmsprop", "adamw"])
@pytest.mark.parametrize("stop", [3, 8])
def test_a_stopped_run_ends_with_the_same_weights_bit_for_bit(tmp_path: Path, stop: int, optimizer: str) -> None:
    settings = recipe(optimizer=optimizer)
    whole = run(settings, tmp_path / "whole")
    run(settings, tmp_path / "parts", stop_after=stop)
    parts = run(settings, tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    logs = [
        [json.loads(line)["images"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    assert logs[0][-1] == logs[1][-1] == 88


def test_another_recipe_is_not_resumed(tmp_path: Path) -> None:
    run(recipe(), tmp_path, stop_after=1)
    with pytest.raises(InputError, match="another recipe"):
        run(recipe(seed=5), tmp_path)


def test_it_learns(tmp_path: Path) -> None:
    ticks: list[Tick] = []
    settings = recipe(stages=({"size": 80, "images": 640, "batch": 16},))
    run(settings, tmp_path, on_tick=ticks.append)
    assert ticks[-1].top1 >= 90
    assert ticks[-1].loss < ticks[0].loss


def test_muon_moves_the_convolutions_themselves() -> None:
    network = InceptionV4(4, 0.25).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    convolutions = [p for p in network.parameters() if p.ndim == 4]
    assert all(_as_matrix(p.data).data_ptr() == p.data_ptr() for p in convolutions)
    before = [p.detach().clone() for p in convolutions]
    optimizer = optimizer_for(network, recipe())
    for parameter in network.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    assert not any(torch.equal(a, b) for a, b in zip(before, convolutions, strict=True))
    assert all(p.grad is None for p in network.parameters())


def test_the_papers_staircase_and_the_cycle() -> None:
    paper = TrainingRecipe()
    per_epoch = 320
    assert [rate_factor(paper, step, per_epoch) for step in (0, 19, 20, 40)] == pytest.approx([1, 1, 0.94, 0.94**2])
    cycle = recipe(warmup=0.25, stages=({"size": 80, "images": 800, "batch": 8},))
    factors = [rate_factor(cycle, step, per_epoch) for step in range(100)]
    assert factors.index(max(factors)) in (24, 25)
    assert factors[-1] < 0.001
    assert factors[0] < 0.05


def test_the_papers_recipe_is_the_papers() -> None:
    told = TrainingRecipe()
    assert (told.optimizer, told.learning_rate, told.decay_rate, told.decay_epochs) == ("rmsprop", 0.045, 0.94, 2.0)
