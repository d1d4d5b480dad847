"""Connections that only wait: they end, and take nobody's place."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import pytest

from edgekit.store.connections import impatient

HEAD_S, MOST, WORK_S = 0.6, 4, 1.5
ASK: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def slow_app(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(WORK_S if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(
        slow_app, http=impatient(HEAD_S, MOST), lifespan="off", log_level="error", timeout_keep_alive=60
    )
    server, at = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[at])))
    thread.start()
    try:
        yield int(at.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)


def connect(port: int, said: bytes = b"") -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(said)
    return client


def answered(client: socket.socket) -> bool:
    """Whether a whole answer comes; waits for it."""
    said = b""
    while not said.endswith(b"ok"):
        piece = client.recv(1000)
        if not piece:
            return False
        said += piece
    return True


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection without a word; waits for it."""
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True


def test_a_head_that_does_not_come_ends_the_connection(port: int) -> None:
    with closing(connect(port)) as silent, closing(connect(port, ASK[:20])) as slow, closing(connect(port, ASK)) as one:
        assert answered(one)
        one.sendall(ASK[:5])  # a second request, not whole
        assert [ended(client) for client in (silent, slow, one)] == [True] * 3


def test_what_is_worked_on_has_its_time(port: int) -> None:
    with closing(connect(port, ASK.replace(b"/ ", b"/slow "))) as client:
        assert answered(client)
        client.sendall(ASK)
        assert answered(client)


def test_those_who_wait_make_room(port: int) -> None:
    at_work = connect(port, ASK.replace(b"/ ", b"/slow "))
    time.sleep(0.1)
    waiting = [connect(port, ASK[:9]) for _ in range(3 * MOST)]
    with closing(connect(port, ASK)) as last:
        assert answered(last)
    assert all(ended(client) for client in waiting)
    assert answered(at_work)
    for client in (at_work, *waiting):
        client.close()
