"""Proposals depend on the seed and on what was told, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_samples import FIRST, SPACE, complete, settings_of

from edgekit.cluster.search.course import go_on, values
from edgekit.cluster.search.journal import Journal, TrialRecord
from edgekit.cluster.search.proposals import SAMPLERS, Asked, Proposal, Proposals, Sampler
from edgekit.cluster.search.space import Setting
from edgekit.errors import InputError

Outcome = Callable[[Setting, int], TrialRecord]


def outcome(setting: Setting, number: int) -> TrialRecord:
    """What comes of a setting: always the same, and of some nothing."""
    share = setting.pruning if isinstance(setting.pruning, float) else 1.0
    if share == 0.3:
        return TrialRecord(number=number, setting=setting, state="stopped", reason="hopeless")
    right = 0.9 - 0.3 * (1 - share) ** 2 - 0.05 * (setting.importance == "magnitude")
    return complete(number, setting, right, share, 1000 + int(100 * share))


class Anyhow:
    """Batches of trials whose workers are done in any order."""

    def __init__(self, seed: int) -> None:
        self._dice, self.run_numbers = np.random.Generator(np.random.PCG64(seed)), list[int]()

    def run(self, batch: Sequence[Proposal], told: Sequence[TrialRecord]) -> Sequence[TrialRecord]:
        made = {}
        for place in self._dice.permutation(len(batch)):
            each = batch[int(place)]
            made[each.number] = outcome(each.setting, each.number)
            self.run_numbers.append(each.number)
        return [made[number] for number in sorted(made)]


def gone_through(folder: Path, trials: int, seed: int, sampler: Sampler = "tpe") -> tuple[list[TrialRecord], list[int]]:
    batches = Anyhow(seed)
    journal = Journal(folder)
    records = go_on(settings_of(sampler), trials, journal, lambda: batches, lambda record, cached: None)
    return records, batches.run_numbers


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_order_in_which_workers_are_done_changes_nothing(tmp_path: Path, sampler: Sampler) -> None:
    found = []
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        records, _ = gone_through(tmp_path / str(seed), 22, seed, sampler)
        found.append(records)
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 22


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 19))
def test_a_search_that_was_stopped_anywhere_goes_on_as_if_it_had_not_been(stopped_at: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole, all_run = gone_through(Path(one), 20, 0)
        lines = (Path(one) / "trials.jsonl").read_bytes().splitlines(keepends=True)
        (Path(other) / "trials.jsonl").write_bytes(b"".join(lines[:stopped_at]))
        again, run = gone_through(Path(other), 20, 1)
        assert again == whole
        assert sorted(run) == sorted(set(all_run) - set(range(stopped_at)))


def test_more_trials_go_on_from_a_batch_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "all").mkdir()
    gone_through(tmp_path / "few", 6, 0)
    later, _ = gone_through(tmp_path / "few", 12, 0)
    whole, _ = gone_through(tmp_path / "all", 12, 0)
    assert [(each.number, each.setting) for each in later] == [(each.number, each.setting) for each in whole]


def test_the_first_trial_is_that_of_the_default_build(tmp_path: Path) -> None:
    records, _ = gone_through(tmp_path, 4, 0)
    assert records[0].setting == FIRST


def test_what_was_proposed_before_is_not_run_again(tmp_path: Path) -> None:
    records, run = gone_through(tmp_path, 40, 0)
    repeated = [each for each in records if each.same_as is not None]
    assert repeated, "the space has fewer settings than there are trials"
    for each in repeated:
        assert each.same_as is not None
        assert each.number not in run
        assert records[each.same_as].setting == each.setting
        assert each.point is None
    settings_run = [records[number].setting for number in run]
    assert len(set(settings_run)) == len(settings_run)


def test_a_first_setting_outside_the_space_is_tried_all_the_same() -> None:
    first = Setting(pruning="none", precision="bf16")
    proposals = Proposals(Asked(SPACE, first, "tpe", 0, ("accuracy", "latency")))
    batch = proposals.ask(3)
    assert batch[0].setting == first
    assert all(each.setting.precision is None for each in batch[1:])
    for each in batch:
        proposals.tell(each.number, [90.0, 1.0])
    assert [each.number for each in proposals.ask(2)] == [3, 4]


def test_a_stopped_trial_has_no_values() -> None:
    stopped = outcome(Setting(pruning=0.3, importance="fisher"), 3)
    assert values(stopped, ("accuracy", "latency", "size")) is None
    assert values(outcome(Setting(pruning=0.5, importance="fisher"), 3), ("latency", "accuracy"))[0] == 0.5  # type: ignore[index]


def test_a_journal_of_other_proposals_is_refused(tmp_path: Path) -> None:
    gone_through(tmp_path, 8, 0)
    path = tmp_path / "trials.jsonl"
    lines = path.read_text().splitlines()
    other = TrialRecord.model_validate_json(lines[1]).model_copy(update={"setting": Setting(pruning=0.7)})
    lines[1] = other.model_dump_json()
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="trial 1 is pruned to 70 % of the latency"):
        gone_through(tmp_path, 8, 0)
