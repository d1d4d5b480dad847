"""What evaluation and calibration need of a collection of images, and choosing evenly from one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgekit.data.left_out import LeftOut
    from edgekit.data.preprocessing import Preprocessing

Keep: TypeAlias = Callable[[Sequence[str]], Sequence[int]]
"""Chooses among images by their identifiers: gives the positions to keep, in order."""

Label: TypeAlias = int | tuple[int, ...] | None
"""One class, several (of a set of labels), or none told."""

AT_ONCE: Final = 10_000
"""Images whose hashes are digested at once."""


class ImageSet(Protocol):
    """Images by position. Every image has an identifier for people and a hash of its content for comparison."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by label; empty when unknown."""
        ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(N,), or None when the images have none."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over all content hashes and labels, in order."""
        ...

    @property
    def skipped(self) -> tuple[str, ...]:
        """Unreadable images that were left out."""
        ...

    @property
    def label_sets(self) -> NDArray[np.bool_] | None:
        """(N, C) which labels each image has; None where images have one label each, or none."""
        ...

    @property
    def left_out(self) -> LeftOut:
        """What of the data was not used, by reason."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how labels were read."""
        ...

    @property
    def folders(self) -> tuple[tuple[str, int], ...]:
        """Name and label of each class folder with images, sorted as text; empty where classes are no folders."""
        ...

    def __len__(self) -> int: ...

    def identifier(self, index: int) -> str: ...

    def content_hash(self, index: int) -> str: ...

    def load(self, index: int, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """Image `index` as uint8 (H, W, 3) RGB, as the network takes it."""
        ...

    @property
    def drawn(self) -> bool:
        """Whether pictures are drawn at the size that is asked for, not read from files of one size."""
        ...

    def decoded(self, index: int, side: int, exif: bool = False) -> Image:
        """Image `index` as 8-bit RGB: as its file has it, or, where `drawn`, with a short side of `side` pixels.

        Args:
            exif: whether it is turned as its EXIF orientation says.
        """
        ...


@dataclass(frozen=True)
class Selection:
    """Some images of another set, by their positions in it; see ImageSet."""

    base: ImageSet
    positions: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.base.classes

    @property
    def skipped(self) -> tuple[str, ...]:
        return self.base.skipped

    @property
    def left_out(self) -> LeftOut:
        return self.base.left_out

    @property
    def notes(self) -> tuple[str, ...]:
        return self.base.notes

    @property
    def folders(self) -> tuple[tuple[str, int], ...]:
        return self.base.folders

    @property
    def drawn(self) -> bool:
        return self.base.drawn

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        labels = self.base.labels
        return None if labels is None else labels[list(self.positions)]

    @cached_property
    def label_sets(self) -> NDArray[np.bool_] | None:
        sets = self.base.label_sets
        return None if sets is None else sets[list(self.positions)]

    @cached_property
    def digest(self) -> str:
        labels: Iterable[Label] = [None] * len(self) if self.labels is None else self.labels.tolist()
        if self.label_sets is not None:
            labels = [tuple(row.nonzero()[0].tolist()) for row in self.label_sets]
        return digest_of((self.content_hash(index) for index in range(len(self))), labels)

    def __len__(self) -> int:
        return len(self.positions)

    def identifier(self, index: int) -> str:
        return self.base.identifier(self.positions[index])

    def content_hash(self, index: int) -> str:
        return self.base.content_hash(self.positions[index])

    def load(self, index: int, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        return self.base.load(self.positions[index], preprocessing)

    def decoded(self, index: int, side: int, exif: bool = False) -> Image:
        return self.base.decoded(self.positions[index], side, exif)


def digest_of(hashes: Iterable[str], labels: Iterable[Label]) -> str:
    """One digest of many images and their labels."""
    total, lines = hashlib.sha256(), (f"{content} {label}\n" for content, label in zip(hashes, labels, strict=True))
    while piece := "".join(islice(lines, AT_ONCE)):
        total.update(piece.encode())
    return total.hexdigest()


def spread(count: int, limit: int | None) -> list[int]:
    """`limit` positions spread over 0 to count - 1, in order and always the same; all of them when there are no more.

    One is drawn from each of `limit` equal parts. Equal steps would meet a few classes only, again and again, where
    classes take turns in a list.
    """
    if limit is None or limit >= count:
        return list(range(count))
    if limit <= 0:
        return []
    dice, edges = random.Random(limit), [index * count // limit for index in range(limit + 1)]
    return [first + int(dice.random() * (after - first)) for first, after in pairwise(edges)]
