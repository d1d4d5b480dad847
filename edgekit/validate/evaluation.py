"""What variants of a network answer to images: every variant on the same pixels, or the same images at its size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Session
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Preprocessing
from edgekit.validate.accuracy import first_right
from edgekit.validate.question import Question
from edgekit.validate.sequential import Outcome, Stopping, boundaries, looks, outcome
from edgekit.validate.tasks import Truth, VariantResult, judge
from edgekit.validate.thumbnails import thumbnail

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

BATCH: Final = 32

Logits = NDArray[np.float32]
Pictures = NDArray[np.uint8]

INPUTS: Final = "inputs"
"""The array of what networks are shown of the first images; with a name behind it, of one that takes another size."""

RIGHT: Final = "right-"
"""Begins the names of arrays that say, a bit an image, which images a variant had right."""


def predict(
    sessions: Mapping[str, Session],
    images: ImageSet,
    preprocessing: Preprocessing,
    indices: Sequence[int],
    on_progress: Callable[[int], None] = lambda done: None,
    others: Mapping[str, Preprocessing] = MappingProxyType({}),
) -> dict[str, Logits]:
    """Logits (N, classes) of every session for the same images, each decoded once for all that take the same pixels.

    Args:
        others: how images are prepared for sessions that take another size, by name.
    """
    made: dict[str, Logits] = {}
    done = 0
    for pictures, count in _prepared(sessions, images, indices, preprocessing, others):
        for name, session in sessions.items():
            _keep(made, name, session.infer_many(pictures[name]), done, len(indices))
        done += count
        on_progress(done)
    return made


def _prepared(
    names: Collection[str],
    images: ImageSet,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    others: Mapping[str, Preprocessing],
) -> Iterator[tuple[dict[str, Pictures], int]]:
    """What each network is shown of the next images, uint8 (n, H, W, 3), and how many images that are.

    Args:
        names: of those that are shown images; names may leave it meanwhile: nothing is prepared that nobody asks for.
    """
    wanted = {name: others.get(name, preprocessing) for name in names}
    ways = {how: batches(images, how, indices, BATCH) for how in wanted.values()}
    for first in range(0, len(indices), BATCH):
        ways = {how: made for how, made in ways.items() if any(wanted[name] == how for name in names)}
        ready = {how: next(made)[0] for how, made in ways.items()}
        yield {name: ready[wanted[name]] for name in names}, min(BATCH, len(indices) - first)


def _keep(made: dict[str, Logits], name: str, logits: Logits, first: int, total: int) -> None:
    """Puts logits in their rows of an array that is made once: what is put together at the end is there twice."""
    if name not in made:
        made[name] = np.empty((total, *logits.shape[1:]), np.float32)
    made[name][first : first + len(logits)] = logits


@dataclass(frozen=True)
class Evaluated:
    """What variants answer to the same images.

    Attributes:
        images: that `fp32` was shown; a variant whose drop was known earlier says on how many that was.
        labelled: whether labels meant something; variants: by name.
        thumbnails: JPEGs in base64 of the images that flips show, by row of the logits.
    """

    images: int
    labelled: bool
    variants: dict[str, VariantResult]
    thumbnails: dict[int, str]


@dataclass(frozen=True)
class Views:
    """Images as networks are shown them: a set, positions in it, how they are prepared, whether the labels of the set
    mean something to the networks, and how their outputs are read.

    Attributes:
        others: how they are prepared for networks that take another size, by name.
    """

    images: ImageSet
    indices: Sequence[int]
    preprocessing: Preprocessing
    labelled: bool
    question: Question
    others: Mapping[str, Preprocessing] = field(default_factory=dict)

    @property
    def truth(self) -> Truth:
        """Labels (N,), or sets of labels (N, C), of the positions; None where they mean nothing."""
        known = self.images.label_sets if self.question.task == "multilabel" else self.images.labels
        return None if known is None or not self.labelled else known[list(self.indices)]

    def picture(self, row: int, name: str = "fp32") -> NDArray[np.uint8]:
        """What a network sees of the image of a row of the logits, uint8 (H, W, 3)."""
        return self.images.load(self.indices[row], self.others.get(name, self.preprocessing))

    def first(self, count: int, name: str = "fp32") -> NDArray[np.uint8]:
        """The same of the first images, uint8 (n, H, W, 3)."""
        return np.stack([self.picture(row, name) for row in range(min(count, len(self.indices)))])


def looked(
    sessions: Mapping[str, Session], views: Views, stopping: Stopping, on_progress: Callable[[int], None]
) -> tuple[dict[str, Logits], dict[str, Outcome]]:
    """Logits of sessions to as many of the images as decide of each, and what they decide.

    A session stops when its drop is known to be beyond the budget, or within it on as many images as it must be judged
    by; `fp32` with the last of them. The images come in the order of `views.indices`, which must be a random one.
    """
    labels, total = views.truth, len(views.indices)
    assert labels is not None
    places = looks(total)
    ahead = list(zip(places, boundaries(places), strict=True))
    made: dict[str, Logits] = {}
    right = {name: np.zeros(total, np.bool_) for name in sessions}
    shown = dict.fromkeys(sessions, 0)
    found: dict[str, Outcome] = {}
    active, done = set(sessions), 0
    for pictures, count in _prepared(active, views.images, views.indices, views.preprocessing, views.others):
        here = slice(done, done + count)
        for name in [each for each in sessions if each in active]:
            _keep(made, name, sessions[name].infer_many(pictures[name]), done, total)
            right[name][here] = first_right(made[name][here], labels[here])
            shown[name] = here.stop
        done = here.stop
        on_progress(done)
        if done < ahead[0][0]:
            continue
        critical = ahead.pop(0)[1]
        before = right["fp32"][:done]
        for name in active - {"fp32"}:
            after = right[name][:done]
            lost, won = int((before & ~after).sum()), int((after & ~before).sum())
            found[name] = outcome(lost, won, done, stopping.budget, critical)
        active -= {
            name for name, told in found.items() if told == "missed" or (told == "met" and done >= stopping.least)
        }
        if active == {"fp32"} and len(sessions) > 1:
            break
    return {name: logits[: shown[name]] for name, logits in made.items()}, found


def evaluate(
    sessions: Mapping[str, Session],
    views: Views,
    golden_images: int,
    on_progress: Callable[[int], None] = lambda done: None,
    stopping: Stopping | None = None,
) -> tuple[Evaluated, dict[str, NDArray[Any]]]:
    """Accuracy of each variant and its distance from `fp32`, and golden inputs with each variant's logits.

    Args:
        sessions: loaded variants by name, `fp32` among them.
        stopping: when a variant of which enough is known is shown no more images; None shows all of them.
    Returns:
        the results, and the arrays "inputs" (uint8) and "logits-NAME" (float32) of the first images, "inputs-NAME"
        for one that takes another size; where an image is right or wrong also "right-NAME" (packed bits) of all that
        the variant was shown.
    """
    outcomes: Mapping[str, Outcome] = {}
    if stopping is None:
        logits = predict(sessions, views.images, views.preprocessing, views.indices, on_progress, views.others)
    else:
        logits, outcomes = looked(sessions, views, stopping, on_progress)
    base, truth = logits["fp32"], views.truth
    judges = {
        count: judge(views.question, base[:count], None if truth is None else truth[:count])
        for count in {len(made) for made in logits.values()}
    }
    results = {
        name: replace(judges[len(made)](made, name == "fp32"), outcome=outcomes.get(name))
        for name, made in logits.items()
    }
    shown = {flip.index for each in results.values() if each.flips is not None for flip in each.flips.shown}
    pictures = {row: thumbnail(views.picture(row)) for row in sorted(shown)}
    arrays: dict[str, NDArray[Any]] = {INPUTS: views.first(golden_images)}
    arrays |= {f"{INPUTS}-{name}": views.first(golden_images, name) for name in views.others}
    arrays |= {f"logits-{name}": made[:golden_images] for name, made in logits.items()}
    if truth is not None and views.question.task == "classify":
        arrays |= {RIGHT + name: np.packbits(first_right(made, truth[: len(made)])) for name, made in logits.items()}
    return Evaluated(len(base), truth is not None, results, pictures), arrays
