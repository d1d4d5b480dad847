"""A run can be done again from its record, to the same weights, whatever became of it on its way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from test_train import Stripes, recipe, small

from edgekit.errors import EdgekitError, InputError
from edgekit.training import autocast
from edgekit.training.ceiling import Ceiling, Stopwatch
from edgekit.training.distillation import Answers
from edgekit.training.loop import Looks, RunSettings, Trained, seeded, train
from edgekit.training.recipe import TrainingRecipe
from edgekit.training.record import TrainingRecord
from edgekit.training.threads import conditions, training_threads


class SlowStripes(Stripes):
    """Drawing one takes a second of a clock that only these move; ten from the `slow_from`th on."""

    def __init__(self, slow_from: int = 10_000) -> None:
        super().__init__()
        object.__setattr__(self, "now", 0.0)
        object.__setattr__(self, "drawn", 0)
        object.__setattr__(self, "slow_from", slow_from)

    def __call__(self) -> float:
        return self.now  # type: ignore[attr-defined, no-any-return]

    def training_image(self, index: int, size: tuple[int, int], seed: int) -> tuple[np.ndarray, int]:
        object.__setattr__(self, "now", self.now + (10.0 if self.drawn >= self.slow_from else 1.0))  # type: ignore[attr-defined]
        object.__setattr__(self, "drawn", self.drawn + 1)  # type: ignore[attr-defined]
        return super().training_image(index, size, seed)


def run(
    plan: TrainingRecipe | TrainingRecord, out: Path, settings: RunSettings, images: Stripes | None = None
) -> Trained:
    guide = Answers(seeded(9, small), labelled=True)
    return train(seeded(1, small), images or Stripes(), plan, out, replace(settings, workers=0), guide)


def same(one: Trained, other: Trained) -> bool:
    pairs = zip(one.network.state_dict().values(), other.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def through_yaml(record: TrainingRecord) -> TrainingRecord:
    return TrainingRecord.model_validate(yaml.safe_load(yaml.safe_dump(record.model_dump(mode="json"))))


def whole(tmp_path: Path) -> Trained:
    return run(recipe(), tmp_path, RunSettings())


def cut(tmp_path: Path) -> Trained:
    images = SlowStripes(slow_from=32)
    ceiling = Ceiling(232.0, Stopwatch(clock=images), (8.0, 8.0))
    return run(recipe(), tmp_path, RunSettings(ceiling=ceiling), images)


def ended_at_a_look(tmp_path: Path) -> Trained:
    return run(recipe(), tmp_path, RunSettings(looks=Looks((0.3, 0.6), 0.0, lambda network: True)))


@pytest.mark.parametrize(
    ("first", "steps"), [(whole, {11}), (cut, {6, 7}), (ended_at_a_look, {4})], ids=["whole", "cut", "ended early"]
)
def test_a_run_from_its_record_has_the_same_weights_bit_for_bit(
    first: Callable[[Path], Trained], steps: set[int], tmp_path: Path
) -> None:
    made = first(tmp_path / "first")
    assert made.steps in steps
    assert made.record.images == 8 * made.steps
    assert (made.cut is not None) == (first is cut)
    assert made.is_enough == (first is ended_at_a_look)
    record = through_yaml(made.record)
    assert record == made.record

    def not_looked_at(network: torch.nn.Module) -> bool:
        raise AssertionError

    binding = RunSettings(ceiling=Ceiling(0.0, Stopwatch()), looks=Looks((0.1, 0.5), 0.0, not_looked_at))
    again = run(record, tmp_path / "again", binding)
    assert again.record == record
    assert same(made, again)
    assert not same(made, run(recipe(seed=5), tmp_path / "other", RunSettings()))


def test_a_run_that_was_cut_ends_its_cycle(tmp_path: Path) -> None:
    made = cut(tmp_path)
    assert len(made.record.spans) > 1
    assert made.cut is not None
    assert made.cut.startswith("cut from 88 to ")
    assert made.record.rates[-1] < 0.3 * max(made.record.rates)


def test_a_replay_that_was_stopped_goes_on(tmp_path: Path) -> None:
    made = cut(tmp_path / "first")
    run(made.record, tmp_path / "again", RunSettings(stop_after=4))
    assert same(made, run(made.record, tmp_path / "again", RunSettings()))


def test_a_run_that_was_cut_and_stopped_keeps_what_was_cut(tmp_path: Path) -> None:
    images = SlowStripes(slow_from=32)
    ceiling = Ceiling(232.0, Stopwatch(clock=images), (8.0, 8.0))
    first = run(recipe(), tmp_path, RunSettings(ceiling=ceiling, stop_after=6), images)
    second = run(recipe(), tmp_path, RunSettings())
    assert first.cut is not None
    assert second.cut == first.cut
    assert second.record.spans == first.record.spans


def test_a_run_that_was_killed_at_a_look_looks_again(tmp_path: Path) -> None:
    def killed(network: torch.nn.Module) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(recipe(), tmp_path, RunSettings(looks=Looks((0.5,), 0.0, killed)))
    seen: list[torch.nn.Module] = []

    def is_enough(network: torch.nn.Module) -> bool:
        seen.append(network)
        return True

    assert run(recipe(), tmp_path, RunSettings(looks=Looks((0.5,), 0.0, is_enough))).steps == 6
    assert len(seen) == 1


def test_a_replay_computes_as_the_run_did_and_leaves_this_process_as_it_was(tmp_path: Path) -> None:
    threads, format_ = torch.get_num_threads(), autocast.number_format()
    other = "fp32" if format_ == "bf16" else "bf16"
    made = whole(tmp_path / "first")
    assert (made.record.threads, made.record.number_format) == (threads, format_)
    record = made.record.model_copy(update={"threads": threads + 1, "number_format": other})
    again = run(record, tmp_path / "again", RunSettings())
    assert (again.record.threads, again.record.number_format) == (threads + 1, other)
    assert not same(made, again)
    assert (torch.get_num_threads(), autocast.number_format()) == (threads, format_)
    with conditions(record, 0):
        assert (torch.get_num_threads(), autocast.number_format()) == (threads + 1, other)


def test_one_core_is_left_to_the_processes_that_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with autocast.computing(4, None):
        monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
        assert (training_threads(0), training_threads(2)) == (4, 3)
        monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
        assert training_threads(2) == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert training_threads(2) == 4


def test_a_record_that_does_not_add_up_is_refused(tmp_path: Path) -> None:
    plain = whole(tmp_path).record.model_dump(mode="json")
    with pytest.raises(ValidationError, match="10 rates for 11 steps"):
        TrainingRecord.model_validate(plain | {"rates": plain["rates"][:-1]})
    with pytest.raises(ValidationError, match="does not begin at step 0"):
        TrainingRecord.model_validate(plain | {"spans": [{"step": 3, "progress": 0.5, "steps": 2}]})


@pytest.mark.parametrize("kept", [0, 10, 1000, -100])
def test_a_checkpoint_that_was_cut_short_is_named(kept: int, tmp_path: Path) -> None:
    run(recipe(), tmp_path, RunSettings(stop_after=2))
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged") as caught:
        run(recipe(), tmp_path, RunSettings())
    assert "Delete it" in caught.value.hint


def test_a_run_that_diverges_stops_at_once_where_it_must(tmp_path: Path) -> None:
    wild = recipe(optimizer="adamw", learning_rate=1e30, clip_norm=None)
    with pytest.raises(EdgekitError, match=r"diverged at step \d+ of 11") as caught:
        run(wild, tmp_path / "stopped", RunSettings(if_diverged="Lower the rate."))
    assert caught.value.hint == "Lower the rate."
    assert not (tmp_path / "stopped" / "checkpoint.pt").exists()
    assert run(wild, tmp_path / "on", RunSettings()).steps == 11
    assert json.loads((tmp_path / "on" / "log.jsonl").read_text().splitlines()[-1])["step"] == 11
