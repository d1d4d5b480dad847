"""The sample that answers over HTTP, under load and among clients that mean it ill: it goes on answering rightly."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from bundles import make_bundle
from sample_apps import SAMPLES, alive, content_of, free_port, wait_for

from edgekit.runtime import Bundle

MAX_BYTES, AT_ONCE, CONNECTIONS = 100_000, 8, 48
PATIENT_S, STRICT_S = 30.0, 1.0
"""What a body and an answer may take: the first is never over, however busy the machine is."""

GROWTH_BYTES: Final = 24 << 20
"""Of resident memory, that a server which forgets nothing would exceed many times over."""

HEAD: Final = b"POST /classify HTTP/1.1\r\nHost: x\r\n"


@dataclass(frozen=True)
class Server:
    """Where it listens, its process, the images to ask it, and what it must say of them."""

    port: int
    pid: int
    images: list[bytes]
    answers: list[Any]

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def session(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def is_right(self, status: int, content: bytes, image: int) -> bool:
        return status == 200 and json.loads(content) == self.answers[image]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    return make_bundle(tmp_path_factory.mktemp("http-load") / "bundle")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    yield from serving(bundle, PATIENT_S)


@pytest.fixture(scope="module")
def strict(bundle: Path) -> Iterator[Server]:
    yield from serving(bundle, STRICT_S)


def serving(bundle: Path, seconds: float) -> Iterator[Server]:
    """The sample in a process of its own; it must still run at the end, and have said nothing."""
    images = [content_of(kind, seed) for seed in range(5) for kind in ("jpeg", "png")]
    with Bundle.open(bundle) as opened, opened.session() as session:
        made = [session.classify(image) for image in images]
    answers = [{"classes": [{"label": label, "probability": share} for label, share in each]} for each in made]
    port = free_port()
    told = {"port": port, "max-bytes": MAX_BYTES, "seconds": seconds, "at-once": AT_ONCE, "connections": CONNECTIONS}
    command = [sys.executable, str(SAMPLES / "http_endpoint.py"), str(bundle)]
    command += [f"--{name}={value}" for name, value in told.items()]
    log = bundle.parent / f"said-{seconds}"
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        try:
            wait_for(lambda: alive(port) or process.poll() is not None)
            yield Server(port, process.pid, images, answers)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()
    assert log.read_text() == ""  # no error, and nothing that fills a log


def read_to_end(client: socket.socket) -> bytes:
    """What a server still says, until it closes the connection."""
    said = b""
    try:
        while piece := client.recv(65536):
            said += piece
    except ConnectionResetError:  # it closed before it had read all
        pass
    return said


def post(image: bytes, *headers: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n" % len(image) + b"".join(headers) + b"\r\n" + image


CLOSE: Final = b"Connection: close\r\n"


def ask_many(server: Server, calls: int, meet: Callable[[], Any] = lambda: None) -> list[str]:
    """Many calls over one connection that is kept; what was not a right answer."""
    wrong = []
    with closing(server.session()) as session:
        for call in range(calls):
            if call == calls // 10:
                meet()
            image = call % len(server.images)
            session.request("POST", "/classify", server.images[image])
            answer = session.getresponse()
            content = answer.read()
            if not server.is_right(answer.status, content, image):
                wrong.append(f"{answer.status}: {content[:200]!r}")
    return wrong


@pytest.mark.parametrize("calls", [100, pytest.param(5_000, marks=pytest.mark.slow)])
def test_many_at_once(server: Server, calls: int) -> None:
    wrong: list[str] = []
    seen: list[int] = []
    meeting = threading.Barrier(AT_ONCE, lambda: seen.append(server.resident_bytes()))
    threads = [
        threading.Thread(target=lambda: wrong.extend(ask_many(server, calls, meeting.wait))) for _ in range(AT_ONCE)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    grown = server.resident_bytes() - seen[0]
    print(f"{AT_ONCE} x {calls} requests, memory grew by {grown / 1e6:.1f} MB")
    assert wrong == []
    assert grown < GROWTH_BYTES


@pytest.mark.slow
def test_wrk(server: Server, tmp_path: Path) -> None:
    """The whole load that a load generator can make; each answer is compared."""
    if shutil.which("wrk") is None:
        pytest.skip("there is no wrk on this system (apt install wrk)")
    (tmp_path / "image").write_bytes(server.images[0])
    (tmp_path / "wrk.lua").write_text(
        f'local file = io.open("{tmp_path / "image"}", "rb")\n'
        'local image = file:read("*a")\n'
        "local expected = [==[" + json.dumps(server.answers[0], separators=(",", ":")) + "]==]\n"
        "local threads = {}\n"
        "wrong = 0\n"
        "function setup(thread) table.insert(threads, thread) end\n"
        'request = function() return wrk.format("POST", "/classify", {}, image) end\n'
        "response = function(status, headers, body)\n"
        "  if status ~= 200 or body ~= expected then wrong = wrong + 1 end\n"
        "end\n"
        "done = function(summary)\n"
        "  local all = 0\n"
        '  for _, each in ipairs(threads) do all = all + each:get("wrong") end\n'
        '  print("requests " .. summary.requests .. " wrong " .. all .. " errors " .. summary.errors.connect\n'
        "    + summary.errors.read + summary.errors.write + summary.errors.timeout)\n"
        "end\n"
    )
    command = ["wrk", "-t2", f"-c{AT_ONCE}", "-s", str(tmp_path / "wrk.lua"), f"http://127.0.0.1:{server.port}"]
    subprocess.run([*command[:1], "-d3s", *command[1:]], check=True, capture_output=True)
    warm = server.resident_bytes()
    done = subprocess.run([*command[:1], "-d30s", *command[1:]], check=True, capture_output=True, text=True)
    grown = server.resident_bytes() - warm
    print(done.stdout, f"memory grew by {grown / 1e6:.1f} MB")
    found = re.search(r"requests (\d+) wrong (\d+) errors (\d+)", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) > 1000
    assert (int(found[2]), int(found[3])) == (0, 0)
    assert grown < GROWTH_BYTES


def test_requests_in_a_row_without_waiting(server: Server) -> None:
    """Pipelining: each gets its own answer, in order."""
    with closing(server.connect()) as client:
        images = server.images
        client.sendall(b"".join(post(image) for image in images[:-1]) + post(images[-1], CLOSE))
        said = read_to_end(client)
    bodies = re.findall(rb"\r\n\r\n(\{.*?\]\})", said)
    assert [json.loads(each) for each in bodies] == server.answers


def test_chunks(server: Server) -> None:
    pieces = b"".join(b"1\r\n%c\r\n" % byte for byte in server.images[0])
    with closing(server.connect()) as client:
        client.sendall(HEAD + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        said = read_to_end(client)
    assert server.is_right(int(said.split()[1]), said.split(b"\r\n\r\n", 1)[1], 0)


@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"], ids=["", "expecting"])
def test_a_huge_body_is_refused_before_it_is_read(server: Server, more: bytes) -> None:
    with closing(server.connect()) as client:
        client.sendall(HEAD + b"Content-Length: 1000000000000\r\n" + more + b"\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_never_ends_is_refused_and_kept_nowhere(strict: Server) -> None:
    """Chunks, of no stated length, as fast as they are taken: refused, and cut off in the end."""
    before, sent = strict.resident_bytes(), 0
    piece = b"40000\r\n" + bytes(0x40000) + b"\r\n"
    with closing(strict.connect()) as client:
        client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 40:
                client.sendall(piece)
                sent += len(piece)
    assert GROWTH_BYTES < sent < 1 << 40
    assert strict.resident_bytes() - before < GROWTH_BYTES


@pytest.mark.parametrize(
    "said", [b"", b"POST /classify HT", HEAD + b"X-Slow: y", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET"]
)
def test_a_head_that_does_not_come_ends_the_connection(strict: Server, said: bytes) -> None:
    """Also after an answer."""
    with closing(strict.connect()) as client:
        client.sendall(said)
        assert read_to_end(client).count(b"HTTP/1.1") == said.count(b"\r\n\r\n")


WRONG: Final[dict[str, tuple[bytes, set[bytes]]]] = {
    "less than it says": (HEAD + b"Content-Length: 1000\r\n\r\nabc", {b"408"}),  # after STRICT_S
    "more than it says": (HEAD + b"Content-Length: 3\r\n\r\nabcdefgh\r\n\r\n", {b"400"}),
    "two lengths": (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", {b"400"}),
    "a length below zero": (HEAD + b"Content-Length: -3\r\n\r\nabc", {b"400"}),
    "a length that is no number": (HEAD + b"Content-Length: 0x10\r\n\r\nabc", {b"400"}),
    "a huge number of digits": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nabc", {b"400", b"413"}),
    "a chunk of no length": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n", {b"400"}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", {b"400"}),
    "an endless head": (b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 200_000, {b"400"}),
    "zero bytes": (b"GET /healthz\x00 HTTP/1.1\r\nHost: x\r\n\r\n", {b"400"}),
}
"""What: the bytes that are sent, and the statuses one of which must be told of them."""


@pytest.mark.parametrize("what", WRONG)
def test_wrong_requests(server: Server, strict: Server, what: str) -> None:
    content, statuses = WRONG[what]
    with closing((strict if b"408" in statuses else server).connect()) as client:
        client.sendall(content)
        said = read_to_end(client)
    told = re.findall(rb"HTTP/1\.1 (\d+)", said)
    assert told, said
    assert set(told) <= statuses
    assert ask_many(server, 2) == []


Client = Callable[[Server, random.Random, threading.Event], None]


def slow_head(server: Server, dice: random.Random, over: threading.Event) -> None:
    trickle(server, b"POST /classify HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 1000, over)


def slow_body(server: Server, dice: random.Random, over: threading.Event) -> None:
    trickle(server, post(dice.choice(server.images)), over)


def trickle(server: Server, content: bytes, over: threading.Event) -> None:
    """A byte now and then."""
    with closing(server.connect()) as client:
        for byte in content:
            client.sendall(bytes([byte]))
            if over.wait(0.2):
                return


def hang_up(server: Server, dice: random.Random, over: threading.Event) -> None:
    content = post(dice.choice(server.images))
    with closing(server.connect()) as client:
        client.sendall(content[: dice.randrange(len(content))])
        if dice.random() < 0.5:  # a reset in place of an end
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    over.wait(0.02)


def never_read(server: Server, dice: random.Random, over: threading.Event) -> None:
    """Requests without end, of which no answer is taken."""
    with closing(server.connect()) as client:
        while not over.is_set():
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100)


def huge_body(server: Server, dice: random.Random, over: threading.Event) -> None:
    with closing(server.connect()) as client:
        client.sendall(HEAD + b"Content-Length: 100000000000\r\n\r\n")
        for _ in range(20):
            client.sendall(bytes(100_000))
            if over.wait(0.05):
                return


def rubbish(server: Server, dice: random.Random, over: threading.Event) -> None:
    with closing(server.connect()) as client:
        client.sendall(dice.randbytes(dice.randint(1, 3000)) + b"\r\n\r\n")
        read_to_end(client)
    over.wait(0.02)


def no_image(server: Server, dice: random.Random, over: threading.Event) -> None:
    with closing(server.connect()) as client:
        content = bytearray(dice.choice(server.images))
        content[dice.randrange(len(content) // 2) :] = dice.randbytes(40)
        client.sendall(post(bytes(content), CLOSE))
        read_to_end(client)
    over.wait(0.02)


ILL: Final[dict[str, tuple[Client, int]]] = {
    "heads a byte at a time": (slow_head, 40),
    "bodies a byte at a time": (slow_body, 40),
    "hang up": (hang_up, 2),
    "read no answer": (never_read, 2),
    "huge bodies": (huge_body, 3),
    "rubbish": (rubbish, 2),
    "no image": (no_image, 1),
}
"""What they do, and how many of them at once: more connections than the server has."""


@contextmanager
def beset(server: Server) -> Iterator[None]:
    """The server among all of ILL, each again and again."""
    over = threading.Event()

    def go_on(client: Client, seed: int) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            try:
                client(server, dice, over)
            except OSError:  # cut off, as it should be
                over.wait(0.05)

    threads = [
        threading.Thread(target=go_on, args=(client, seed)) for client, many in ILL.values() for seed in range(many)
    ]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        over.set()
        for each in threads:
            each.join()


@pytest.mark.parametrize("calls", [25, pytest.param(2_000, marks=pytest.mark.slow)])
def test_answers_among_those_who_mean_it_ill(server: Server, calls: int) -> None:
    """Each request by a connection of its own, among more slow clients than there are connections."""
    files, seen, busy, wrong = server.open_files(), [], 0, []
    with beset(server):
        time.sleep(2)
        for call in range(calls):
            image = call % len(server.images)
            with closing(server.connect()) as client:
                client.sendall(post(server.images[image], CLOSE))
                said = read_to_end(client)
            status = int(said.split()[1]) if said else 0
            busy += status == 503
            if status != 503 and not server.is_right(status, said.split(b"\r\n\r\n", 1)[-1], image):
                wrong.append(said[:200])
            if call >= calls // 10:
                seen.append(server.resident_bytes())
    print(f"{calls} asked, {busy} told to come again, memory grew by {(max(seen) - seen[0]) / 1e6:.1f} MB")
    assert wrong == []
    assert busy <= calls // 20
    assert max(seen) - seen[0] < GROWTH_BYTES
    wait_for(lambda: server.open_files() <= files, seconds=30)  # every connection of theirs is over
    assert ask_many(server, 20) == []
