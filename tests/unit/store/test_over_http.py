"""The client of a served store against servers that answer anything."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.store import Store, over_http
from edgekit.store.over_http import OverHttp
from edgekit.store.shared import RECORD_BYTES, UnreachableError
from edgekit.store.sharing import Sharing

KEY = "a" * 64
OK = b"HTTP/1.1 200 OK\r\n"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that answers every request in one way."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65_536)
                        answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def endless(connection: socket.socket) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")


def dripping(connection: socket.socket) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    for _ in range(100):
        connection.sendall(b"x")
        time.sleep(0.05)


WAYS: dict[str, Callable[[socket.socket], None]] = {
    "nothing": lambda connection: None,
    "garbage": lambda connection: connection.sendall(b"\xff\0 nonsense\r\n\r\n"),
    "redirect": lambda connection: connection.sendall(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\n\r\n"),
    "error": lambda connection: connection.sendall(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"),
    "unauthorized": lambda connection: connection.sendall(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"),
    "bad length": lambda connection: connection.sendall(OK + b"Content-Length: -5\r\n\r\nxx"),
    "bad chunks": lambda connection: connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "truncated": lambda connection: connection.sendall(OK + b"Content-Length: 1000\r\n\r\n{"),
    "endless": endless,
    "endless header": lambda connection: connection.sendall(OK + b"X: " + b"x" * (1 << 20)),
    "dripping": dripping,
    "no record": lambda connection: connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_build_is_not_stopped_by_any_server(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(over_http, "LEAST_BYTES_PER_S", 1 << 30)
    with answering(WAYS[way]) as address:
        store = Store(tmp_path, Sharing(OverHttp(address, "0123456789abcdef")))
        assert store.find(KEY, "s") is None
        entry = store.build(KEY, "s", lambda folder: (folder / "x").write_text("x") and None)
        assert not entry.cached
        assert store.get(KEY) is not None
    (said,) = store.troubles()
    assert address in said


@pytest.mark.parametrize("way", ["endless", "dripping", "truncated"])
def test_a_body_is_bounded_in_size_and_time(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(over_http, "LEAST_BYTES_PER_S", 1 << 30)
    with answering(WAYS[way]) as address:
        shared, taken = OverHttp(address), 0
        with contextlib.suppress(UnreachableError):
            taken = sum(len(piece) for piece in shared.content(KEY, "x", 100_000))
        assert taken <= 100_001
        with contextlib.suppress(UnreachableError):
            assert len(shared.record(KEY) or b"") <= RECORD_BYTES + 1


def test_a_token_is_in_no_text_of_it() -> None:
    assert "secret" not in repr(OverHttp("http://127.0.0.1:9", "secret-token-of-mine"))
