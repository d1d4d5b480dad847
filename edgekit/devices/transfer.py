"""What is sent to a device: edgekit's runtime and the files of bundles, by content, verified, resumed after a cut."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from edgekit.bundle.runtime_archive import runtime_archive
from edgekit.devices.ssh import ROOT, Connection, DisconnectedError, MissingRuntimeError, Talk, understood
from edgekit.errors import UnavailableError
from edgekit.runtime.frames import Header

TRIES: Final = 5
PIECE: Final = 1 << 18
Answer = TypeVar("Answer")

_RECEIVE = (
    "import hashlib, os, sys\n"
    "data = sys.stdin.buffer.read()\n"
    "path = sys.argv[1]\n"
    "if hashlib.sha256(data).hexdigest() != sys.argv[2]:\n"
    "    sys.exit('the runtime did not arrive whole')\n"
    "open(path + '.part', 'wb').write(data)\n"
    "os.rename(path + '.part', path)\n"
)


def archive_name() -> str:
    """What the runtime is called on a device."""
    return f"{hashlib.sha256(runtime_archive()).hexdigest()}.zip"


@contextmanager
def agent(connection: Connection, verb: str, header: Header) -> Iterator[Talk]:
    """Runs a verb on the device."""
    with connection.talk(verb, header, archive_name()) as talk:
        yield talk


def ask(connection: Connection, verb: str, header: Header) -> Header:
    """Runs a verb that gives one answer; sends the runtime first if the device has not got it, reconnects after a cut.

    Raises:
        UnavailableError: the device cannot be reached, or told of an error.
    """

    def once() -> Header:
        with agent(connection, verb, header) as talk:
            return talk.receive()[0]

    return persist(connection, once)


def persist(connection: Connection, once: Callable[[], Answer], wait_s: float = 0.5) -> Answer:
    """Does something on the device, again after a cut (TRIES times, waiting twice as long each time).

    Raises:
        UnavailableError: it cannot be reached any more.
    """
    for left in range(TRIES - 1, -1, -1):
        try:
            try:
                return once()
            except MissingRuntimeError:
                _send_runtime(connection)
                return once()
        except DisconnectedError:
            if not left or not connection.wait(wait_s):
                raise
            wait_s *= 2
    raise AssertionError("not reached")


def _send_runtime(connection: Connection) -> None:
    data, name = runtime_archive(), archive_name()
    python = shlex.quote(connection.device.python)
    receive = f"{python} -c {shlex.quote(_RECEIVE)} {ROOT}/runtime/{name} {name[:-4]}"
    connection.run(f"mkdir -p {ROOT}/runtime && exec {receive}", data)


def ensure(
    connection: Connection,
    wanted: Mapping[str, Path],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Makes the device have files, by SHA-256; returns how many bytes were sent.

    Args:
        wanted: SHA-256: file here.
        on_progress: bytes that are there, and in all.
    Raises:
        UnavailableError: the device cannot be reached, or its disk is full.
    """
    sizes = {digest: path.stat().st_size for digest, path in wanted.items()}
    total, sent = sum(sizes.values()), 0

    def once() -> None:
        nonlocal sent
        told = ask(connection, "have", {"sha256": list(wanted)})
        with understood(connection.device):
            there = {digest: min(sizes[digest], int(told["have"][digest]["size_bytes"])) for digest in wanted}
            free_bytes, missing = int(told["free_bytes"]), [x for x in wanted if not told["have"][x]["whole"]]
            if min(there.values(), default=0) < 0:
                raise ValueError("it has less than nothing of a file")
        _check_disk(connection, total - sum(there.values()), free_bytes)
        if missing:
            with agent(connection, "put", {}) as talk:
                talk.quiet()
                for digest in missing:
                    for size in _put(talk, digest, wanted[digest], there[digest]):
                        there[digest] += size
                        sent += size
                        on_progress(sum(there.values()), total)
        on_progress(total, total)

    persist(connection, once)
    return sent


def _check_disk(connection: Connection, needed_bytes: int, free_bytes: int) -> None:
    if needed_bytes > free_bytes:
        raise UnavailableError(
            f"the disk of {connection.device.name} is full: {free_bytes / 1e6:.1f} MB free,"
            f" {needed_bytes / 1e6:.1f} needed",
            "Free some space there.",
        )


def _put(talk: Talk, digest: str, path: Path, offset: int) -> Iterator[int]:
    """Sends what the device does not have of a file; yields how many bytes went each time."""
    talk.send({"sha256": digest, "size_bytes": path.stat().st_size, "offset": offset})
    with path.open("rb") as file:
        file.seek(offset)
        try:
            while piece := file.read(PIECE):
                talk.write(piece)
                yield len(piece)
        except DisconnectedError:
            talk.receive()  # where the device had a word before it went, that word is the reason
            raise
    talk.receive()
