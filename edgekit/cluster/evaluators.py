"""What a worker of an evaluation does: it loads the networks once, and is shown one shard after another."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.cluster.workers import Place, settle
from edgekit.errors import EdgekitError
from edgekit.temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ray import ObjectRef

    from edgekit.backends import Session
    from edgekit.cluster.shards import MemberInput, ShardResult
    from edgekit.data.image_set import ImageSet
    from edgekit.validate.protocols import Member


@dataclass(frozen=True)
class Refused:
    """An expected failure, as a worker hands it to the driver."""

    what: str
    hint: str
    exit_code: int


class InTurn:
    """A session that the shards in flight share: one batch at a time, while the others' images are made ready."""

    def __init__(self, session: Session) -> None:
        self._session, self._lock = session, threading.Lock()

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See edgekit.backends.Session."""
        with self._lock:
            return self._session.infer(picture)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See edgekit.backends.Session."""
        with self._lock:
            return self._session.infer_many(pictures)


class Evaluator:
    """An actor of Ray. Nothing is loaded before its process has its own share of the processors."""

    def __init__(self, place: Place, crops: int) -> None:
        settle(place)
        self._crops = crops
        self._open = ExitStack()
        self._members: list[Member] = []
        self._threads: Executor | None = None

    def load(self, members: Sequence[MemberInput], contents: Mapping[str, ObjectRef]) -> Refused | None:
        """Loads the networks.

        Args:
            contents: references to the contents of their files, by SHA-256.
        """
        import ray

        from edgekit.backends import backend
        from edgekit.cluster.shards import compiled_of
        from edgekit.data.loading import WORKERS
        from edgekit.validate.protocols import Member

        # Shards in flight share them: the images of the first are made ready first, by no more threads than it needs.
        self._threads = self._open.enter_context(ThreadPoolExecutor(WORKERS))
        try:
            with temporary_folder() as folder:
                for place, each in enumerate(members):
                    inside = folder / str(place)
                    inside.mkdir()
                    paths = [
                        _written(inside / name, ray.get(contents[file.sha256]), file.sha256)
                        for name, file in each.files
                    ]
                    compiled = compiled_of(each, paths)
                    session = self._open.enter_context(backend(compiled.backend).load(compiled, "throughput"))
                    self._members.append(Member(each.name, InTurn(session), each.preprocessing, each.activation))
        except EdgekitError as error:
            return Refused(error.what, error.hint, error.exit_code)
        return None

    def evaluate(self, images: ImageSet, sent: Mapping[str, ObjectRef]) -> ShardResult | Refused:
        """What the networks say of images.

        Args:
            sent: references to the contents of files, by SHA-256; of the others this process reads the files.
        """
        import ray

        from edgekit.cluster.pictures import CheckedSet
        from edgekit.cluster.shards import answered

        try:
            if sent and isinstance(images, CheckedSet):
                images = replace(images, sent=dict(zip(sent, ray.get(list(sent.values())), strict=True)))
            return answered(self._members, images, self._crops, threads=self._threads)
        except EdgekitError as error:
            return Refused(error.what, error.hint, error.exit_code)


def _written(path: Path, content: bytes, sha256: str) -> Path:
    """A file of a network; its hash is compared before anything loads it."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RuntimeError(f"{path.name} of a network has arrived damaged")
    path.write_bytes(content)
    return path
