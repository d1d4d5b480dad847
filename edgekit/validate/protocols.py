"""Networks on one or several views of every picture: decoded once for all of them, and cropped ahead in threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Session
from edgekit.data.crops import fill, scales, side_of
from edgekit.data.loading import AHEAD, WORKERS, made_ahead
from edgekit.data.preprocessing import Preprocessing, picture
from edgekit.errors import InputError
from edgekit.validate import activation as activations

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from edgekit.data.image_set import ImageSet

BATCH_VIEWS: Final = 144
"""Views that are run in one go: those of one picture with 144 crops, of twelve with 12."""
BATCH_PICTURES: Final = 32
"""The same with one crop."""

Geometry: TypeAlias = Preprocessing
"""What decides the views of a picture; what is done inside the graph has its default."""


@dataclass(frozen=True)
class Member:
    """A loaded network, what it wants to be shown, and what makes probabilities of its answers."""

    name: str
    session: Session
    preprocessing: Preprocessing
    activation: str = "softmax"


@dataclass(frozen=True)
class Outcome:
    """What networks said of N pictures.

    Attributes:
        crops: views of the protocol.
        probabilities: of each network, float32 (N, classes), averaged over the crops.
        single: of each network, float32 (N, classes): logits of its own centre crop; activations: what makes
            probabilities of those.
        views: pictures that were run, in all; own centre crops among them.
        seconds: wall clock, decoding and cropping included.
    """

    crops: int
    probabilities: tuple[NDArray[np.float32], ...]
    single: tuple[NDArray[np.float32], ...]
    views: int
    seconds: float
    activations: tuple[str, ...]

    @property
    def images(self) -> int:
        return len(self.single[0])

    @property
    def views_per_image(self) -> float:
        """That one network ran, on average."""
        return self.views / (self.images * len(self.single))


def evaluate(
    members: Sequence[Member],
    images: ImageSet,
    crops: int = 1,
    on_progress: Callable[[int], None] = lambda done: None,
    workers: int | Executor = WORKERS,
) -> Outcome:
    """Runs every network on the views of every picture.

    Networks of the same geometry share views. With several crops a network's own centre crop is run beside them, so
    that what they gain is a paired comparison.

    Args:
        crops: 1 or a key of edgekit.data.crops.PROTOCOLS.
        on_progress: told how many pictures are done.
        workers: threads that decode and crop: how many, or those that several evaluations share.
    Raises:
        InputError: a picture cannot be read any more, or the networks have different numbers of classes.
    """
    geometries = tuple(dict.fromkeys(_geometry(member.preprocessing) for member in members))
    probabilities: list[NDArray[np.float32]] = []
    single: list[NDArray[np.float32]] = []
    names = tuple(member.activation for member in members)
    began, done, views = time.monotonic(), 0, 0
    with closing(_batches(images, geometries, crops, workers)) as batches:
        for batch in batches:
            for place, member in enumerate(members):
                shown, weights = batch[_geometry(member.preprocessing)]
                logits = member.session.infer_many(shown)
                if not done:
                    probabilities.append(np.empty((len(images), logits.shape[1]), np.float32))
                    single.append(np.empty_like(probabilities[place]))
                    _check_classes(members, single)
                views += len(shown)
                here = slice(done, done + len(weights))
                single[place][here], probabilities[place][here] = _averaged(logits, weights, member.activation)
            done += len(weights)
            on_progress(done)
    return Outcome(crops, tuple(probabilities), tuple(single), views, time.monotonic() - began, names)


def _averaged(
    logits: NDArray[np.float32], weights: Sequence[NDArray[np.int64]], activation: str
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Of each picture the logits of its own centre crop, its first view, and the weighted mean probabilities of all."""
    ends = np.cumsum([len(each) for each in weights])
    parts = np.split(activations.probabilities(logits, activation), ends[:-1])
    means = [each[each > 0] @ part[each > 0] / each.sum() for each, part in zip(weights, parts, strict=True)]
    firsts = ends - [len(each) for each in weights]
    return logits[firsts], np.stack(means)


def _check_classes(members: Sequence[Member], made: Sequence[NDArray[np.float32]]) -> None:
    first, last = made[0].shape[1], made[-1].shape[1]
    if first != last:
        raise different_classes(members[0].name, first, members[len(made) - 1].name, last)


def different_classes(name: str, classes: int, other: str, other_classes: int) -> InputError:
    """The refusal to average over networks that do not have the same classes."""
    return InputError(
        f"{name} has {classes} classes and {other} has {other_classes}",
        "Give the ensemble networks of the same classes.",
    )


def _geometry(told: Preprocessing) -> Geometry:
    unseen = Preprocessing()
    return replace(told, mean=unseen.mean, std=unseen.std, color=unseen.color)


@dataclass(frozen=True)
class _Job:
    """A picture and its place in a batch: uint8 (pictures, views, H, W, 3) for each geometry."""

    index: int
    place: int
    rooms: Mapping[Geometry, NDArray[np.uint8]]


Weights: TypeAlias = NDArray[np.int64]
Batch: TypeAlias = dict[Geometry, tuple[NDArray[np.uint8], list[Weights]]]
"""For each geometry the views, uint8 (n, H, W, 3), of several pictures, and the weights of each picture's."""


def _batches(
    images: ImageSet, geometries: Sequence[Geometry], crops: int, workers: int | Executor
) -> Generator[Batch, None, None]:
    """The views of all pictures in order, made ahead: each in its place from the start, so that none is copied."""
    group = BATCH_PICTURES if crops == 1 else max(1, BATCH_VIEWS // crops)
    jobs = _jobs(len(images), geometries, crops, group)
    made = made_ahead(lambda job: (job, _viewed(images, job, crops)), jobs, AHEAD * group, workers)
    with closing(made):
        while taken := list(islice(made, group)):
            rooms = taken[0][0].rooms
            weights = {each: [found[each] for _, found in taken] for each in geometries}
            yield {each: (_used(rooms[each], weights[each]), weights[each]) for each in geometries}


def _jobs(count: int, geometries: Sequence[Geometry], crops: int, group: int) -> Iterator[_Job]:
    views = 1 if crops == 1 else crops + 1
    for first in range(0, count, group):
        here = min(group, count - first)
        rooms = {each: np.empty((here, views, *each.size, 3), np.uint8) for each in geometries}
        yield from (_Job(first + place, place, rooms) for place in range(here))


def _viewed(images: ImageSet, job: _Job, crops: int) -> dict[Geometry, Weights]:
    """Makes the views of a picture in their place, the network's own centre crop first; their weights, 0 for that one
    when there are more.

    A drawn picture is drawn at the largest scale of each geometry, and for the own crop at the network's size.
    """
    made: dict[Geometry, Weights] = {}
    upright = {each.exif for each in job.rooms}
    files = {} if images.drawn else {exif: images.decoded(job.index, 0, exif) for exif in upright}
    for geometry, rooms in job.rooms.items():
        room, image = rooms[job.place], files.get(geometry.exif)
        room[0] = images.load(job.index, geometry) if image is None else picture(image, geometry)
        if crops == 1:
            made[geometry] = np.ones(1, np.int64)
            continue
        whole = image or images.decoded(job.index, max(scales(side_of(geometry.size, crops), crops)))
        made[geometry] = np.concatenate([np.zeros(1, np.int64), fill(whole, geometry, crops, room[1:])])
    return made


def _used(rooms: NDArray[np.uint8], weights: Sequence[Weights]) -> NDArray[np.uint8]:
    """The views that were made, without a copy where they lie together."""
    if len(rooms) == 1:
        return rooms[0, : len(weights[0])]
    if all(len(each) == rooms.shape[1] for each in weights):
        return rooms.reshape(-1, *rooms.shape[2:])
    return np.concatenate([room[: len(each)] for room, each in zip(rooms, weights, strict=True)])
