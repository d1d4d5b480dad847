"""How many threads training computes with."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import torch

from edgekit.runtime.cgroup import usable_cores
from edgekit.training.autocast import computing
from edgekit.training.record import TrainingRecord
from edgekit.training.replicas import threads_each


def training_threads(workers: int, parts: int = 1) -> int:
    """Threads for torch beside processes that draw pictures: as many as it has, but one core is left to those.

    Images/s on two cores at 139 pixels, 2 threads and 1: alone 76 to 86 and 74 to 91, two runs side by side 1 to 10 and
    74 each, beside two busy loops 4 to 15 and 50. Waiting asleep (OMP_WAIT_POLICY=PASSIVE: 64, 3, 4) does not help; see
    docs/pruning.md.

    The environment's own number of threads stays.

    Args:
        workers: processes that draw pictures; 0: the training itself does.
        parts: of a batch that go through side by side, with so many threads each; drawing then has no core of its own,
            as a part waits for the others once a step and not after every operator.
    """
    if parts > 1:
        return threads_each(parts)
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    # torch itself goes by the affinity, and knows of no quota
    return max(1, min(torch.get_num_threads(), usable_cores() - (workers > 0)))


def conditions(replay: TrainingRecord | None, workers: int) -> AbstractContextManager[None]:
    """Threads and number format of a run: those of the one to do again, or what is fast on this machine."""
    if replay is not None:
        return computing(replay.threads, replay.number_format)
    return computing(training_threads(workers), None)
