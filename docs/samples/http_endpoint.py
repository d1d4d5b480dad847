"""Classifies images over HTTP, with limits on size, time and how many at once. Needs starlette and uvicorn.

    python http_endpoint.py BUNDLE & sleep 1; curl --data-binary @photo.jpg http://127.0.0.1:8000/classify

POST /classify takes a JPEG's or PNG's bytes, and answers 200 with the classes; 400, no image; 408, the body took too
long; 413, it is too large; 503, too many are in work; 504, the network took too long. It listens on this machine alone
unless told otherwise, and knows no users: put a proxy with TLS in front of it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgekit.runtime import Bundle, BundleError, ImageError


async def within(seconds: float, work: Awaitable[Any], status: int) -> Any:
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        raise HTTPException(status, headers={"Connection": "close"}) from None


def make_app(session: Any, max_bytes: int, seconds: float, at_once: int) -> Starlette:
    """`seconds` is what a body may take to arrive, and then its answer; bodies that arrive hold no place in work."""
    places, held = asyncio.Semaphore(at_once), 0

    def busy() -> HTTPException:
        return HTTPException(503, headers={"Retry-After": "1"})

    async def body_of(request: Request) -> bytes:
        nonlocal held
        if int(request.headers.get("Content-Length", 0)) > max_bytes:
            raise HTTPException(413)  # before anything of it is read
        content = bytearray()
        try:
            async for piece in request.stream():  # counted, since it need not say how long it is
                content += piece
                held += len(piece)
                if len(content) > max_bytes:
                    raise HTTPException(413)
                if held > at_once * max_bytes:  # of all together
                    raise busy()
            return bytes(content)
        finally:
            held -= len(content)

    async def classify(request: Request) -> JSONResponse:
        if places.locked():
            raise busy()
        body = await within(seconds, body_of(request), 408)
        if places.locked():
            raise busy()
        await places.acquire()  # at once, since nobody waits for one
        work = asyncio.get_running_loop().run_in_executor(None, session.classify, body)
        work.add_done_callback(lambda done: (places.release(), done.exception()))  # also when nobody waits any more
        answer = await within(seconds, asyncio.shield(work), 504)
        return JSONResponse({"classes": [{"label": label, "probability": share} for label, share in answer]})

    async def bad(_: Request, error: Exception) -> PlainTextResponse:
        return PlainTextResponse(str(error) or "the body broke off", 400)

    health = Route("/healthz", lambda _: JSONResponse({"ok": True, **session.counters()}))
    routes = [Route("/classify", classify, methods=["POST"]), health]
    return Starlette(routes=routes, exception_handlers={ImageError: bad, ClientDisconnect: bad})


def connections(seconds: float, most: int) -> type[H11Protocol]:
    """Connections that nobody can hold: each ends `seconds` after it began, or after its last answer, if there is no
    new answer. When there are more than `most`, the one that has been waiting longest for its client ends."""

    class Connection(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.end = self.loop.call_later(seconds, transport.abort)
            waiting = [each for each in self.connections if not each.transport.is_closing() and each.waits()]
            if len(self.connections) > most and waiting:
                min(waiting, key=lambda each: each.end.when()).transport.abort()

        def waits(self) -> bool:
            return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

        def on_response_complete(self) -> None:
            self.end.cancel()
            self.end = self.loop.call_later(seconds, self.transport.abort)
            super().on_response_complete()

        def connection_lost(self, error: Exception | None) -> None:
            self.end.cancel()
            super().connection_lost(error)

    return Connection


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Classify images over HTTP.")
    parser.add_argument("bundle")
    limits = {"--seconds": 10.0, "--max-bytes": 16 << 20, "--max-pixels": 25_000_000, "--at-once": 8}
    for name, default in {"--host": "127.0.0.1", "--port": 8000, **limits, "--connections": 512}.items():
        parser.add_argument(name, type=type(default), default=default)
    told = parser.parse_args()
    try:
        with Bundle.open(told.bundle) as bundle, bundle.session(max_pixels=told.max_pixels) as session:
            app = make_app(session, told.max_bytes, told.seconds, told.at_once)
            protocol = connections(3 * told.seconds, told.connections)
            # Only errors are told: what clients send wrongly would fill the log.
            uvicorn.run(app, host=told.host, port=told.port, http=protocol, ws="none", log_level="error")
    except BundleError as error:
        parser.exit(2, f"http_endpoint: error: {error}\n")
