"""The parts of a trial as they are done on a worker: what needs no clock, what must be alone, and what is left.

A trial that cannot be done says why and is over; a fault of edgekit's own is raised, and ends the search.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekit.build import trial
from edgekit.build.evaluate import Executed
from edgekit.build.executor import Shape
from edgekit.build.trial import Opened
from edgekit.cluster.search.early import after_few, before_recovery
from edgekit.cluster.search.front import Point
from edgekit.errors import EdgekitError
from edgekit.models.graph_facts import GraphFacts
from edgekit.prune.choice import ChosenWidths
from edgekit.recipe import Recipe
from edgekit.store.opening import StoreSettings
from edgekit.temporary import temporary_folder
from edgekit.validate.latency import Measured

Right = NDArray[np.bool_]
Found = TypeVar("Found")

FEW: Final = 5
"""One in so many of the images is shown first."""

LEAST_FEW: Final = 50

REFERENCE: Final = "reference"
FP32: Final = "fp32"


@dataclass(frozen=True)
class Job:
    """A trial as a worker is given it.

    Attributes:
        recipe: whole, with the few minutes and images of a trial; paths in it are absolute.
        most: images that are set aside to calibrate with, see edgekit.build.trial.
        store: of its stages, opened where it is made.
    """

    number: int
    recipe: Recipe
    most: int
    store: StoreSettings


@dataclass(frozen=True)
class Work:
    """What a part of a trial took.

    Attributes:
        began, ended: seconds since 1970, the first and the last; seconds: of work; stages, cached: how many were run,
            and were in the store.
    """

    began: float
    ended: float
    seconds: float
    where: str
    stages: int
    cached: int

    def then(self, other: Work) -> Work:
        """Both parts, one after the other."""
        stages, cached = self.stages + other.stages, self.cached + other.cached
        seconds = self.seconds + other.seconds
        return Work(min(self.began, other.began), other.ended, seconds, other.where, stages, cached)


@dataclass(frozen=True)
class Over:
    """A trial that ends before it has values: stopped, or failed; `few`: which of the first images were right."""

    state: str
    reason: str
    predicted: float | None = None
    few: Right | None = None


@dataclass(frozen=True)
class Narrowed:
    """Which channels of a trial's network stay; None where nothing is pruned."""

    widths: ChosenWidths | None


@dataclass(frozen=True)
class Network:
    """A network that is ready to be timed.

    Attributes:
        content: of its files, by their names; right: of all images.
        predicted: latency as a part of the reference's; None where nothing was predicted.
    """

    executed: Executed
    content: dict[str, bytes]
    shape: Shape
    right: Right
    params: int | None
    macs: int | None
    predicted: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Reference:
    """The model as it came, which everything is held against: in the precision that is asked for, and FP32.

    Attributes:
        job: that made it; digest: of the images that trials are judged by.
    """

    job: Job
    networks: tuple[Network, Network]
    digest: str

    @property
    def right(self) -> Right:
        """Which images FP32 has right."""
        return self.networks[1].right


@dataclass(frozen=True)
class Against:
    """What a trial is held against.

    Attributes:
        told: networks that were measured before; reference_ms: median of the reference so far, None before the first.
    """

    told: tuple[Point, ...]
    reference_ms: float | None


def referred(job: Job) -> tuple[Reference, Work]:
    """The reference, made and shown all images."""
    began = time.time()
    here = trial.opened(job.recipe, job.most, job.store.open())
    base = here.plan.base_precision
    asked = ((REFERENCE, base), (FP32, "fp32"))
    made = trial.compiled(here, [trial.dense_of(here, precision, name=name) for name, precision in asked])
    total, facts = len(here.evaluation), here.exported.facts
    networks = [_network(facts, each, trial.right_of(here, each, 0, total), None) for each in made]
    return Reference(job, (networks[0], networks[1]), here.evaluation.digest), _work(here, began)


def opened(job: Job) -> tuple[Over | None, Work]:
    """Makes what the trial begins with; over where that cannot be."""
    began = time.time()
    here = tried(lambda: trial.opened(job.recipe, job.most, job.store.open()))
    if isinstance(here, Over):
        return here, _untold(began)
    return None, _work(here, began)


def narrowed(job: Job) -> tuple[Over | Narrowed, Work]:
    """Chooses widths; layers and whole networks are timed, so that nothing else may run."""
    return _part_of(job, lambda here: Narrowed(trial.widths_of(here)))


def finished(job: Job, widths: ChosenWidths | None, against: Against) -> tuple[Over | Network, Work]:
    """The rest of a trial: trained, quantized, compiled, shown few images, then all; stopped where it is hopeless."""
    return _part_of(job, lambda here: _finished(here, widths, against))


def _part_of(job: Job, part: Callable[[Opened], Found]) -> tuple[Found | Over, Work]:
    """What a part of a trial gives; a setting that cannot be built is the end of its trial, and of no other."""
    began = time.time()
    here = tried(lambda: trial.opened(job.recipe, job.most, job.store.open()))
    if isinstance(here, Over):
        return here, _untold(began)
    before = len(here.run.ran)
    return tried(lambda: part(here)), _work(here, began, before)


def _finished(here: Opened, widths: ChosenWidths | None, against: Against) -> Over | Network:
    total, told, notes = len(here.evaluation), against.told, list[str]()
    predicted = _predicted(widths, against.reference_ms)
    why_not = None if widths is None else trial.unpruned(here, widths)
    if why_not is not None:
        predicted = None
        notes.append(f"not pruned: {why_not}")
    elif predicted is not None and told:
        (fp32,) = trial.compiled(here, [trial.dense_of(here, "fp32", name=FP32)])
        reason = before_recovery(predicted, trial.right_of(here, fp32, 0, total), told)
        if reason is not None:
            return Over("stopped", reason, predicted)
    variant = trial.network_of(here, widths)
    (made,) = trial.compiled(here, [variant])
    few = min(total, max(LEAST_FEW, total // FEW))
    first = trial.right_of(here, made, 0, few)
    reason = after_few(predicted, first, told)
    if reason is not None:
        return Over("stopped", reason, predicted, first)
    rest = trial.right_of(here, made, few, total) if few < total else first[:0]
    return _network(variant.facts, made, np.concatenate([first, rest]), predicted, tuple(notes))


def _predicted(widths: ChosenWidths | None, reference_ms: float | None) -> float | None:
    """Latency as a part of the reference's: of the chosen widths, as the untrained network was measured."""
    if widths is None or widths.latency is None or reference_ms is None:
        return None
    return widths.latency.measured_ms / reference_ms


def _network(
    facts: GraphFacts, made: Executed, right: Right, predicted: float | None, notes: tuple[str, ...] = ()
) -> Network:
    folder = Path(made.form.compiled.path).parent
    content = {each.path.relative_to(folder).as_posix(): each.path.read_bytes() for each in made.form.files}
    return Network(made, content, trial.shape_of(facts), right, facts.params, facts.macs, predicted, notes)


def tried(part: Callable[[], Found]) -> Found | Over:
    """What a part of a trial gives, or why it cannot be done."""
    try:
        return part()
    except EdgekitError as error:
        if error.exit_code == 1:
            raise
        return Over("failed", error.what)


def _work(here: Opened, began: float, before: int = 0) -> Work:
    """What was done since; `before`: how many stages had been run then, which an earlier part counted."""
    ran = here.run.ran[before:]
    now = time.time()
    return Work(began, now, now - began, socket.gethostname(), len(ran), sum(each.cached for each in ran))


def _untold(began: float) -> Work:
    now = time.time()
    return Work(began, now, now - began, socket.gethostname(), 0, 0)


def ready(networks: Sequence[tuple[str, Network]], folder: Path) -> list[tuple[Executed, Shape]]:
    """Networks by other names, with their files written into a folder, each as its content is told to be."""
    found = []
    for name, each in networks:
        place = folder / name
        for path, content in each.content.items():
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(content)
        form = each.executed.form
        main = place / Path(form.compiled.path).name
        found.append((Executed(name, replace(form, compiled=replace(form.compiled, path=str(main)))), each.shape))
    return found


@dataclass(frozen=True)
class Timings:
    """Latencies of one run, and when that was, in seconds since 1970."""

    measured: Measured
    began: float
    ended: float


def timed(job: Job, networks: Sequence[tuple[str, Network]]) -> Timings:
    """Latencies of networks by name, interleaved, the first one's input size being the usual one. To be run alone."""
    with temporary_folder() as folder:
        given, began = ready(networks, folder), time.time()
        measured = trial.timed(job.recipe, job.store.open(), given)
        return Timings(measured, began, time.time())
