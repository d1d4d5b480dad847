"""The course of a search: batch after batch is proposed, looked up in the journal or done, written down and told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edgekit.cluster.search.batches import Batches
from edgekit.cluster.search.journal import Journal, Settings, TrialRecord
from edgekit.cluster.search.proposals import Asked, Objective, Proposal, Proposals
from edgekit.errors import InputError

Listen = Callable[[TrialRecord, bool], None]
"""Told of each trial that is over, and whether the journal had it."""


def asked(settings: Settings) -> Asked:
    """How proposals are made for a search."""
    return Asked(settings.space, settings.first, settings.sampler, settings.seed, settings.objectives)


def go_on(
    settings: Settings, trials: int, journal: Journal, batches: Callable[[], Batches], listen: Listen
) -> list[TrialRecord]:
    """All trials up to a number, those of the journal first; in the order of their numbers.

    Args:
        batches: is called before the first batch that has anything to do.
    Raises:
        InputError: the journal has other trials than would be proposed now.
    """
    proposals, told, doing = Proposals(asked(settings)), list[TrialRecord](), list[Batches]()
    for _ in range(math.ceil(trials / settings.batch)):
        # a last batch that is cut short is asked for whole, so that a search which goes on later asks for the same
        batch = [each for each in proposals.ask(settings.batch) if each.number < trials]
        new = [each for each in batch if each.number not in journal.records]
        cached = {each.number for each in batch} - {each.number for each in new}
        _check(batch, journal)
        to_run = [each for each in new if each.same_as is None]
        if to_run and not doing:
            doing.append(batches())
        made = {each.number: each for each in (doing[0].run(to_run, tuple(told)) if to_run else ())}
        for each in new:
            journal.append(made[each.number] if each.same_as is None else repeated(each, journal.records[each.same_as]))
            listen(journal.records[each.number], False)
        for each in batch:
            record = journal.records[each.number]
            if each.number in cached:
                listen(record, True)
            of = record if record.same_as is None else journal.records[record.same_as]
            proposals.tell(each.number, values(of, settings.objectives))
            told.append(record)
    return told


def _check(batch: Sequence[Proposal], journal: Journal) -> None:
    for each in batch:
        kept = journal.records.get(each.number)
        if kept is not None and kept.setting != each.setting:
            raise InputError(
                f"the journal's trial {each.number} is {kept.setting.words}, where {each.setting.words} is proposed",
                "Give another --out.",
            )


def repeated(proposal: Proposal, of: TrialRecord) -> TrialRecord:
    """The record of a trial that was not run, since an earlier one had its setting."""
    return TrialRecord(
        number=proposal.number,
        setting=proposal.setting,
        state=of.state,
        same_as=of.number,
        reason=f"the same setting as of trial {of.number}",
    )


def values(record: TrialRecord, objectives: Sequence[Objective]) -> list[float] | None:
    """What the sampler is told of a trial; None of one that has no final values."""
    point = record.point
    if point is None:
        return None
    found = {"accuracy": point.top1, "latency": point.ratio, "size": float(point.size_bytes)}
    return [found[each] for each in objectives]
