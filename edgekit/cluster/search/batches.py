"""One batch of trials from their settings to their records: made side by side, narrowed and timed alone."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from edgekit.cluster.search.front import Point
from edgekit.cluster.search.journal import AccuracyFound, Built, Few, LatencyFound, TrialRecord, packed
from edgekit.cluster.search.proposals import Proposal
from edgekit.cluster.search.trials import (
    FP32,
    REFERENCE,
    Against,
    Job,
    Narrowed,
    Network,
    Over,
    Reference,
    Timings,
    Work,
    finished,
    narrowed,
    opened,
    timed,
)
from edgekit.cluster.search.workers import Lost, Part, Workers
from edgekit.prune.choice import ChosenWidths
from edgekit.validate.accuracy import paired_outcomes
from edgekit.validate.binomial import wilson

Told = Sequence[TrialRecord]
"""Trials of earlier batches, in the order of their numbers."""

Say = Callable[[str], None]
"""What is being done, for people."""


class Batches(Protocol):
    """Does batches of trials."""

    def run(self, batch: Sequence[Proposal], told: Told) -> Sequence[TrialRecord]:
        """The records of a batch, in the order of their numbers; they depend on `told`, and not on each other."""
        ...


class OnCluster:
    """Batches on the workers of a cluster."""

    def __init__(self, workers: Workers, job: Callable[[Proposal], Job], reference: Reference, say: Say) -> None:
        self._workers, self._job, self._reference, self._say = workers, job, reference, say

    def run(self, batch: Sequence[Proposal], told: Told) -> Sequence[TrialRecord]:
        """See Batches."""
        under_way = _UnderWay({each.number: each for each in batch}, {e.number: self._job(e) for e in batch})
        against = Against(tuple(p for p in (each.point for each in told) if p is not None), reference_ms(told))
        self._open(under_way)
        widths = self._narrow(under_way)
        self._finish(under_way, widths, against)
        self._time(under_way)
        return [under_way.records[number] for number in sorted(under_way.records)]

    def _open(self, trials: _UnderWay) -> None:
        pruned = [number for number in trials.left if trials.jobs[number].recipe.prune != "none"]
        self._say(f"preparing {len(pruned)} of {len(trials.left)} trials")
        for number, (over, work) in trials.side_by_side(
            self._workers, {number: Part(opened, (trials.jobs[number],)) for number in pruned}
        ).items():
            trials.did(number, work)
            if over is not None:
                trials.end(number, over)

    def _narrow(self, trials: _UnderWay) -> Mapping[int, ChosenWidths]:
        """Widths by number, of the trials that prune; one after the other, since layers are timed."""
        found = {}
        pruned = [number for number in trials.left if trials.jobs[number].recipe.prune != "none"]
        for place, number in enumerate(pruned, 1):
            self._say(f"choosing widths of trial {number} ({place} of {len(pruned)})")
            made, work = self._workers.alone(Part(narrowed, (trials.jobs[number],)))
            trials.did(number, work)
            if isinstance(made, Over):
                trials.end(number, made)
            elif isinstance(made, Narrowed) and made.widths is not None:
                found[number] = made.widths
        return found

    def _finish(self, trials: _UnderWay, widths: Mapping[int, ChosenWidths], against: Against) -> None:
        total = len(trials.left)
        self._say(f"making {total} networks")
        parts = {n: Part(finished, (trials.jobs[n], widths.get(n), against)) for n in trials.left}
        done = []

        def tell(number: int) -> None:
            done.append(number)
            self._say(f"making {total} networks, {len(done)} done")

        for number, (made, work) in trials.side_by_side(self._workers, parts, tell).items():
            trials.did(number, work)
            if isinstance(made, Over):
                trials.end(number, made)
            else:
                trials.networks[number] = made

    def _time(self, trials: _UnderWay) -> None:
        """All networks of the batch in one run, the reference and FP32 among them."""
        if not trials.networks:
            return
        self._say(f"timing {len(trials.networks)} networks")
        own = list(zip((REFERENCE, FP32), self._reference.networks, strict=True))
        given = [*own, *((name_of(number), each) for number, each in trials.networks.items())]
        timings: Timings = self._workers.alone(Part(timed, (self._reference.job, given)))
        for number, each in trials.networks.items():
            trials.records[number] = trials.record(number).model_copy(
                update={
                    "state": "complete",
                    "accuracy": _accuracy(self._reference, each),
                    "latency": _latency(timings, name_of(number)),
                    "size_bytes": each.executed.form.compiled.size_bytes,
                    "params": each.params,
                    "macs": each.macs,
                    "predicted_ratio": each.predicted,
                    "notes": each.notes,
                }
            )


class _UnderWay:
    """The trials of a batch while they are at work."""

    def __init__(self, proposals: Mapping[int, Proposal], jobs: Mapping[int, Job]) -> None:
        self.proposals, self.jobs = proposals, jobs
        self.networks: dict[int, Network] = {}
        self.records: dict[int, TrialRecord] = {}
        self._work: dict[int, Work] = {}
        self._tries = dict.fromkeys(jobs, 1)

    @property
    def left(self) -> list[int]:
        """Numbers of those that are not over."""
        return [number for number in self.jobs if number not in self.records]

    def side_by_side(
        self, workers: Workers, parts: Mapping[int, Part], on_done: Callable[[int], None] = lambda number: None
    ) -> dict[int, tuple[Any, Work]]:
        """What parts give; trials whose workers died each time are over."""
        found = {}
        for number, done in workers.side_by_side(parts, on_done).items():
            if isinstance(done, Lost):
                self.end(number, Over("failed", f"its workers died each time: {done.why}"))
                continue
            self._tries[number] = max(self._tries[number], done.tries)
            found[number] = done.made
        return found

    def did(self, number: int, work: Work) -> None:
        """Adds to what a trial took."""
        before = self._work.get(number)
        self._work[number] = work if before is None else before.then(work)

    def end(self, number: int, over: Over) -> None:
        """A trial is over, without values."""
        few = None
        if over.few is not None:
            right, count = int(over.few.sum()), len(over.few)
            few = Few(top1=100 * right / count, ci95=wilson(right, count), images=count)
        self.records[number] = self.record(number).model_copy(
            update={"state": over.state, "reason": over.reason, "predicted_ratio": over.predicted, "few": few}
        )

    def record(self, number: int) -> TrialRecord:
        """What is known of a trial in any case."""
        work, built = self._work.get(number), None
        if work is not None:
            built = Built(
                began=work.began,
                ended=work.ended,
                seconds=round(work.seconds, 3),
                where=work.where,
                tries=self._tries[number],
                stages=work.stages,
                cached=work.cached,
            )
        return TrialRecord(number=number, setting=self.proposals[number].setting, state="failed", built=built)


DIGITS: Final = 3


def name_of(number: int) -> str:
    """Of a trial among the networks that are timed, and of its folder."""
    return f"trial-{number:0{DIGITS}}"


def reference_ms(told: Told) -> float | None:
    """What the reference took in earlier runs, the median of all; None before the first."""
    found = {each.latency.began: each.latency.reference_p50 for each in told if each.latency is not None}
    return statistics.median(found.values()) if found else None


def _accuracy(reference: Reference, network: Network) -> AccuracyFound:
    right, count = int(network.right.sum()), len(network.right)
    below = paired_outcomes(reference.right, network.right)
    return AccuracyFound(
        top1=100 * right / count,
        ci95=wilson(right, count),
        images=count,
        drop=below.drop,
        drop_ci95=below.ci95,
        right=packed(network.right),
    )


def _latency(timings: Timings, name: str) -> LatencyFound:
    measured = timings.measured
    faster = measured.ratio(REFERENCE, name)
    assert faster is not None  # both were timed
    return LatencyFound(
        p50=measured.latency[name].p50,
        ratio=1 / faster.times_faster,
        ratio_ci95=(1 / faster.high, 1 / faster.low),
        reference_p50=measured.latency[REFERENCE].p50,
        fp32_p50=measured.latency[FP32].p50,
        began=timings.began,
        ended=timings.ended,
    )


def points(told: Told) -> list[Point]:
    """The networks that were measured."""
    return [each for each in (record.point for record in told) if each is not None]
