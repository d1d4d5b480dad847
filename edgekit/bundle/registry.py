"""A registry of containers, through oras: whether something is there, sending and fetching it, with errors in words."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from edgekit.bundle.modelpack import MOST_BYTES, OCI_MANIFEST, Descriptor
from edgekit.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from oras.container import Container
    from oras.provider import Registry as Client
    from requests import Response

PIECE: Final = 1 << 15
"""Bytes that are written at once: at most so many are lost when a connection breaks off."""

TIMEOUT_S: Final = (15, 120)
"""To connect, and for each answer."""

WAITS_S: Final = (0.5, 2.0)
"""Between attempts at a registry that does not answer, or breaks off."""

REFERENCE: Final = re.compile(
    r"(?P<host>(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::\d+)?)/"
    r"(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Reference:
    """Where an artifact is: a registry's host with its port, a repository in it, and a tag or a digest."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]; without a tag and a digest the tag is `latest`.

        Raises:
            InputError: it is written otherwise.
        """
        found = REFERENCE.fullmatch(text)
        host = found["host"] if found else ""
        if found is None or not (re.search(r"[.:]", host) or host == "localhost"):
            raise InputError(f"{text!r} names no artifact", "Write HOST[:PORT]/REPOSITORY[:TAG], in small letters.")
        tag = found["tag"] or (None if found["digest"] else "latest")
        return cls(host, found["repository"], tag, found["digest"])

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}{f'@{self.digest}' if self.digest else ''}"

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine."""
        name = urlsplit(f"//{self.host}").hostname or ""
        try:
            return name == "localhost" or ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False

    def scheme(self, insecure: bool) -> str:
        """How the registry is asked: by HTTPS, unless it is on this machine or plain HTTP is asked for."""
        return "http" if insecure or self.is_loopback else "https"


class Registry:
    """A repository of a registry. Logins are Docker's (`docker login`).

    Args:
        reference: of an artifact there.
        insecure: plain HTTP; on this machine it is used anyway.
    Raises:
        UnavailableError: it does not answer, or is no registry.
    """

    def __init__(self, reference: Reference, insecure: bool = False) -> None:
        from oras.container import Container
        from oras.logger import logger
        from oras.provider import Registry as Client

        logger.quiet = True  # it would tell of its retries
        self.reference = reference
        self._scheme = reference.scheme(insecure)
        self._container: Container = Container("x")
        self._container.registry, self._container.namespace = reference.host, None
        self._container.repository = reference.repository
        self._container.tag, self._container.digest = reference.tag, reference.digest
        self._client: Client = Client(hostname=reference.host, insecure=self._scheme == "http")
        session = self._client.session
        session.request = partial(session.request, timeout=TIMEOUT_S)  # oras gives none, and would wait for ever
        self._log_in()

    def has(self, blob: Descriptor) -> bool:
        """Whether the repository has this content."""
        answer = self._ask("HEAD", self._container.get_blob_url(blob.digest), (200, 404))
        return bool(answer.status_code == 200)

    def put(self, blob: Descriptor, content: Path | bytes) -> None:
        """Sends content that the repository does not have."""
        begun = self._ask("POST", self._container.upload_blob_url(), (202,))
        place = urljoin(begun.request.url or "", begun.headers.get("Location", ""))
        if urlsplit(place).scheme != self._scheme:
            raise UnavailableError(f"{self.reference.host} wants uploads at {place}", "That is not how it was reached.")
        place = f"{place}{'&' if urlsplit(place).query else '?'}digest={blob.digest}"
        headers = {"Content-Type": "application/octet-stream"}
        streamed = _Pieces(content, blob.size) if isinstance(content, Path) and blob.size else b""
        self._ask("PUT", place, (201,), headers, content if isinstance(content, bytes) else streamed)

    def put_manifest(self, content: bytes) -> None:
        """Gives the artifact its tag."""
        url = self._container.manifest_url(self.reference.tag)
        self._ask("PUT", url, (201,), {"Content-Type": OCI_MANIFEST}, content)

    def manifest(self) -> bytes:
        """What ties the artifact together, as the registry has it.

        Raises:
            InputError: there is no such artifact, or it is none that a bundle can be.
        """
        answer = self._ask("GET", self._container.manifest_url(), (200, 404), {"Accept": OCI_MANIFEST})
        if answer.status_code == 404:
            raise InputError(f"there is no {self.reference}", "Look at its name and tag, or push it first.")
        content = b""
        with self._in_words(), answer:
            for piece in answer.iter_content(PIECE):
                content += piece
                if len(content) > MOST_BYTES:
                    raise InputError(f"{self.reference} is no ModelPack artifact: its manifest is too large", "")
        return content

    def pieces(self, blob: Descriptor, offset: int) -> Iterator[tuple[int, bytes]]:
        """Content from a byte on, piece by piece, each with where it belongs; from 0 where no part can be asked for.

        Raises:
            UnavailableError: it broke off, or is not there.
        """
        url, headers = self._container.get_blob_url(blob.digest), {"Range": f"bytes={offset}-"} if offset else {}
        answer = self._ask("GET", url, (200, 206), headers)
        with self._in_words(), answer:
            at = offset if answer.status_code == 206 else 0
            for piece in answer.iter_content(PIECE):
                yield at, piece
                at += len(piece)

    def _log_in(self) -> None:
        """Finds out how the registry wants to be asked: tokens, or a name and password each time."""
        from oras.auth import get_auth_backend

        url = f"{self._scheme}://{self.reference.host}/v2/"
        if self.reference.is_loopback:
            self._client.session.trust_env = False  # a proxy would take this machine for its own
        with self._in_words():
            answer = self._patient(lambda: self._client.session.request("GET", url))
        if answer.status_code not in (200, 401):
            raise UnavailableError(
                f"{self.reference.host} is no registry: it answers {answer.status_code}", "Look at its name and port."
            )
        if answer.status_code == 401 and answer.headers.get("Www-Authenticate", "").lower().startswith("basic"):
            auth = get_auth_backend("basic", self._client.session, self._scheme == "http")
            auth.load_configs(self._container)
            if not getattr(auth, "_basic_auth", None):
                raise self._refused()
            self._client.auth = auth
            self._client.session.headers.update(auth.get_auth_header())  # at once, not when it is refused
        else:
            self._client.auth.load_configs(self._container)

    def _ask(
        self, method: str, url: str, good: tuple[int, ...], headers: dict[str, str] | None = None, data: Any = None
    ) -> Response:
        from oras.provider import Registry as Client

        # Without the waits of oras, which take minutes before they say that nobody answers.
        once = Client.do_request.__wrapped__
        whole = url if "://" in url else f"{self._scheme}://{url}"

        def ask() -> Response:
            return once(self._client, whole, method, data=data, headers=dict(headers or {}), stream=method == "GET")

        with self._in_words():
            answer = ask() if method in ("POST", "PUT") else self._patient(ask)
            if answer.status_code == 401 and getattr(self._client.auth, "token", None):
                self._client.auth.token = None  # it was for reading alone, or is too old; oras would give it again
                answer = ask()
        if answer.status_code in good:
            return answer
        if answer.status_code in (401, 403):
            raise self._refused()
        raise UnavailableError(f"{self.reference.host} answers {answer.status_code} {_why(answer)}", "")

    def _patient(self, ask: Callable[[], Response]) -> Response:
        """Asks again where nobody answers."""
        import requests

        for wait_s in WAITS_S:
            try:
                answer = ask()
            except requests.exceptions.SSLError:
                raise
            except requests.exceptions.ConnectionError:
                time.sleep(wait_s)
                continue
            if answer.status_code < 500:
                return answer
            time.sleep(wait_s)
        return ask()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        import requests

        try:
            yield
        except requests.exceptions.SSLError as error:
            hint = "Give --insecure only if it is meant to speak plain HTTP, on a network that you trust."
            raise UnavailableError(f"{self.reference.host} does not speak HTTPS rightly: {error}", hint) from error
        except requests.exceptions.RequestException as error:
            hint = "Look at its name and port; what was sent or fetched already is kept."
            raise UnavailableError(f"the registry {self.reference.host} cannot be reached: {error}", hint) from error
        except ValueError as error:  # how oras says that it knows no name and password
            raise self._refused() from error

    def _refused(self) -> UnavailableError:
        where = f"{self.reference.host}/{self.reference.repository}"
        return UnavailableError(f"the registry does not let you use {where}", f"docker login {self.reference.host}")


class _Pieces:
    """A file as requests sends it, piece by piece; from its beginning again where it has to be sent again."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path, self._size_bytes = path, size_bytes

    def __len__(self) -> int:
        return self._size_bytes

    def __iter__(self) -> Iterator[bytes]:
        with self._path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece


def _why(answer: Response) -> str:
    """What a registry says beside its status."""
    try:
        return ", ".join(str(each["message"]) for each in answer.json()["errors"])
    except (ValueError, KeyError, TypeError):
        return answer.reason or ""
