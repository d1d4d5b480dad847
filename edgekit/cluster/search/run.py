"""A whole search: settled, gone through, its front built in full and timed again, and all of it written down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edgekit import __version__
from edgekit.build.runner import PLANNED, Event, Listener
from edgekit.build.time_left import Expected
from edgekit.cluster.connection import ClusterSettings, connected
from edgekit.cluster.search import finals
from edgekit.cluster.search.batches import Batches, OnCluster, points
from edgekit.cluster.search.course import go_on
from edgekit.cluster.search.finals import Made
from edgekit.cluster.search.front import OnFront, corner, front, hypervolume, most_first
from edgekit.cluster.search.journal import Journal, TrialRecord, claimed
from edgekit.cluster.search.request import Request, Settled, settled
from edgekit.cluster.search.results import BuiltPoint, ClusterFacts, Counts, Hypervolume, SearchResult
from edgekit.cluster.search.trials import Over, referred
from edgekit.cluster.search.workers import Part, Workers
from edgekit.cluster.sent import Files
from edgekit.cluster.store import workers_store
from edgekit.errors import EdgekitError, UnavailableError, install_hint
from edgekit.recipe import Recipe
from edgekit.report.across import builds_in
from edgekit.report.across_page import across_html
from edgekit.store.opening import StoreSettings
from edgekit.validate.side_by_side import SideBySide
from edgekit.whole_files import written_whole

RESULT: Final = "search.json"
PAGE: Final = "index.html"
TRIALS_BAR, FRONT_BAR = "search", "front"
"""Stages of the events that tell of the whole: trials, and points of the front that are built in full."""


@dataclass
class Joined:
    """A cluster that is joined once there is something to do on it.

    Attributes:
        store: as it was told; once the cluster is joined, that of its workers.
    """

    settings: ClusterSettings
    store: StoreSettings
    listener: Listener
    stack: contextlib.ExitStack
    workers: Workers | None = None
    facts: ClusterFacts | None = None
    warnings: list[str] = field(default_factory=list)

    def __call__(self) -> Workers:
        """Its workers."""
        if self.workers is None:
            try:
                cluster = self.stack.enter_context(connected(self.settings, self.listener))
            except ImportError as error:
                raise UnavailableError("a search needs Ray, which is not installed", install_hint("cluster")) from error
            self.warnings += cluster.warnings
            self.store = workers_store(cluster, self.store)
            self.workers = Workers(cluster)
            names = tuple(dict.fromkeys(share.node.name for share in cluster.shares))
            self.facts = ClusterFacts(
                where=cluster.where, workers=len(cluster.shares), nodes=names, timing=self.workers.timing.name
            )
        return self.workers


def search(
    request: Request, cluster: ClusterSettings, out: Path, store: StoreSettings, on_event: Listener
) -> SearchResult:
    """Looks for networks that are accurate, fast and small, and builds those that none beats.

    What is over is in the journal of `out` and in the store: a search that was stopped goes on from there.

    Args:
        cluster: that it runs on, joined as soon as there is something to do; store: of stages, see `--store`.
        out: of the search, absolute; it is new, empty, or of the same search.
    Raises:
        InputError: bad input; `out` is of something else. UnavailableError: the target, a package or the cluster is not
            there.
    """
    began = time.monotonic()
    known = settled(request, store.open(), on_event)
    with contextlib.ExitStack() as stack:
        stack.enter_context(claimed(out, known.settings))
        journal = Journal(out)
        joined = Joined(cluster, store, on_event, stack)
        telling = _Telling(request.trials, on_event)
        if journal.torn:
            telling.warn("the journal's last line was cut off: that trial is run again")
        for line in known.notes:
            telling.warn(line)
        trials = go_on(known.settings, request.trials, journal, _batches(known, joined, telling), telling.trial)
        telling.over()
        measured = points(trials)
        on_front = front(measured)
        chosen = most_first(on_front, measured, covered(trials).reference)[: request.front]
        made = _built(known, joined, out, trials, chosen, on_event)
        built, timed, why_not = _compared(request.recipe, joined, made, out, on_event)
        found = _result(known, trials, on_front, built, timed)
        found = found.model_copy(
            update={
                "counts": _counts(trials, telling.cached),
                "why_not": why_not,
                "warnings": (*telling.warnings, *joined.warnings, *(() if timed is None else timed.warnings)),
                "seconds": round(time.monotonic() - began, 1),
                "cluster": joined.facts,
            }
        )
    _write(found, out)
    return found


def _batches(known: Settled, joined: Joined, telling: _Telling) -> Callable[[], Batches]:
    def made() -> Batches:
        workers = joined()
        telling.say("making the reference")
        reference, _ = workers.alone(Part(referred, (known.job(joined.store),)))
        return OnCluster(workers, lambda proposal: known.job_of(joined.store, proposal), reference, telling.say)

    return made


def _built(
    known: Settled,
    joined: Joined,
    out: Path,
    trials: Sequence[TrialRecord],
    chosen: Sequence[OnFront],
    on_event: Listener,
) -> list[Made]:
    """The default build and the points of the front, built in full."""
    settings = {each.number: each.setting for each in trials}

    def recipe_of(number: int | None) -> Recipe:
        return known.recipe_in_full(None if number is None else settings[number])

    def in_full(recipe: Recipe) -> Files | Over:
        workers = joined()
        made: Files | Over = workers.alone(Part(finals.whole, (recipe, joined.store)))
        return made

    asked = finals.wanted(recipe_of, chosen) if known.request.front != 0 else []
    made = list[Made]()
    if asked:
        on_event(Event(PLANNED, finished=True, ahead=(Expected(FRONT_BAR, whole=True),)))
    for done, each in enumerate(asked):
        on_event(Event(FRONT_BAR, done, len(asked), detail=f"building {each.name} in full"))
        made.append(finals.built_in_full(each, out, in_full))
    return made


def _compared(
    recipe: Recipe, joined: Joined, made: Sequence[Made], out: Path, on_event: Listener
) -> tuple[tuple[BuiltPoint, ...], SideBySide | None, str | None]:
    """What is said of the bundles; how they were timed side by side, or why they were not."""
    there = [each for each in made if each.why is None]
    timed, why_not = None, None
    if not made:
        return (), None, "none was built in full"
    if len(there) < 2 or there[0].wanted.point is not None:
        why_not = "there is nothing to compare with the default build"
    elif recipe.device is not None:
        why_not = "bundles are not timed again on devices"
    else:
        on_event(Event(FRONT_BAR, len(made), len(made), detail="timing all bundles side by side"))
        try:
            timed = finals.timed_again(joined, made, recipe.latency.runs, recipe.latency.max_seconds, out)
        except EdgekitError as error:
            if error.exit_code == 1:
                raise
            why_not = error.what
    on_event(Event(FRONT_BAR, finished=True, detail=f"{len(there)} bundles"))
    return finals.compared_with_default(made, timed, out), timed, why_not


def _result(
    known: Settled,
    trials: Sequence[TrialRecord],
    on_front: Sequence[OnFront],
    built: tuple[BuiltPoint, ...],
    timed: SideBySide | None,
) -> SearchResult:
    in_full = {each.number for each in built}
    return SearchResult(
        schema=1,
        edgekit=__version__,
        model=known.model,
        target=known.target,
        settings=known.settings,
        trials=tuple(trials),
        counts=_counts(trials, 0),
        front=tuple(each.number for each in on_front if not each.undecided),
        undecided=tuple(each.number for each in on_front if each.undecided),
        left_out=tuple(each.number for each in on_front if each.number not in in_full),
        hypervolume=covered(trials),
        built=_with_front(built),
        timed_together=None if timed is None else timed.processes,
        why_not=None,
        warnings=(),
        seconds=0.0,
        cluster=None,
    )


def covered(trials: Sequence[TrialRecord]) -> Hypervolume:
    """What trials cover, and what they did after each of them."""
    fp32 = next((each.accuracy.top1 + each.accuracy.drop for each in trials if each.accuracy is not None), 0.0)
    reference, seen, by_trial = corner(fp32), list[tuple[float, float]](), list[float]()
    for each in trials:
        point = each.point
        seen.extend([] if point is None else [(point.top1, point.ratio)])
        by_trial.append(round(hypervolume(seen, reference), 4))
    return Hypervolume(value=by_trial[-1] if by_trial else 0.0, reference=reference, by_trial=tuple(by_trial))


def _with_front(built: Sequence[BuiltPoint]) -> tuple[BuiltPoint, ...]:
    """Which of the bundles no other one beats in all, by the final figures."""

    def better(one: BuiltPoint, other: BuiltPoint) -> bool:
        if one.top1 is None or other.top1 is None or one.p50 is None or other.p50 is None:
            return False
        pairs = ((other.top1, one.top1), (one.p50, other.p50), (one.size_bytes or 0, other.size_bytes or 0))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    return tuple(
        each.model_copy(
            update={"on_front": each.bundle is not None and not any(better(other, each) for other in built)}
        )
        for each in built
    )


def _counts(trials: Sequence[TrialRecord], cached: int) -> Counts:
    own = [each.state for each in trials if each.same_as is None]
    return Counts(
        complete=own.count("complete"),
        stopped=own.count("stopped"),
        failed=own.count("failed"),
        repeated=len(trials) - len(own),
        cached=cached,
    )


def _write(found: SearchResult, out: Path) -> None:
    """The results, and a page over all bundles; each whole or not at all."""
    texts = {RESULT: found.as_json()}
    if any(each.bundle is not None for each in found.built):
        texts[PAGE] = across_html(builds_in(out), f"Search: {found.model} for {found.target}")
    for name, text in texts.items():
        with written_whole(out / name) as partial:
            partial.write_text(text, encoding="utf-8")


class _Telling:
    """Tells of the trials: one stage for all of them, and one that ends for each."""

    def __init__(self, trials: int, listener: Listener) -> None:
        self._total, self._done, self._listener = trials, 0, listener
        self.cached = 0
        self.warnings: list[str] = []
        whole = Expected(TRIALS_BAR, whole=True)
        listener(Event(PLANNED, finished=True, ahead=(whole,)))

    def say(self, what: str) -> None:
        """What is being done."""
        self._listener(Event(TRIALS_BAR, self._done, self._total, detail=what))

    def warn(self, line: str) -> None:
        """What the user should know at once."""
        if line not in self.warnings:
            self.warnings.append(line)
            self._listener(Event(TRIALS_BAR, self._done, self._total, warning=line))

    def trial(self, record: TrialRecord, cached: bool) -> None:
        """A trial is over."""
        self._done += 1
        self.cached += cached
        if not cached:
            self._listener(
                Event(f"trial {record.number}", finished=True, detail=f"{record.setting.words}: {said(record)}")
            )
        self.say("")

    def over(self) -> None:
        """All trials are over."""
        self._listener(
            Event(TRIALS_BAR, finished=True, detail=f"{self._done} trials, {self.cached} of them done before")
        )


def said(record: TrialRecord) -> str:
    """What came of a trial, in words."""
    if record.same_as is not None:
        return f"as trial {record.same_as}"
    if record.accuracy is None or record.latency is None:
        return f"{record.state}: {record.reason}"
    low, high = record.accuracy.ci95
    return (
        f"top-1 {record.accuracy.top1:.1f} % ({low:.1f} to {high:.1f}), {record.latency.p50:.3g} ms,"
        f" {record.latency.ratio:.2f} of the reference's"
    )
