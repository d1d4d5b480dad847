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

from edgekit.runtime import Bundle, BundleError, ImageError


async def body_of(request: Request, max_bytes: int) -> bytes:
    content = bytearray()
    async for piece in request.stream():  # counted, since what it says of its length may be untrue
        content += piece
        if len(content) > max_bytes:
            raise HTTPException(413)
    return bytes(content)


async def within(seconds: float, work: Awaitable[Any], status: int) -> Any:
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        raise HTTPException(status, headers={"Connection": "close"}) from None


def make_app(session: Any, max_bytes: int, seconds: float, at_once: int) -> Starlette:
    """`seconds` is what a body may take to arrive, and then its answer."""
    places = asyncio.Semaphore(at_once)

    async def classify(request: Request) -> JSONResponse:
        if places.locked():
            raise HTTPException(503, headers={"Retry-After": "1"})
        async with places:
            body = await within(seconds, body_of(request, max_bytes), 408)
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Classify images over HTTP.")
    parser.add_argument("bundle")
    limits = {"--seconds": 10.0, "--max-bytes": 16 << 20, "--at-once": 8}
    for name, default in {"--host": "127.0.0.1", "--port": 8000, **limits}.items():
        parser.add_argument(name, type=type(default), default=default)
    told = parser.parse_args()
    try:
        with Bundle.open(told.bundle) as bundle, bundle.session() as session:
            app = make_app(session, told.max_bytes, told.seconds, told.at_once)
            # The last bounds idle connections too: more of them get 503.
            uvicorn.run(app, host=told.host, port=told.port, log_level="warning", limit_concurrency=8 * told.at_once)
    except BundleError as error:
        parser.exit(2, f"http_endpoint: error: {error}\n")
