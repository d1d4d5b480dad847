"""What evaluation and calibration need of a collection of images, and choosing evenly from one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.data.preprocessing import Preprocessing


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

    def __len__(self) -> int: ...

    def identifier(self, index: int) -> str: ...

    def content_hash(self, index: int) -> str: ...

    def load(self, index: int, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """Image `index` as uint8 (size, size, 3) RGB."""
        ...


def digest_of(hashes: Iterable[str], labels: Iterable[int | None]) -> str:
    """One digest of many images and their labels."""
    total = hashlib.sha256()
    for content, label in zip(hashes, labels, strict=True):
        total.update(f"{content} {label}\n".encode())
    return total.hexdigest()


def spread(count: int, limit: int | None) -> list[int]:
    """`limit` positions evenly spread over 0 to count - 1, all of them when there are no more."""
    if limit is None or limit >= count:
        return list(range(count))
    return [index * count // limit for index in range(limit)]
