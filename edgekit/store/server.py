"""What `edgekit cache serve` runs: a store's entries over HTTP, read by anyone who may, written with a token."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit import __version__
from edgekit.errors import InputError
from edgekit.store.claims import Claims
from edgekit.store.connections import impatient
from edgekit.store.entries import ENTRY_FILE, read_record
from edgekit.store.intake import Intake
from edgekit.store.shared import KEY, UntrueError
from edgekit.store.stages import Store

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

PIECE_S: Final = 30.0
"""What the next bytes of an entry that is written may take to come."""

HEAD_S: Final = 30.0
"""What the head of a request may take to come."""

CONNECTIONS: Final = 256
ASKED_BYTES: Final = 4_096
LEAST_TOKEN: Final = 16
"""Characters of a token."""


@dataclass(frozen=True)
class Serving:
    """A store and who may do what with it.

    Attributes:
        token: that every request must bring; None: none need, and none may write.
        writes: whether entries are taken.
        claims: who makes what now.
    """

    store: Store
    token: str | None = field(default=None, repr=False)
    writes: bool = False
    claims: Claims = field(default_factory=Claims)

    def refusal(self, request: Request) -> int | None:
        """The status that a request is refused with; None where it may go on."""
        if self.token is None:
            # A page in a browser on this machine could have its own name lead here, and read what a user may.
            return None if request.url.hostname in ("127.0.0.1", "localhost", "::1") else 403
        given = request.headers.get("Authorization", "").encode()
        if not secrets.compare_digest(given, f"Bearer {self.token}".encode()):
            return 401
        return None


def make_app(serving: Serving) -> Starlette:
    """The application; see edgekit.store.over_http for its client."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def about(request: Request) -> Response:
        return JSONResponse({"edgekit": __version__, "writes": serving.writes})

    def guarded(
        answer: Callable[[Request], Awaitable[Response]], writes: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        async def asked(request: Request) -> Response:
            status = serving.refusal(request)
            if status is None and writes and not serving.writes:
                status = 403
            if status is None and not KEY.fullmatch(request.path_params.get("key", "0" * 64)):
                status = 404
            if status is not None:
                return PlainTextResponse("", status, {"Connection": "close"})
            return await answer(request)

        return asked

    entries = _Entries(serving)
    return Starlette(
        routes=[
            Route("/v1", guarded(about)),
            Route("/v1/entries/{key}", guarded(entries.record), methods=["GET"]),
            Route("/v1/entries/{key}/files/{name:path}", guarded(entries.file), methods=["GET"]),
            Route("/v1/entries/{key}", guarded(entries.put, writes=True), methods=["PUT"]),
            Route("/v1/claims/{key}", guarded(entries.claim, writes=True), methods=["POST"]),
            Route("/v1/claims/{key}", guarded(entries.let_go, writes=True), methods=["DELETE"]),
        ]
    )


@dataclass(frozen=True)
class _Entries:
    """Answers about entries. A name in a request is looked up in an entry's record, never on the disk."""

    serving: Serving

    async def record(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import PlainTextResponse, Response

        def found() -> bytes | None:
            folder = self.serving.store.get(request.path_params["key"])
            if folder is None:
                return None
            with contextlib.suppress(OSError):
                os.utime(folder)  # when it was last used, for prune
            return (folder / ENTRY_FILE).read_bytes()

        try:
            content = await run_in_threadpool(found)
        except OSError:
            content = None
        if content is None:
            return PlainTextResponse("", 404)
        return Response(content, media_type="application/json")

    async def file(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import FileResponse, PlainTextResponse

        def found() -> tuple[Path, os.stat_result] | None:
            folder = self.serving.store.root / "entries" / request.path_params["key"]
            record = read_record(folder)
            if record is None or request.path_params["name"] not in record.files:
                return None
            path = folder / request.path_params["name"]
            return path, path.stat()

        try:
            file = await run_in_threadpool(found)
        except OSError:
            file = None
        if file is None:
            return PlainTextResponse("", 404)
        return FileResponse(file[0], stat_result=file[1], media_type="application/octet-stream")

    async def put(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import ClientDisconnect
        from starlette.responses import PlainTextResponse

        told = request.headers.get("Content-Length", "")
        if not (told.isascii() and told.isdigit() and len(told) < 16):
            return PlainTextResponse("how long it is must be said", 411, {"Connection": "close"})
        try:
            with contextlib.closing(Intake(self.serving.store, request.path_params["key"], int(told))) as intake:
                pieces = request.stream()
                while piece := await asyncio.wait_for(_next(pieces), PIECE_S):
                    intake.add(piece)
                taken = await run_in_threadpool(intake.finish)
            return PlainTextResponse("", 201 if taken else 200)
        except UntrueError as error:
            return PlainTextResponse(str(error), 422, {"Connection": "close"})
        except (asyncio.TimeoutError, ClientDisconnect):
            return PlainTextResponse("", 408, {"Connection": "close"})
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            return PlainTextResponse("", 507 if full else 500, {"Connection": "close"})

    async def claim(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, PlainTextResponse

        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > ASKED_BYTES:
                return PlainTextResponse("", 413, {"Connection": "close"})
        try:
            told = json.loads(body)
            who, what = str(told["who"])[:200], str(told["what"])[:200]
        except (ValueError, KeyError, TypeError, RecursionError):
            return PlainTextResponse("", 422)
        return JSONResponse(asdict(self.serving.claims.claim(request.path_params["key"], who, what)))

    async def let_go(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        self.serving.claims.let_go(request.path_params["key"], request.query_params.get("who", "")[:200])
        return PlainTextResponse("")


async def _next(pieces: object) -> bytes:
    """The next bytes of a body; empty at its end."""
    async for piece in pieces:  # type: ignore[attr-defined]
        if piece:
            return bytes(piece)
    return b""


def listening(host: str, port: int, has_token: bool) -> socket.socket:
    """A socket that a server listens at; port 0 takes a free one.

    Raises:
        InputError: it is not of this machine, it is taken, or it leads beyond loopback and there is no token.
    """
    if not has_token and not _is_loopback(host):
        raise InputError(
            f"{host} can be reached from other machines, and there is no token", "Give --token-file, or leave --host."
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(f"cannot listen at {host}, port {port}: {error.strerror or error}", "Give another.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: Path) -> str:
    """The token in a file, which others than its owner must not be able to read.

    Raises:
        InputError: it cannot be read, it is too short, or others can read it.
    """
    make = f"Make one: (umask 077; openssl rand -hex 32 > {path})"
    try:
        state, token = path.stat(), path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"cannot read the token file {path}: {why}", make) from error
    if len(token) < LEAST_TOKEN or not (token.isascii() and token.isprintable() and " " not in token):
        raise InputError(f"{path} holds no token: {LEAST_TOKEN} letters and digits or more", make)
    if state.st_mode & 0o077:
        raise InputError(f"others can read the token file {path}", f"chmod 600 {path}")
    return token


def serve(serving: Serving, at: socket.socket) -> None:
    """Answers until a signal ends this process."""
    import uvicorn

    how = uvicorn.Config(
        make_app(serving),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        http=impatient(HEAD_S, CONNECTIONS),
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=1 << 16,
    )
    uvicorn.Server(how).run(sockets=[at])
