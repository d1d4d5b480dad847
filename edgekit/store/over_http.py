"""A shared store over HTTP: the client of `edgekit cache serve`."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from edgekit.errors import InputError
from edgekit.store.intake import one_line
from edgekit.store.shared import RECORD_BYTES, Claimed, UnreachableError

TIMEOUT_S: Final = 20.0
"""Without a byte."""

LEAST_BYTES_PER_S: Final = 50_000
"""A file that comes slower than this, after a timeout's worth of patience, is given up."""

ANSWER_BYTES: Final = 4_096


@dataclass(frozen=True)
class OverHttp:
    """A server of entries at an address such as http://127.0.0.1:8000. No proxy is asked, no redirect followed."""

    address: str
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            told = urlsplit(self.address)
            port = told.port
        except ValueError:
            told, port = urlsplit(""), None
        plain = not (told.path.strip("/") or told.query or told.fragment or told.username or told.password)
        if told.scheme not in ("http", "https") or not told.hostname or port == 0 or not plain:
            raise InputError(f"{self.address!r} is no address of a store", "Give http://HOST:PORT.")

    @property
    def place(self) -> str:
        """The address."""
        return self.address

    def record(self, key: str) -> bytes | None:
        """The record of an entry; None where there is none.

        Raises:
            UnreachableError: no answer, or none that makes sense.
        """
        with self._asked("GET", f"/v1/entries/{key}") as answer:
            if answer.status == 404:
                return None
            _check(answer)
            return b"".join(_limited(answer, RECORD_BYTES + 1))

    def content(self, key: str, name: str, size_bytes: int) -> Iterator[bytes]:
        """A file of an entry.

        Raises:
            UnreachableError: no answer, it breaks off, or it comes too slowly.
        """
        with self._asked("GET", f"/v1/entries/{key}/files/{quote(name)}") as answer:
            _check(answer)
            yield from _limited(answer, size_bytes + 1)  # one more than there should be tells that there is too much

    def offer(self, key: str, record: bytes, contents: Iterator[bytes], size_bytes: int) -> None:
        """Sends an entry.

        Raises:
            UnreachableError: it was not taken.
        """
        line = one_line(record)
        headers = {"Content-Length": str(len(line) + size_bytes), "Content-Type": "application/octet-stream"}
        with self._asked("PUT", f"/v1/entries/{key}", _after(line, contents), headers) as answer:
            _check(answer)

    def claim(self, key: str, who: str, what: str) -> Claimed:
        """Claims the making of an entry.

        Raises:
            UnreachableError: no answer, or none that makes sense.
        """
        body = json.dumps({"who": who, "what": what}).encode()
        with self._asked("POST", f"/v1/claims/{key}", body, {"Content-Type": "application/json"}) as answer:
            if answer.status == 403:  # it takes nothing, so that there is nobody to wait for
                return Claimed(True, takes=False)
            _check(answer)
            try:
                told = json.loads(b"".join(_limited(answer, ANSWER_BYTES)))
                return Claimed(bool(told["yours"]), str(told["holder"])[:200])
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise UnreachableError("its answer makes no sense") from error

    def let_go(self, key: str, who: str) -> None:
        """Ends a claim.

        Raises:
            UnreachableError: no answer.
        """
        with self._asked("DELETE", f"/v1/claims/{key}?who={quote(who, safe='')}"):
            pass

    @contextlib.contextmanager
    def _asked(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Generator[http.client.HTTPResponse, None, None]:
        told = urlsplit(self.address)
        kind = http.client.HTTPSConnection if told.scheme == "https" else http.client.HTTPConnection
        connection = kind(told.hostname or "", told.port, timeout=TIMEOUT_S)
        own = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, path, body, {**own, **(headers or {})})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise UnreachableError(f"it does not answer ({why})") from error
        finally:
            connection.close()


def _limited(answer: http.client.HTTPResponse, most_bytes: int) -> Iterator[bytes]:
    """At most so many bytes of an answer, in pieces, and no longer than they may take.

    Raises:
        UnreachableError: they come too slowly.
    """
    left, until = most_bytes, time.monotonic() + TIMEOUT_S + most_bytes / LEAST_BYTES_PER_S
    while left > 0 and (piece := answer.read1(min(1 << 20, left))):
        if time.monotonic() > until:
            raise UnreachableError("it sends too slowly")
        left -= len(piece)
        yield piece


def _after(line: bytes, contents: Iterator[bytes]) -> Iterator[bytes]:
    yield line
    yield from contents


def _check(answer: http.client.HTTPResponse) -> None:
    if answer.status in (401, 403):
        raise UnreachableError("it wants another token (--store-token-file)")
    if not 200 <= answer.status < 300:
        raise UnreachableError(f"it answers {answer.status}")
