"""The workers of an evaluation as the driver sees them: given shards, two at a time, and replaced when lost."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.cluster.connection import Cluster
from edgekit.cluster.evaluators import Evaluator, Refused
from edgekit.cluster.nodes import Node, Share
from edgekit.cluster.pictures import for_worker, hashes_of
from edgekit.cluster.shards import MemberInput, ShardResult
from edgekit.data.image_set import ImageSet
from edgekit.errors import EdgekitError, InputError, UnavailableError

if TYPE_CHECKING:
    from ray import ObjectRef

IN_FLIGHT: Final = 2
"""Shards that a worker has at a time: the images of one are made ready while networks run on the other's."""

MOST_TRIES: Final = 3
"""Workers that a shard may be lost with, and how often the worker of a share is started."""

LATE_S: Final = 60.0
"""Workers that are not ready so long after the first one was join later."""

READY_S: Final = 600.0
"""After so long without any worker that is ready it is given up."""

POLL_S: Final = 1.0


@dataclass(frozen=True)
class Job:
    """A shard to be computed: its place among all, and the positions of its images."""

    place: int
    images: ImageSet
    positions: Sequence[int]
    send_data: bool


@dataclass
class _Worker:
    """An actor of Ray on a share; it is given shards once it has loaded the networks."""

    share: Share
    actor: Any
    started: int
    is_ready: bool = False
    jobs: list[Job] = field(default_factory=list)


class Crew:
    """Workers on all shares of a cluster.

    Attributes:
        retried: shards that were given out more than once, in all.
        load_seconds: until the workers were ready; seconds: since then.
    """

    def __init__(
        self, cluster: Cluster, members: Sequence[MemberInput], crops: int, on_wait: Callable[[str], None]
    ) -> None:
        self._cluster, self._members, self._crops, self._on_wait = cluster, members, crops, on_wait
        self._tries: Counter[int] = Counter()
        self._sent: dict[str, ObjectRef] = {}
        self._users: Counter[str] = Counter()
        self._asked: dict[Any, tuple[_Worker, Job | None]] = {}
        self._contents = {
            file.sha256: cluster.ray.put(_content(file.path)) for each in members for _, file in each.files
        }
        self.retried, self.load_seconds = 0, 0.0
        self._began, self._ended = time.monotonic(), 0.0
        self._workers = [self._started(share, 1) for share in cluster.shares]

    @property
    def seconds(self) -> float:
        """See above; until the last shard came back."""
        return (self._ended or time.monotonic()) - self._began

    def results(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Node, ShardResult]]:
        """Each job once, as it is finished, with the node that it was computed on.

        Raises:
            InputError, UnavailableError: what a worker says; no worker is left, or a shard was lost too often.
        """
        waiting = deque(jobs)
        left = {job.place for job in jobs}
        self._users = Counter(sha256 for job in jobs for sha256 in _hashes(job))
        self._wait_until_ready()
        while left:
            for worker in self._workers:
                while worker.is_ready and len(worker.jobs) < IN_FLIGHT and waiting:
                    self._give(worker, waiting.popleft())
            for worker, job, answer in self._answers(waiting):
                if job is not None and job.place in left:
                    left.discard(job.place)
                    self._forget(job)
                    self._ended = time.monotonic()
                    yield job, worker.share.node, answer
        for worker in self._workers:
            self._cluster.ray.kill(worker.actor)

    def _wait_until_ready(self) -> None:
        """Until all have loaded the networks, or those that have wait too long for the others."""
        began, first = time.monotonic(), None
        while not all(worker.is_ready for worker in self._workers):
            ready = sum(worker.is_ready for worker in self._workers)
            self._on_wait(f"{ready} of {len(self._workers)} workers are ready")
            for _ in self._answers(deque()):
                pass
            now = time.monotonic()
            if first is None and any(worker.is_ready for worker in self._workers):
                first = now
            if first is not None and now - first > LATE_S:
                break
            if first is None and now - began > READY_S:
                names = ", ".join(sorted({worker.share.node.name for worker in self._workers}))
                raise UnavailableError(
                    f"no worker was ready within {READY_S:.0f} s on {names}",
                    "Others may hold their processors: see `ray status`.",
                )
        self._began = time.monotonic()
        self.load_seconds = self._began - began

    def _started(self, share: Share, time_no: int) -> _Worker:
        ray = self._cluster.ray
        how = ray.remote(Evaluator).options(
            num_cpus=share.cpus,
            scheduling_strategy=self._cluster.on(share.node),
            max_concurrency=IN_FLIGHT if self._crops == 1 else 1,  # views of one picture are work enough
            max_restarts=0,
        )
        actor = how.remote(self._cluster.place(share), self._crops)
        worker = _Worker(share, actor, time_no)
        self._asked[actor.load.remote(self._members, self._contents)] = worker, None
        return worker

    def _give(self, worker: _Worker, job: Job) -> None:
        sent: dict[str, ObjectRef] = {}
        for sha256, location in _hashes(job).items():
            if sha256 not in self._sent:
                self._sent[sha256] = self._cluster.ray.put(_content(Path(location)))
            sent[sha256] = self._sent[sha256]
        worker.jobs.append(job)
        ref = worker.actor.evaluate.remote(for_worker(job.images, job.positions), sent)
        self._asked[ref] = worker, job

    def _forget(self, job: Job) -> None:
        """Lets go of images that no other shard needs: each is in Ray's object store once."""
        for sha256 in _hashes(job):
            self._users[sha256] -= 1
            if not self._users[sha256]:
                self._sent.pop(sha256, None)

    def _answers(self, waiting: deque[Job]) -> Iterator[tuple[_Worker, Job | None, Any]]:
        """What has come in by now; jobs of lost workers go back to the front of those that wait."""
        ray = self._cluster.ray
        if not self._asked:
            raise UnavailableError("no worker of the cluster is left", "Finished shards are kept: try again.")
        ready, _ = ray.wait(list(self._asked), num_returns=1, timeout=POLL_S)
        for ref in ready:
            if ref not in self._asked:  # of a worker that was lost in this round
                continue
            worker, job = self._asked.pop(ref)
            try:
                answer = ray.get(ref)
            except ray.exceptions.RayTaskError:  # a fault of edgekit's own
                raise
            except ray.exceptions.RayError as error:
                self._lose(worker, job, waiting, error)
                continue
            if isinstance(answer, Refused):
                raise _refusal(answer, worker.share.node)
            if job is None:
                worker.is_ready = True
            else:
                worker.jobs.remove(job)
            yield worker, job, answer

    def _lose(self, worker: _Worker, job: Job | None, waiting: deque[Job], error: BaseException) -> None:
        """Replaces a worker where its node lives; its shards are given to others.

        Raises:
            UnavailableError: one of them was lost too often, or no worker is left.
        """
        name = worker.share.node.name
        for ref in [ref for ref, (other, _) in self._asked.items() if other is worker]:
            del self._asked[ref]
        for lost in reversed(worker.jobs):
            self._tries[lost.place] += 1
            if self._tries[lost.place] >= MOST_TRIES:
                first, last = lost.positions[0], lost.positions[-1]
                raise UnavailableError(
                    f"images {first + 1} to {last + 1} were lost with {MOST_TRIES} workers, the last one on {name}:"
                    f" {_first_line(error)}",
                    "Look at the node's memory. Finished shards are kept: try again.",
                ) from error
            waiting.appendleft(lost)
            self.retried += 1
        self._cluster.ray.kill(worker.actor)
        self._workers.remove(worker)
        self._on_wait(f"a worker on {name} was lost")
        if worker.started < MOST_TRIES and worker.share.node.id in self._cluster.alive():
            self._workers.append(self._started(worker.share, worker.started + 1))
        if not self._workers:
            raise UnavailableError(
                f"no worker of the cluster is left, the last one on {name}: {_first_line(error)}",
                "Finished shards are kept: try again.",
            ) from error


def _hashes(job: Job) -> Mapping[str, str]:
    """Files that are sent for a job, by SHA-256."""
    return hashes_of(job.images, job.positions) if job.send_data else {}


def _refusal(told: Refused, node: Node) -> EdgekitError:
    kind = UnavailableError if told.exit_code == UnavailableError.exit_code else InputError
    return kind(f"on node {node.name}: {told.what}", told.hint)


def _first_line(error: BaseException) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "Replace it.") from error
