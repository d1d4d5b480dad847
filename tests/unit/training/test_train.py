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
from edgekit.training.failure import TrainingFailed
from edgekit.training.log import Tick
from edgekit.training.loop import RunSettings, normalised, seeded, train
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


def diverging(out: Path, if_diverged: str | None, rate: float = 1e30) -> None:
    settings = recipe(optimizer="rmsprop", learning_rate=rate, clip_norm=None, auxiliary=())
    train(seeded(0, small), Stripes(), settings, out, RunSettings(workers=0, if_diverged=if_diverged))


def test_a_run_that_diverges_stops_and_says_what_to_lower(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"diverged at step \d+ of 11: its loss or its weights") as caught:
        diverging(tmp_path, "Lower it.")
    assert (caught.value.exit_code, caught.value.hint) == (2, "Lower it.")


def strict(line: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(line, parse_constant=refuse)


def test_a_log_is_json_whatever_the_loss(tmp_path: Path) -> None:
    diverging(tmp_path, None)
    lines = [strict(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 11
    assert lines[-1]["loss"] is None


@pytest.mark.parametrize("damage", ["cut", "empty", "another file", "another pickle", "other keys"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: str) -> None:
    run(recipe(), tmp_path, stop_after=3)
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    made = {"cut": whole[: len(whole) // 2], "empty": b"", "another file": b"not a checkpoint\n" * 99}
    if damage in made:
        path.write_bytes(made[damage])
    else:
        torch.save([1, 2] if damage == "another pickle" else {"recipe": "x", "step": 3}, path)
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged") as caught:
        run(recipe(), tmp_path)
    assert "Delete it to begin again" in caught.value.hint


def test_a_log_that_was_cut_is_gone_on_with(tmp_path: Path) -> None:
    run(recipe(), tmp_path, stop_after=10)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 1')
    run(recipe(), tmp_path)
    steps = [strict(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [10, 11]


class GivesTwo(nn.Module):
    """In training it gives a second tensor, as networks with a classifier inside do."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = small()

    def forward(self, x: torch.Tensor) -> Any:
        return (self.inner(x), x) if self.training else self.inner(x)


def test_a_network_that_gives_no_logits_in_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in training it gives a tuple, not logits"):
        train(GivesTwo(), Stripes(), recipe(auxiliary=()), tmp_path, RunSettings(workers=0))


@dataclass(frozen=True)
class GreyStripes:
    """The same stripes without colour, not square."""

    count: int = 64

    def training_image(self, index: int, size: Any, seed: int) -> tuple[np.ndarray, int]:
        picture, label = Stripes().training_image(index, size, seed)
        return picture[: len(picture) // 2, :, :1], label


def test_grey_pictures_that_are_not_square_are_trained_on(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
    settings = recipe(auxiliary=())
    made = train(network, GreyStripes(), settings, tmp_path, RunSettings((0.5,), (0.5,), workers=0))
    assert made.steps == 11


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_are_normalised_channel_by_channel(count: int) -> None:
    pictures = torch.randint(0, 256, (2, 5, 7, count), dtype=torch.uint8)
    mean, std = (0.1, 0.2, 0.3)[:count], (0.4, 0.5, 0.6)[:count]
    made = normalised(pictures, mean, std)
    assert made.shape == (2, count, 5, 7)
    assert made.is_contiguous(memory_format=torch.channels_last)
    wanted = (pictures[..., 0].float() / 255 - 0.1) / 0.4
    torch.testing.assert_close(made[:, 0], wanted)
