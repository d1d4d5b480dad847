"""The driver's store for the workers of a cluster: an actor beside the driver reads and writes it, by Ray's objects."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.store import Store, default_root
from edgekit.store.claims import Claims
from edgekit.store.entries import ENTRY_FILE, read_record
from edgekit.store.intake import Intake, one_line
from edgekit.store.opening import StoreSettings
from edgekit.store.shared import KEY, Claimed, UnreachableError

if TYPE_CHECKING:
    from edgekit.cluster.connection import Cluster

PIECE_BYTES: Final = 8 << 20
ANSWER_S: Final = 60.0
"""What an answer of the actor may take."""

LEFT_S: Final = 600.0
"""An entry that nothing was added to for so long is of a worker that was killed."""

AT_ONCE: Final = 16


class StoreDesk:
    """What the actor does; several workers ask at once."""

    def __init__(self, root: str | None) -> None:
        self._store = Store(None if root is None else Path(root))
        self._claims = Claims()
        self._coming: dict[str, tuple[Intake, float]] = {}
        self._lock = threading.Lock()

    def record(self, key: str) -> bytes | None:
        """The record of an entry; None where there is none."""
        folder = self._store.get(key) if KEY.fullmatch(key) else None
        return None if folder is None else (folder / ENTRY_FILE).read_bytes()

    def piece(self, key: str, name: str, offset: int) -> bytes:
        """A piece of a file that the record of an entry names; empty at its end."""
        folder = self._store.root / "entries" / key
        record = read_record(folder) if KEY.fullmatch(key) else None
        if record is None or name not in record.files:
            return b""
        with (folder / name).open("rb") as file:
            file.seek(offset)
            return file.read(PIECE_BYTES)

    def begin(self, key: str, size_bytes: int) -> str:
        """Begins to take in an entry; what `add` and `finish` are told."""
        now, ticket = time.monotonic(), secrets.token_hex(8)
        with self._lock:
            for each in [each for each, (_, used) in self._coming.items() if now - used > LEFT_S]:
                self._coming.pop(each)[0].close()
            self._coming[ticket] = (Intake(self._store, key, size_bytes), now)
        return ticket

    def add(self, ticket: str, piece: bytes) -> None:
        """Takes the next bytes."""
        with self._lock:
            intake = self._coming[ticket][0]
            self._coming[ticket] = (intake, time.monotonic())
        intake.add(piece)

    def finish(self, ticket: str) -> bool:
        """Puts an entry in place; False where it was there already."""
        with self._lock:
            intake = self._coming.pop(ticket)[0]
        try:
            return intake.finish()
        finally:
            intake.close()

    def claim(self, key: str, who: str, what: str) -> Claimed:
        """See edgekit.store.claims."""
        return self._claims.claim(key, who, what)

    def let_go(self, key: str, who: str) -> None:
        """Ends a claim."""
        self._claims.let_go(key, who)


@dataclass(frozen=True)
class OverRay:
    """The store that an actor has, as workers see it.

    Attributes:
        desk: Ray's handle of a StoreDesk.
    """

    desk: Any
    place: str = "of the driver"

    def record(self, key: str) -> bytes | None:
        """See Shared."""
        found: bytes | None = _answer(self.desk.record.remote(key))
        return found

    def content(self, key: str, name: str, size_bytes: int) -> Iterator[bytes]:
        """See Shared."""
        offset = 0
        while offset <= size_bytes:
            piece: bytes = _answer(self.desk.piece.remote(key, name, offset))
            if not piece:
                return
            offset += len(piece)
            yield piece

    def offer(self, key: str, record: bytes, contents: Iterator[bytes], size_bytes: int) -> None:
        """See Shared. A piece is sent when the one before it has arrived, so that memory holds one."""
        line = one_line(record)
        ticket = _answer(self.desk.begin.remote(key, len(line) + size_bytes))
        _answer(self.desk.add.remote(ticket, line))
        for piece in contents:
            _answer(self.desk.add.remote(ticket, piece))
        _answer(self.desk.finish.remote(ticket))

    def claim(self, key: str, who: str, what: str) -> Claimed:
        """See Shared."""
        found: Claimed = _answer(self.desk.claim.remote(key, who, what))
        return found

    def let_go(self, key: str, who: str) -> None:
        """See Shared."""
        _answer(self.desk.let_go.remote(key, who))


def _answer(asked: Any) -> Any:
    import ray

    try:
        return ray.get(asked, timeout=ANSWER_S)
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UnreachableError(f"it does not answer ({lines[-1][:200] if lines else type(error).__name__})") from error


def workers_store(cluster: Cluster, told: StoreSettings) -> StoreSettings:
    """The store of workers, by what `--store` says; it goes to them as it is.

    Where nothing is said, workers of this machine alone use this process's store, and others share it by `ray`. With
    ray:// the driver is no node: there the store of the node that it speaks to is the shared one.
    """
    if told.shared is not None or told.root is not None:
        return told
    if not told.by_ray and cluster.where == "local":
        return StoreSettings(default_root().absolute())
    here = cluster.ray.get_runtime_context().get_node_id()
    node = next((each for each in cluster.nodes if each.id == here), None)
    desk = cluster.ray.remote(StoreDesk).options(
        num_cpus=0, max_concurrency=AT_ONCE, scheduling_strategy=None if node is None else cluster.on(node)
    )
    root = None if cluster.where.startswith("ray://") else str(default_root().absolute())
    return StoreSettings(shared=OverRay(desk.remote(root)), by_ray=True)
