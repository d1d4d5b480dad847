"""Decoded images: threads decode ahead, a few batches at a time, and order is kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgekit.runtime.cgroup import usable_cores

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet
    from edgekit.data.preprocessing import Preprocessing

Item = TypeVar("Item")
Made = TypeVar("Made")

AHEAD: Final = 4
"""Batches decoded but not yet taken, at most: what bounds the memory."""
WORKERS: Final = max(2, usable_cores())
"""Threads that decode: as many as there are processors, for networks that are as fast as decoding."""


def made_ahead(
    make: Callable[[Item], Made], items: Iterable[Item], ahead: int, workers: int | Executor = WORKERS
) -> Generator[Made, None, None]:
    """Yields make(item) in the order of `items`, made in threads, at most `ahead` before they are taken.

    `items` is gone through only so far. What `make` raises is raised where its turn comes.

    Args:
        workers: how many threads; or threads that others use too, and that stay: whose items came first are made first.
    """
    with ThreadPoolExecutor(workers) if isinstance(workers, int) else nullcontext(workers) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(make, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def batches(
    images: ImageSet,
    preprocessing: Preprocessing,
    indices: Sequence[int],
    batch: int,
    workers: int = WORKERS,
) -> Iterator[tuple[NDArray[np.uint8], Sequence[int]]]:
    """Yields (uint8 (n, H, W, 3), positions) in the order of `indices`; the last batch may be smaller."""
    pictures = made_ahead(lambda index: images.load(index, preprocessing), indices, AHEAD * batch, workers)
    for first in range(0, len(indices), batch):
        group = indices[first : first + batch]
        yield np.stack(list(islice(pictures, len(group)))), group
