"""Calibration sets: which images INT8 ranges come from, pinned by content hash, and how they were chosen."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypedDict

from edgekit.errors import InputError
from edgekit.file_names import briefly
from edgekit.json_files import json_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.data.image_set import ImageSet

KIND: Final = "edgekit-calibration"


@dataclass(frozen=True)
class CalibrationItem:
    """One image: what people call it, the SHA-256 of its content, its label."""

    identifier: str
    sha256: str
    label: int | None


@dataclass(frozen=True)
class CalibrationSet:
    """A pinned choice of images.

    Attributes:
        data: the image set it was chosen from: `signs`, or the path of a folder or table.
        split: of the signs; None otherwise.
        strategy: random, stratified or coverage; seed: of the choice.
        classes: how many classes the image set has, if it has labels.
    """

    data: str
    split: str | None
    strategy: str
    seed: int
    classes: int | None
    items: tuple[CalibrationItem, ...]

    @property
    def hashes(self) -> frozenset[str]:
        """SHA-256 of each image's content."""
        return frozenset(item.sha256 for item in self.items)

    @property
    def digest(self) -> str:
        """SHA-256 over the images' content hashes, in their order."""
        return hashlib.sha256("\n".join(item.sha256 for item in self.items).encode()).hexdigest()


def _random(
    labels: NDArray[np.int64] | None, size: int, count: int, dice: np.random.Generator, features: object
) -> list[int]:
    return sorted(int(index) for index in dice.permutation(size)[:count])


def _stratified(
    labels: NDArray[np.int64] | None, size: int, count: int, dice: np.random.Generator, features: object
) -> list[int]:
    """The classes take turns, each giving its images in random order; without labels like random."""
    if labels is None:
        return _random(labels, size, count, dice, features)
    order = dice.permutation(size)
    turn: Counter[int] = Counter()
    ranked = []
    for place, index in enumerate(order):
        label = int(labels[index])
        ranked.append((turn[label], place, int(index)))
        turn[label] += 1
    return sorted(index for _, _, index in sorted(ranked)[:count])


def _coverage(
    labels: NDArray[np.int64] | None,
    size: int,
    count: int,
    dice: np.random.Generator,
    features: NDArray[np.float32] | None,
) -> list[int]:
    """Greedy k-center (Gonzalez 1985): each next image is the one farthest from all that were chosen.

    Begins with the image nearest to the mean, so that no seed decides; features are scaled to length 1.
    """
    import numpy as np

    if features is None or len(features) != size:
        raise InputError("the coverage strategy needs features of every image", "Give --model.")
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    first = int(np.argmin(((unit - unit.mean(0)) ** 2).sum(1)))
    chosen, distance = [first], ((unit - unit[first]) ** 2).sum(1)
    while len(chosen) < count:
        distance[chosen[-1]] = -1.0  # never again, even among equal images
        following = int(np.argmax(distance))
        chosen.append(following)
        distance = np.minimum(distance, ((unit - unit[following]) ** 2).sum(1))
    return chosen


STRATEGIES: Final[Mapping[str, Callable[..., list[int]]]] = MappingProxyType(
    {"random": _random, "stratified": _stratified, "coverage": _coverage}
)
"""Name: what gives `count` positions below `size`, of the images' labels (or None), dice, and features (or None)."""


def choose(
    images: ImageSet,
    count: int,
    strategy: str = "stratified",
    seed: int = 0,
    features: NDArray[np.float32] | None = None,
    data: str | None = None,
) -> CalibrationSet:
    """Chooses `count` images of a set.

    Args:
        features: (N, F) of every image, for the coverage strategy.
        data: what the manifest calls the set; the set's name by default.
    Raises:
        InputError: more images than there are, or no features where they are needed.
    """
    import numpy as np

    if count > len(images):
        raise InputError(f"there are {len(images)} images to choose from, not {count}", "Give fewer --images.")
    dice = np.random.Generator(np.random.PCG64(seed))
    chosen = STRATEGIES[strategy](images.labels, len(images), count, dice, features)
    labels = images.labels
    items = tuple(
        CalibrationItem(
            images.identifier(index), images.content_hash(index), None if labels is None else int(labels[index])
        )
        for index in chosen
    )
    classes = len(images.classes) or (int(labels.max()) + 1 if labels is not None else None)
    return CalibrationSet(data or images.name, getattr(images, "split", None), strategy, seed, classes, items)


class ClassCoverage(TypedDict):
    """How many classes a set touches, of how many if that is known, and the fewest and most images of one."""

    covered: int
    of: int | None
    fewest: int
    most: int


def class_coverage(chosen: CalibrationSet) -> ClassCoverage:
    """What a set covers, as its manifest tells it."""
    counts = Counter(item.label for item in chosen.items if item.label is not None)
    of = chosen.classes
    least = 0 if of is not None and len(counts) < of else min(counts.values(), default=0)
    return {"covered": len(counts), "of": of, "fewest": least, "most": max(counts.values(), default=0)}


def to_json(chosen: CalibrationSet) -> str:
    """The manifest as text: how it was chosen, what it covers, and every image with its hash."""
    told = {
        "kind": KIND,
        "schema": 1,
        "data": chosen.data,
        "split": chosen.split,
        "strategy": chosen.strategy,
        "seed": chosen.seed,
        "classes": chosen.classes,
        "digest": chosen.digest,
        "class_coverage": class_coverage(chosen),
    }
    head = json.dumps(told, indent=1)[:-2]
    rows = ",\n".join("  " + json.dumps(asdict(item)) for item in chosen.items)
    return f'{head},\n "items": [\n{rows}\n ]\n}}\n'


def read(path: Path) -> CalibrationSet:
    """Reads a manifest.

    Raises:
        InputError: missing, malformed, or its digest is not that of its images.
    """
    hint = "`edgekit calibrate` makes one."
    try:
        told = json_file(path)
        if told["kind"] != KIND:
            raise ValueError("it is of another kind")
        chosen = _of_file(told)
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"nothing is said of {error.args[0]}" if isinstance(error, KeyError) else error
        raise InputError(f"{path} is no calibration manifest: {why}", hint) from error
    if not chosen.items or chosen.digest != told.get("digest"):
        raise InputError(f"the calibration manifest {path} was changed: its digest is not that of its images", hint)
    return chosen


def _of_file(told: Any) -> CalibrationSet:
    """A set as its manifest tells it.

    Raises:
        KeyError, TypeError, ValueError: it does not, or says what makes no sense.
    """
    items = list[CalibrationItem]()
    for each in told["items"]:
        name, digest, label = each["identifier"], each["sha256"], each["label"]
        if not isinstance(name, str) or not re.fullmatch("[0-9a-f]{64}", str(digest)):
            raise ValueError(f"{briefly(name)} is no name, or has no SHA-256")
        if label is not None and not _is_count(label):
            raise ValueError(f"the label of {briefly(name)} is {briefly(label)}")
        items.append(CalibrationItem(name, digest, label))
    data, split, strategy, seed, classes = (told[key] for key in ("data", "split", "strategy", "seed", "classes"))
    if not (isinstance(data, str) and isinstance(strategy, str) and isinstance(split, str | None)):
        raise ValueError("its data, split or strategy is no text")
    if not _is_count(seed) or not (classes is None or _is_count(classes)):
        raise ValueError("its seed or its number of classes is no whole number")
    return CalibrationSet(data, split, strategy, seed, classes, tuple(items))


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def indices_in(chosen: CalibrationSet, images: ImageSet) -> list[int]:
    """Where the images of a calibration set are in an image set, by content: files may have been renamed.

    Among several images of one content it is the one of the same identifier, or else one that was not taken yet.

    Raises:
        InputError: images are missing or their content changed.
    """
    wanted = chosen.hashes
    places: dict[str, list[int]] = defaultdict(list)
    for index in range(len(images)):
        content = images.content_hash(index)
        if content in wanted:
            places[content].append(index)
    if len(places) < len(wanted):
        _refuse([item for item in chosen.items if item.sha256 not in places], images)
    named = {(sha, images.identifier(index)): index for sha, same in places.items() for index in same}
    hinted = [named.get((item.sha256, item.identifier)) for item in chosen.items]
    taken = set(hinted)
    found: list[int] = []
    for item, hint in zip(chosen.items, hinted, strict=True):
        same = places[item.sha256]
        found.append(next((each for each in same if each not in taken), same[0]) if hint is None else hint)
        taken.add(found[-1])
    return found


def _refuse(lost: list[CalibrationItem], images: ImageSet) -> None:
    """Says which images of a calibration set are gone, or are there with other content."""
    names = {images.identifier(index) for index in range(len(images))}
    missing = [item.identifier for item in lost if item.identifier not in names]
    if missing:
        raise InputError(
            f"{len(missing)} images of the calibration set are not there, first {missing[0]}",
            "Give the folder that it was chosen from, or choose again with `edgekit calibrate`.",
        )
    raise InputError(
        f"{len(lost)} images of the calibration set have changed since it was pinned, first {lost[0].identifier}",
        "Put the files back, or choose again with `edgekit calibrate`.",
    )


def renamed(chosen: CalibrationSet, images: ImageSet) -> CalibrationSet:
    """The same calibration set, its images called what the image set calls them now.

    Raises:
        InputError: images are missing or their content changed.
    """
    found = zip(chosen.items, indices_in(chosen, images), strict=True)
    return replace(chosen, items=tuple(replace(item, identifier=images.identifier(index)) for item, index in found))


@dataclass(frozen=True)
class CalibrationData:
    """A calibration set, and the image set that its images are in."""

    chosen: CalibrationSet
    pool: ImageSet

    @cached_property
    def indices(self) -> tuple[int, ...]:
        """Positions of the chosen images in the pool, in their order.

        Raises:
            InputError: images are missing or their content changed.
        """
        return tuple(indices_in(self.chosen, self.pool))

    @cached_property
    def left(self) -> tuple[int, ...]:
        """Positions of the images in the pool that are not, by content, among the chosen ones."""
        used = self.chosen.hashes
        return tuple(place for place in range(len(self.pool)) if self.pool.content_hash(place) not in used)

    @property
    def digest(self) -> str:
        """SHA-256 over the chosen images' content hashes, in their order."""
        return self.chosen.digest


def check_disjoint(chosen: CalibrationSet, evaluation: ImageSet) -> None:
    """Refuses a calibration set that shares images, by content, with the evaluation set.

    Raises:
        InputError: with how many.
    """
    pinned = {item.sha256: item.identifier for item in chosen.items}
    shared = [pinned[sha] for sha in map(evaluation.content_hash, range(len(evaluation))) if sha in pinned]
    if shared:
        raise InputError(
            f"{len(shared)} images are in both the calibration and the evaluation set, first {shared[0]}",
            "Calibrate with other images: accuracy on these would flatter.",
        )
