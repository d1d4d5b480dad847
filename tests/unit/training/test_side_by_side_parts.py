"""Parts of a batch side by side: the same gradients as together, in the same order every time, and exact resume."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_train import Stripes, recipe
from torch import nn

from edgekit.training.distillation import Answers
from edgekit.training.loop import RunSettings, Trained, seeded, train
from edgekit.training.replicas import LEAST_PART, Replicas, cores, is_random, parts_at_once
from edgekit.training.threads import training_threads


def plain() -> nn.Module:
    """Nothing in it is random, and its batch norm has statistics."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip


def without_norms() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def learned(network: nn.Module, parts: int, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Gradients of the mean of the squared logits, by as many parts."""
    replicas = Replicas(network, parts, 1)

    def work(place: int) -> None:
        part = inputs.chunk(parts)[place]
        (replicas.networks[place](part).square().sum() / len(inputs)).backward()

    with replicas.ready():
        replicas.run(work)
    return [each.grad.clone() for each in network.parameters() if each.grad is not None]


@pytest.mark.parametrize("parts", [1, 2, 3, 4])
def test_gradients_are_those_of_the_whole_batch(parts: int) -> None:
    inputs = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    whole = seeded(3, without_norms)
    (whole(inputs).square().sum() / len(inputs)).backward()
    expected = [each.grad for each in whole.parameters()]
    made = learned(seeded(3, without_norms), parts, inputs)
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_copies_share_weights_and_the_mean_of_statistics() -> None:
    network, inputs = seeded(3, plain).train(), torch.rand(16, 3, 16, 16)
    alone = [copy.deepcopy(network).train() for _ in range(2)]
    for each, part in zip(alone, inputs.chunk(2), strict=True):
        each(part)
    replicas = Replicas(network, 2, 1)
    with replicas.ready():
        replicas.run(lambda place: replicas.networks[place](inputs.chunk(2)[place]).sum().backward())
    mean = (alone[0][1].running_mean + alone[1][1].running_mean) / 2  # type: ignore[index]
    for each in replicas.networks:
        torch.testing.assert_close(each[1].running_mean, mean)  # type: ignore[index]
        assert each[0].weight.data_ptr() == network[0].weight.data_ptr()  # type: ignore[index]


@pytest.mark.parametrize("echo", [1, 2, 4])
@pytest.mark.parametrize("stop", [1, 3, 6, 8])
def test_a_run_of_parts_is_done_again_and_gone_on_with_bit_for_bit(echo: int, stop: int, tmp_path: Path) -> None:
    stages = [{"size": size, "images": count, "batch": 16, "echo": echo} for size, count in ((24, 96), (32, 80))]
    told, settings = recipe(stages=stages, auxiliary=()), {"workers": 0, "parts": 2}

    def run(folder: str, plan: Any = told, **more: Any) -> Trained:
        guide = Answers(seeded(9, plain), labelled=True)
        return train(seeded(1, plain), Stripes(), plan, tmp_path / folder, RunSettings(**settings, **more), guide)

    whole = run("whole")
    run("killed", stop_after=stop)
    for other in (run("killed"), run("again", whole.record)):
        pairs = zip(whole.network.state_dict().values(), other.network.state_dict().values(), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)
    assert (whole.record.parts, whole.steps) == (2, 11)


@pytest.mark.parametrize(
    ("make", "random"),
    [(plain, False), (lambda: nn.Sequential(plain(), nn.Dropout(0.2)), True), (lambda: nn.Dropout(0.0), False)],
    ids=["nothing", "dropout", "dropout of nothing"],
)
def test_a_network_that_draws_random_numbers_is_known(make: Callable[[], nn.Module], random: bool) -> None:
    network = make()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert is_random(network, torch.rand(4, 3, 16, 16)) is random
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_parts_fill_the_cores_and_are_not_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.training.replicas.usable_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [parts_at_once(batch) for batch in (2, LEAST_PART, 2 * LEAST_PART, 32, 64)] == [1, 1, 2, 4, 4]
    assert (training_threads(2, 4), training_threads(2, 2)) == (1, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert (cores(), parts_at_once(32)) == (1, 1)
