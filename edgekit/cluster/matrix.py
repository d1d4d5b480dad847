"""The builds of a matrix on a cluster: what times has a node to itself, others share one; a lost one is begun again."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from edgekit.build.matrix import Judge, Noted, awaited, built
from edgekit.build.matrix_file import Member, files_of
from edgekit.build.runner import Event
from edgekit.cluster.connection import Cluster
from edgekit.cluster.sent import Files, place_files, read_files
from edgekit.cluster.slots import Slot, Slots
from edgekit.cluster.workers import Place, pinned
from edgekit.errors import InputError, UnavailableError
from edgekit.recipe import Recipe, laid_over, merged
from edgekit.report.matrix import Outcome
from edgekit.store.opening import StoreSettings
from edgekit.temporary import temporary_folder

ATTEMPTS: Final = 2
POLL_S: Final = 0.5


@dataclass(frozen=True)
class Order:
    """A build as a worker gets it.

    Attributes:
        out: the driver's folder of bundles; mark: a folder in it, by which a worker knows that it sees that folder.
        place: the processors of the worker.
    """

    number: int
    member: Member
    out: Path
    mark: str
    store: StoreSettings
    place: Place
    judge: Judge


@dataclass(frozen=True)
class Sent:
    """What a worker sends back: the files of the bundle too, where it could not write them to the driver's folder."""

    outcome: Outcome
    files: Files | None = None


class Ear:
    """An actor that hears the events of all builds until the driver takes them."""

    def __init__(self) -> None:
        self._heard: list[tuple[int, Event]] = []

    def tell(self, number: int, event: Event) -> None:
        """Notes an event of a build."""
        self._heard.append((number, event))

    def taken(self) -> list[tuple[int, Event]]:
        """What was heard since this was last asked."""
        heard, self._heard = self._heard, []
        return heard


def build_there(order: Order, ear: Any) -> Sent:
    """One build, in a worker."""
    last = [0.0]

    def listener(event: Event) -> None:
        now = time.monotonic()
        if event.warning or event.finished or now - last[0] > POLL_S:
            last[0] = now
            ear.tell.remote(order.number, replace(event, ahead=None))

    with pinned(order.place):
        if (order.out / order.mark).is_dir():
            return Sent(built(order.member, order.out, order.store.open(), listener, order.judge))
        with temporary_folder() as folder:
            outcome = built(order.member, folder, order.store.open(), listener, order.judge)
            if outcome.bundle is None:
                return Sent(outcome)
            bundle = Path(outcome.bundle)
            return Sent(outcome, read_files(bundle))


@dataclass(frozen=True)
class Watching:
    """Who is told of a matrix on a cluster.

    Attributes:
        judge: what comes of errors; noted: all outcomes after each change; begun: number and node of a build that
            begins; heard: its events; ended: its outcome.
    """

    judge: Judge
    noted: Noted
    begun: Callable[[int, str], None]
    heard: Callable[[int, Event], None]
    ended: Callable[[int, Outcome], None]


@dataclass(frozen=True)
class Room:
    """Where builds of a matrix run, and what they share.

    Attributes:
        as_told: whether the cluster's shares are as the user said; store: see edgekit.cluster.store.workers_store.
    """

    cluster: Cluster
    as_told: bool
    store: StoreSettings


@dataclass
class _Going:
    """A build under way."""

    number: int
    slot: Slot
    began: float = field(default_factory=time.monotonic)


def build_on_cluster(members: Sequence[Member], out: Path, room: Room, watching: Watching) -> None:
    """Builds all of them, as many at a time as there is room for.

    Raises:
        UnavailableError: the cluster has lost all of its nodes.
        InputError: `out` cannot be written.
    """
    outcomes = awaited(members)
    watching.noted(outcomes)
    with _mark(out) as mark:
        run = _Run(members, outcomes, (out, mark), room, watching)
        try:
            while run.waiting or run.going:
                run.begin()
                run.hear()
                for number, outcome in run.ended():
                    outcomes[number] = outcome
                    watching.ended(number, outcome)
                    watching.noted(outcomes)
        finally:
            run.cancel()


def with_absolute_paths(recipe: Recipe) -> Recipe:
    """The recipe for workers, which stand in a folder of their own."""
    laid: dict[str, JsonValue] = {}
    for key, place in files_of(recipe).items():
        part, _, name = key.rpartition(".")
        laid = laid_over(laid, {part: {name: os.path.abspath(place)}} if part else {name: os.path.abspath(place)})
    return merged(recipe.model_dump(), laid)


class _Run:
    """A matrix under way: what waits, what goes where, and how often each was begun."""

    def __init__(
        self,
        members: Sequence[Member],
        outcomes: Sequence[Outcome],
        place: tuple[Path, str],
        room: Room,
        watching: Watching,
    ) -> None:
        self._members = [replace(each, recipe=with_absolute_paths(each.recipe)) for each in members]
        self._outcomes, self._watching = outcomes, watching
        self._out, self._mark = place
        self._cluster, self._store = room.cluster, room.store
        self._slots = Slots(room.cluster, room.as_told)
        self._attempts = [0] * len(members)
        # A process for each build, as without a cluster.
        self._build = room.cluster.ray.remote(max_calls=1)(build_there)
        self._ear = room.cluster.ray.remote(Ear).options(num_cpus=0, max_concurrency=1).remote()
        self.waiting = list(range(len(members)))
        self.going: dict[Any, _Going] = {}

    def begin(self) -> None:
        """Begins what there is room for, in the order of the matrix."""
        for number in list(self.waiting):
            slot = self._slots.take(self._members[number].recipe)
            if slot is None:
                continue
            self.waiting.remove(number)
            self._attempts[number] += 1
            place = Place(slot.cores, self._cluster.settings)
            order = Order(
                number, self._members[number], self._out.absolute(), self._mark, self._store, place,
                self._watching.judge,
            )  # fmt: skip
            options = {"num_cpus": slot.cpus, "resources": slot.resources, "max_retries": 0}
            task = self._build.options(**options, scheduling_strategy=self._cluster.on(slot.node))
            self.going[task.remote(order, self._ear)] = _Going(number, slot)
            self._watching.begun(number, slot.node.name)

    def hear(self) -> None:
        """Waits a little for a build to end, and passes on what builds tell."""
        self._cluster.ray.wait(list(self.going), timeout=POLL_S)
        with contextlib.suppress(self._cluster.ray.exceptions.RayError):  # an ear that was lost is no build
            for number, event in self._cluster.ray.get(self._ear.taken.remote(), timeout=30):
                if event.warning or any(each.number == number for each in self.going.values()):  # else it is over
                    self._watching.heard(number, event)

    def ended(self) -> Iterator[tuple[int, Outcome]]:
        """What has ended by now; a build whose worker was lost waits once more."""
        ready, _ = self._cluster.ray.wait(list(self.going), num_returns=len(self.going), timeout=0)
        for ref in ready:
            going = self.going.pop(ref)
            self._slots.give_back(going.slot)
            outcome = self._outcome(ref, going)
            if outcome is not None:
                yield going.number, replace(outcome, node=going.slot.node.name, attempts=self._attempts[going.number])
        alive = self._cluster.alive()
        self._slots.keep(alive)
        if self.waiting and not self.going and not self._slots.any():
            raise UnavailableError("the cluster has lost all of its nodes", "Run the same again: what is done is kept.")

    def _outcome(self, ref: Any, going: _Going) -> Outcome | None:
        awaiting = self._outcomes[going.number]
        try:
            sent: Sent = self._cluster.ray.get(ref)
            return self._placed(sent, going.number)
        except self._cluster.ray.exceptions.RayTaskError as error:
            code, line = self._watching.judge(error.cause if isinstance(error.cause, Exception) else error)
            return awaiting.failed(code, line, time.monotonic() - going.began)
        except self._cluster.ray.exceptions.RayError as error:
            if self._attempts[going.number] < ATTEMPTS:
                self.waiting.insert(0, going.number)
                lost = Event("build", warning=f"its worker on {going.slot.node.name} was lost; it is tried once more")
                self._watching.heard(going.number, lost)
                return None
            why = f"its worker was lost {ATTEMPTS} times ({type(error).__name__})"
            return awaiting.failed(4, f"{why}. Look at the memory of the nodes.", time.monotonic() - going.began)

    def _placed(self, sent: Sent, number: int) -> Outcome:
        """The outcome, with the bundle in the driver's folder."""
        outcome, into = sent.outcome, self._out / self._members[number].name
        if outcome.bundle is None:
            return outcome
        if sent.files is not None:
            try:
                place_files(sent.files, into)
            except InputError as error:
                return outcome.failed(*self._watching.judge(error), outcome.seconds)
        return replace(outcome, bundle=str(into))

    def cancel(self) -> None:
        """Ends what is under way: on a cluster that goes on without this driver, nobody else would."""
        for ref in self.going:
            with contextlib.suppress(Exception):  # a cluster that is gone has nothing to end, and says so in many ways
                self._cluster.ray.cancel(ref, force=True)


@contextlib.contextmanager
def _mark(out: Path) -> Iterator[str]:
    """An empty folder among the bundles whose name nobody else can have guessed."""
    with contextlib.ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            mark = stack.enter_context(temporary_folder(".seen-", out))
        except OSError as error:
            raise InputError(f"cannot write to {out}: {error.strerror or error}", "Give another --out.") from error
        yield mark.name
