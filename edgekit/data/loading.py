"""Batches of decoded images: threads decode ahead, a few batches at a time, and order is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet
    from edgekit.data.preprocessing import Preprocessing

AHEAD = 4
"""Batches decoded but not yet taken, at most: what bounds the memory."""


def batches(
    images: ImageSet,
    preprocessing: Preprocessing,
    indices: Sequence[int],
    batch: int,
    workers: int = 2,
) -> Iterator[tuple[NDArray[np.uint8], Sequence[int]]]:
    """Yields (uint8 (n, size, size, 3), positions) in the order of `indices`; the last batch may be smaller."""
    groups = [indices[first : first + batch] for first in range(0, len(indices), batch)]
    with ThreadPoolExecutor(workers) as pool:

        def decode(group: Sequence[int]) -> list[Future[NDArray[np.uint8]]]:
            return [pool.submit(images.load, index, preprocessing) for index in group]

        waiting: deque[tuple[Sequence[int], list[Future[NDArray[np.uint8]]]]] = deque()
        try:
            for group in groups:
                waiting.append((group, decode(group)))
                if len(waiting) >= AHEAD:
                    yield _taken(*waiting.popleft())
            while waiting:
                yield _taken(*waiting.popleft())
        finally:
            for _, pending in waiting:
                for future in pending:
                    future.cancel()


def _taken(group: Sequence[int], pending: list[Future[NDArray[np.uint8]]]) -> tuple[NDArray[np.uint8], Sequence[int]]:
    return np.stack([future.result() for future in pending]), group
