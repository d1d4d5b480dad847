"""How much memory a training step takes: what is kept is counted, and less goes through at once where there is less."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.targets.memory import peak_bytes, resident_bytes
from edgekit.training.loop import RunSettings, train
from edgekit.training.memory import WORKERS_BYTES, at_once, kept_bytes
from edgekit.training.recipe import Stage, TrainingRecipe

SIDE, CHANNELS = 64, 32


class Noise:
    """Pictures of two kinds of noise."""

    count = 32

    def training_image(self, index: int, size: tuple[int, int], seed: int) -> tuple[np.ndarray, int]:
        dice = np.random.Generator(np.random.PCG64([index, seed]))
        return dice.integers(0, 128 * (1 + index % 2), (*size, 3), dtype=np.uint8), index % 2


def network(layers: int = 3) -> nn.Module:
    """Convolutions without batch norms."""
    torch.manual_seed(1)
    convolutions = [nn.Conv2d(3 if place == 0 else CHANNELS, CHANNELS, 3, padding=1) for place in range(layers)]
    pairs = [(convolution, nn.ReLU()) for convolution in convolutions]
    return nn.Sequential(*itertools.chain(*pairs), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 2))


def test_what_a_pass_keeps_is_counted_once() -> None:
    one, two = (kept_bytes(network(), (SIDE, SIDE), count) for count in (1, 2))
    each = 2 * CHANNELS * SIDE * SIDE  # BF16
    assert 3 * each <= two - one <= 7 * each  # what each convolution reads and each ReLU made, and not much more


def test_as_many_go_through_at_once_as_fit() -> None:
    free = [WORKERS_BYTES + part * 1_000_000 for part in (0, 2, 4, 8, 64)]
    found = [at_once(network(), (SIDE, SIDE), 16, each) for each in free]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 16)
    assert 0 < found[2] < 16


@pytest.mark.parametrize("parts", [1, 3, 8])
def test_parts_of_a_batch_have_its_gradients(parts: int, tmp_path: Path) -> None:
    def trained(name: str, together: int | None) -> list[torch.Tensor]:
        stages = (Stage(size=16, images=32, batch=8, at_once=together),)
        recipe = TrainingRecipe(dropout=0.0, bf16=False, schedule="one-cycle", stages=stages)
        made = train(network(), Noise(), recipe, tmp_path / name, RunSettings(workers=0)).network
        return list(made.state_dict().values())

    for whole, summed in zip(trained("whole", None), trained("parts", parts), strict=True):
        torch.testing.assert_close(whole, summed, rtol=1e-4, atol=1e-6)


def test_this_process_holds_memory() -> None:
    assert 10_000_000 < resident_bytes() <= 1.05 * peak_bytes()  # the kernel counts both loosely


def test_what_another_process_held_does_not_count() -> None:
    large = np.ones(50_000_000)  # 400 MB, held while the other process begins
    script = "from edgekit.targets.memory import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 5_000_000 < int(done.stdout) < 200_000_000 < large.nbytes


def test_a_step_takes_no_more_than_it_was_said_to() -> None:
    """In a process of its own, whose most memory is only what this takes."""
    script = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch
from test_training_memory import network
from edgekit.targets.memory import peak_bytes, resident_bytes
from edgekit.training.autocast import autocast
from edgekit.training.memory import WORKERS_BYTES, at_once
student, free = network(24), 300_000_000
with autocast():
    student(torch.zeros(1, 3, 96, 96)).sum().backward()  # what the libraries take for themselves
before = resident_bytes()
count = at_once(student, (96, 96), 64, WORKERS_BYTES + free)
with autocast():
    made = student(torch.zeros(count, 3, 96, 96).contiguous(memory_format=torch.channels_last))
made.float().sum().backward()
print(count, (peak_bytes() - before) / free)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, part = done.stdout.split()
    assert 1 <= int(count) < 64
    assert 0.3 < float(part) < 1.3
