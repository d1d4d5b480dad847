"""A small Hugging Face hub on this machine: as much of its HTTP as the client needs to fetch files and push them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from hub_repositories import Answer, Repositories

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What a hub has and how it behaves.

    Attributes:
        files: OWNER/NAME/FILE to content.
        announced: the SHA-256 that it tells of every file; the true one by default.
        status, error_code: answers everything with this error.
        breaks: how many answers with content still to be cut off in the middle.
        pushed: repositories that were made and pushed to; their files stand beside `files`.
        answering: clear it, and requests hang until it is set.
        seen: method, path and headers in lower case of every request.
    """

    files: dict[str, bytes]
    announced: str | None = None
    status: int | None = None
    error_code: str | None = None
    breaks: int = 0
    pushed: Repositories = field(default_factory=Repositories)
    answering: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bodies(self) -> list[dict[str, str]]:
        """The headers of requests for content."""
        return [headers for method, path, headers in self.seen if method == "GET" and path.startswith("/cdn/")]


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """A hub that answers for as long as the block runs, at a port of its own."""
    hub.answering.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def _answer(self) -> None:
            told = {key.lower(): value for key, value in self.headers.items()}
            hub.seen.append((self.command, self.path, told))
            size = int(told.get("content-length", 0))
            body = self.rfile.read(size) if size else self._chunks() if "transfer-encoding" in told else b""
            hub.answering.wait()
            if hub.status is not None:
                self._end(hub.status, {"X-Error-Code": hub.error_code} if hub.error_code else {})
            elif self.path.startswith("/cdn/"):
                self._content(self._stored(self.path.removeprefix("/cdn/")), told.get("range"))
            elif (made := hub.pushed.answer(self.command, unquote(self.path), told, body, hub.endpoint)) is not None:
                self._said(made)
            else:
                self._resolve()

        def _resolve(self) -> None:
            """Where a file is and what it is, as the hub tells of large files: elsewhere, with its hash as the etag."""
            repository, _, rest = self.path.strip("/").partition("/resolve/")
            name = f"{repository}/{rest.partition('/')[2]}"
            content = hub.files.get(name)
            if content is None:
                known = any(each.startswith(repository + "/") for each in hub.files)
                self._end(404, {"X-Error-Code": "EntryNotFound" if known else "RepoNotFound"})
                return
            digest = hub.announced or hashlib.sha256(content).hexdigest()
            linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "ETag": f'"{digest[:40]}"'}
            # Another host, as far as the client can tell: the hub's files are not on the hub itself.
            elsewhere = f"http://localhost:{hub.port}/cdn/{name}"
            self._end(302, {"X-Repo-Commit": COMMIT, "Location": elsewhere, **linked})

        def _stored(self, name: str) -> bytes:
            return hub.files[name] if name in hub.files else hub.pushed.blobs[name]

        def _chunks(self) -> bytes:
            """A body of unknown length."""
            whole = b""
            while size := int(self.rfile.readline(), 16):
                whole += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return whole

        def _said(self, made: Answer) -> None:
            self._end(made.status, {"Content-Type": "application/json", **made.headers}, made.body)

        def _content(self, content: bytes, range_wanted: str | None) -> None:
            begin = int(range_wanted.removeprefix("bytes=").partition("-")[0]) if range_wanted else 0
            part = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if range_wanted else {}
            rest = content[begin:]
            if hub.breaks:
                hub.breaks -= 1
                self._end(206 if part else 200, part, rest[: len(rest) // 2], len(rest))
                self.close_connection = True
            else:
                self._end(206 if part else 200, part, rest)

        def _end(self, status: int, headers: dict[str, str], body: bytes = b"", length: int | None = None) -> None:
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body) if length is None else length)}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        hub.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield hub
        hub.answering.set()
        server.shutdown()
        thread.join()
