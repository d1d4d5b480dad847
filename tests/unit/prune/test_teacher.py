"""Who runs the unpruned network in a recovery: OpenVINO where its answers are torch's, else torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edgekit.prune.distillation import Distillation
from edgekit.prune.teacher import GROUP, OpenVinoTeacher, Teaching, TorchTeacher, teacher_for
from edgekit.training.loop import seeded

ROWS = {"0": torch.tensor([0, 2, 5]), "1": torch.tensor([1])}


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
    )


class Bright(nn.Module):
    """Its answer depends on values in a way that a trace does not see."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = small()

    def forward(self, inputs: Tensor) -> Tensor:
        made: Tensor = self.layers(inputs)
        return made if float(inputs.mean()) > 0.5 else -made


class Refusing(nn.Module):
    """What cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = small()

    def forward(self, inputs: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("not to be traced")
        made: Tensor = self.layers(inputs)
        return made


class Rigid(nn.Module):
    """It takes any size, and a trace of it only the one that it was made with."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = small()

    def forward(self, inputs: Tensor) -> Tensor:
        middle = inputs.reshape(len(inputs), 3, int(inputs.shape[2]), int(inputs.shape[3]))
        made: Tensor = self.layers(torch.nn.functional.interpolate(middle, scale_factor=24 / float(inputs.shape[2])))
        return made


@pytest.fixture
def teaching() -> Teaching:
    return Teaching(seeded(4, small).eval().requires_grad_(False), ROWS)


@pytest.mark.parametrize("count", [1, GROUP, GROUP + 3])
def test_openvino_gives_what_torch_gives_for_any_number_and_size_of_pictures(teaching: Teaching, count: int) -> None:
    made = teacher_for(teaching, torch.rand(4, 3, 24, 24), 2)
    assert isinstance(made, OpenVinoTeacher)
    for side in (24, 32):
        inputs = torch.rand(count, 3, side, side)
        ours, theirs = made(inputs), TorchTeacher(teaching)(inputs)
        assert [each.shape for each in ours] == [each.shape for each in theirs]
        assert [each.shape[1] for each in ours] == [5, 3, 1]
        assert (ours[0].dtype, {each.dtype for each in ours[1:]}) == (torch.float32, {torch.bfloat16})
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one.float(), other.float(), rtol=0.05, atol=0.02)


def test_what_was_made_with_torch_is_done_again_with_torch(teaching: Teaching) -> None:
    assert teacher_for(teaching, torch.rand(4, 3, 24, 24), 1, "torch").name == "torch"


@pytest.mark.parametrize("make", [Refusing, Bright])
def test_a_network_that_a_trace_does_not_hold_is_run_by_torch(make: type[nn.Module]) -> None:
    rows = {f"layers.{name}": kept for name, kept in ROWS.items()}
    made = teacher_for(Teaching(seeded(4, make).eval(), rows), torch.rand(4, 3, 24, 24), 1)
    assert made.name == "torch"


def test_other_sizes_than_the_traced_one_are_right_too() -> None:
    rows = {f"layers.{name}": kept for name, kept in ROWS.items()}
    teaching = Teaching(seeded(4, Rigid).eval(), rows)
    made = teacher_for(teaching, torch.rand(4, 3, 24, 24), 1)
    for side in (48, 32, 24):
        inputs = torch.rand(3, 3, side, side)
        for one, other in zip(made(inputs), TorchTeacher(teaching)(inputs), strict=True):
            torch.testing.assert_close(one.float(), other.float(), rtol=0.05, atol=0.02)


def test_answers_that_are_not_torchs_are_not_learned_from(monkeypatch: pytest.MonkeyPatch, teaching: Teaching) -> None:
    plain = OpenVinoTeacher._asked

    def turned(self: OpenVinoTeacher, request: object, inputs: Tensor) -> tuple[Tensor, ...]:
        logits, *layers = plain(self, request, inputs)
        return (-logits, *layers)

    monkeypatch.setattr(OpenVinoTeacher, "_asked", turned)
    assert teacher_for(teaching, torch.rand(4, 3, 24, 24), 1).name == "torch"


def test_a_student_that_is_its_teacher_has_nothing_to_learn_but_labels() -> None:
    network, inputs = seeded(4, small).eval(), torch.rand(6, 3, 24, 24)
    whole = {"0": torch.arange(8), "1": torch.arange(8)}
    guide = Distillation(TorchTeacher(Teaching(network, whole)), whole, labelled=False)
    with guide.beside(network) as loss:
        made = loss(guide.taught(inputs), network(inputs), torch.zeros(6, dtype=torch.long), 0.0)
    assert float(made.detach()) == pytest.approx(0.0, abs=1e-3)
    assert len(network[0]._forward_hooks) == 1  # the teacher's
