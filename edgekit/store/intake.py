"""What others give to a store: taken in piece by piece, verified, and put in place whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

from edgekit.store.locks import if_free
from edgekit.store.root import prepared
from edgekit.store.shared import RECORD_BYTES, SPARE_BYTES, UntrueError, put_in_place, told_record
from edgekit.store.stages import Store


class Intake:
    """One entry on its way in: a line with its record, then its files one after another in the record's order.

    It lies in a file without a name meanwhile, which the system removes whatever becomes of this process.
    """

    def __init__(self, store: Store, key: str, size_bytes: int) -> None:
        """Begins to take in an entry of so many bytes in all, record and line end included.

        Raises:
            UntrueError: there is no room for them.
            OSError: the store cannot be written.
        """
        self._store, self._key, self._left = store, key, size_bytes
        folder = prepared(store.root, "work")
        if not 0 < size_bytes < shutil.disk_usage(folder).free - SPARE_BYTES:
            raise UntrueError(f"there is no room for {size_bytes} bytes")
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `close`)

    def add(self, piece: bytes) -> None:
        """Takes the next bytes.

        Raises:
            UntrueError: they are more than was said.
        """
        self._left -= len(piece)
        if self._left < 0:
            raise UntrueError("more came than was said")
        self._file.write(piece)

    def finish(self) -> bool:
        """Puts the entry in place; False where it is there already, or is being made here.

        Raises:
            UntrueError: what came is no whole entry of that key.
            OSError: the store cannot be written.
        """
        if self._left:
            raise UntrueError("less came than was said")
        self._file.seek(0)
        line = self._file.readline(RECORD_BYTES + 1)
        record = told_record(line, self._key)
        with if_free(self._store.root, self._key, record.stage) as mine:
            if not mine or self._store.get(self._key) is not None:
                return False
            put_in_place(self._store.root, record, self._next)
            return True

    def _next(self, name: str, size_bytes: int) -> Iterator[bytes]:
        while size_bytes > 0 and (piece := self._file.read(min(1 << 20, size_bytes))):
            size_bytes -= len(piece)
            yield piece

    def close(self) -> None:
        """Lets go of what came."""
        self._file.close()


def one_line(record: bytes) -> bytes:
    """The content of an entry's record as one line, as an Intake takes it."""
    return b" ".join(record.split(b"\n")) + b"\n"
