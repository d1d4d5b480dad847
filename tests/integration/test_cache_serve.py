"""`edgekit cache serve` as a process of its own, and stores that fetch from it and give to it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from classifiers import PLAIN, Graph, balanced, patches
from command import run_edgekit
from PIL import Image

from edgekit.store import Store
from edgekit.store.over_http import OverHttp
from edgekit.store.sharing import Sharing

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
Told = dict[str, Any]
KEY, OTHER = "a" * 64, "b" * 64
LARGE = np.random.Generator(np.random.PCG64(0)).bytes(5 << 20)
CLASSES = 5


def fill(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "large.bin").write_bytes(LARGE)
    (folder / "inner" / "a name #1?.txt").write_text("hello")


@contextmanager
def serving(root: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a server of a store, and its process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "edgekit", "cache", "serve", "--json", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"EDGEKIT_CACHE": str(root)},
    )
    assert server.stdout is not None
    try:
        told = ""
        while not told.endswith("}\n"):
            line = server.stdout.readline()
            assert line, server.stderr.read() if server.stderr else ""
            told += line
        yield json.loads(told)["address"], server
    finally:
        server.kill()
        server.communicate()


def ask(address: str, method: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("token") / "token"
    path.write_text("0123456789abcdef0123\n")
    path.chmod(0o600)
    return path


def test_read_only_on_loopback(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    Store(theirs).build(KEY, "s", fill)
    with serving(theirs) as (address, server):
        ours = Store(tmp_path / "ours", Sharing(OverHttp(address)))
        found = ours.find(KEY, "s")
        assert found is not None
        assert (found / "large.bin").read_bytes() == LARGE
        assert (found / "inner" / "a name #1?.txt").read_text() == "hello"
        assert ours.find(OTHER, "s") is None
        assert not ours.build(OTHER, "s", fill).cached
        assert ours.troubles() == ()
        assert Store(theirs).get(OTHER) is None

        file = f"/v1/entries/{KEY}/files/large.bin"
        assert ask(address, "GET", file, Range="bytes=10-19") == (206, LARGE[10:20])
        for path in ("entry.json", "../../../README", "%2e%2e/%2e%2e/README", "/etc/passwd", "inner", "inner/.."):
            assert ask(address, "GET", f"/v1/entries/{KEY}/files/{path}")[0] == 404
        for key in ("..", "%2e%2e", "A" * 64, "a" * 63, f"{KEY}%0a"):
            assert ask(address, "GET", f"/v1/entries/{key}")[0] == 404
        assert ask(address, "GET", "/v1", Host="evil.example")[0] == 403
        assert [ask(address, method, f"/v1/entries/{OTHER}")[0] for method in ("PUT", "DELETE")] == [403, 405]
        assert ask(address, "POST", f"/v1/claims/{OTHER}")[0] == 403
        listening = listeners(server.pid)
        assert listening == {("127.0.0.1", urlsplit(address).port)}
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 130


def test_those_who_only_connect_take_nobodys_place(tmp_path: Path) -> None:
    with serving(tmp_path / "store") as (address, _):
        host, port = urlsplit(address).netloc.split(":")
        slow = [socket.create_connection((host, int(port)), timeout=20) for _ in range(300)]
        for each in slow:
            each.sendall(b"GET /v1 HTTP/1.1\r\nX-Slow: ")
        assert ask(address, "GET", "/v1")[0] == 200
        for each in slow:
            each.close()


def listeners(pid: int) -> set[tuple[str, int | None]]:
    """Addresses and ports that a process listens at, by /proc."""
    sockets = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(each)
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found: set[tuple[str, int | None]] = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if parts[3] == "0A" and parts[9] in sockets:
            address, port = parts[1].split(":")
            found.add((socket.inet_ntoa(bytes.fromhex(address)[::-1]), int(port, 16)))
    return found


def test_written_with_a_token(tmp_path: Path, token: Path) -> None:
    theirs, words = tmp_path / "theirs", token.read_text().strip()
    with serving(theirs, "--token-file", str(token), "--write") as (address, _):
        assert ask(address, "GET", "/v1")[0] == 401
        assert ask(address, "GET", "/v1", Authorization="Bearer wrong")[0] == 401
        assert ask(address, "GET", "/v1", Authorization=f"Bearer {words}")[0] == 200
        ours = Store(tmp_path / "ours", Sharing(OverHttp(address, words)))
        assert not ours.build(KEY, "s", fill).cached
        assert ours.troubles() == ()
        there = Store(theirs).get(KEY)
        assert there is not None
        assert (there / "large.bin").read_bytes() == LARGE
        assert Store(theirs).others() == []
        third = Store(tmp_path / "third", Sharing(OverHttp(address, words)))
        assert third.find(KEY, "s") is not None
        nobody = Store(tmp_path / "fourth", Sharing(OverHttp(address)))
        assert nobody.find(KEY, "s") is None
        assert "it wants another token" in nobody.troubles()[0]

        lying = OverHttp(address, words)
        for body in (b"", b"{}\n", b"x" * 100):
            status = put(lying, OTHER, body)
            assert status == 422, (body, status)
        assert Store(theirs).get(OTHER) is None


def put(to: OverHttp, key: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(urlsplit(to.address).netloc, timeout=20)
    connection.request("PUT", f"/v1/entries/{key}", body, {"Authorization": f"Bearer {to.token}"})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--host", "0.0.0.0"), "can be reached from other machines"),
        (("--write",), "there is no token"),
        (("--token-file", "missing"), "cannot read the token file"),
        (("--host", "192.0.2.1", "--token-file", "TOKEN"), "cannot listen at 192.0.2.1"),
    ],
)
def test_what_is_refused(edgekit: Edgekit, token: Path, flags: tuple[str, ...], says: str) -> None:
    answer = edgekit("cache", "serve", *(str(token) if flag == "TOKEN" else flag for flag in flags), timeout=20)
    assert answer.returncode == 2
    assert says in answer.stderr


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network beside a folder `photos`, and a recipe that times it shortly."""
    folder = tmp_path_factory.mktemp("network")
    pictures = patches(40)
    (folder / "photos").mkdir()
    for place, each in enumerate(pictures):
        Image.fromarray(each).save(folder / "photos" / f"{place}.png")
    (folder / "quick.yaml").write_text("prune: none\nlatency: {runs: 10, max_seconds: 0.1}\n")
    graph = Graph()
    graph.head(graph.convolution(graph.convolution("x", 3, 16), 16, 16), 16, CLASSES)
    return balanced(graph.save(folder / "net.onnx"), pictures)


def arguments(network: Path, store: Path, *flags: object) -> list[str]:
    """Of a build with a store."""
    folder, out = network.parent, store.parent / f"{store.name}-out"
    told = ("--model", network, "--data", folder / "photos", "--recipe", folder / "quick.yaml", *PLAIN)
    return ["build", *map(str, (*told, "--json", "--out", out, *flags))]


def store_of(root: Path) -> dict[str, str]:
    return {"EDGEKIT_CACHE": str(root)}


def build(network: Path, store: Path, *flags: object) -> tuple[Told, subprocess.CompletedProcess[str]]:
    answer = run_edgekit(*arguments(network, store, *flags), timeout=300, env=os.environ | store_of(store))
    assert answer.returncode in (0, 3), answer.stderr
    return json.loads(answer.stdout), answer


@pytest.fixture(scope="module")
def theirs(network: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """A store with all stages of a build, and that build's report."""
    root = tmp_path_factory.mktemp("theirs") / "store"
    told, _ = build(network, root)
    assert not all(each["cached"] for each in told["stages"])
    return root, told


def test_a_build_takes_all_from_a_server(network: Path, tmp_path: Path, theirs: tuple[Path, Told]) -> None:
    root, first = theirs
    with serving(root) as (address, _):
        second, answer = build(network, tmp_path / "ours", "--store", address)
    assert all(each["cached"] for each in second["stages"])
    assert "shared store" not in answer.stderr
    assert (second["chosen"], second["variants"]) == (first["chosen"], first["variants"])


def test_a_server_that_is_killed_in_the_middle_costs_nothing_but_time(
    network: Path, tmp_path: Path, theirs: tuple[Path, Told]
) -> None:
    """It has the first stages alone, and is gone as soon as one of them has arrived."""
    root, first = tmp_path / "half", theirs[1]
    shutil.copytree(theirs[0], root)
    entries = sorted((root / "entries").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    for each in entries[len(entries) // 2 :]:
        shutil.rmtree(each)
    ours = tmp_path / "ours"
    with serving(root) as (address, server):
        command = [sys.executable, "-m", "edgekit", *arguments(network, ours, "--store", address)]
        going = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | store_of(ours)
        )
        while going.poll() is None and not list(ours.glob("entries/*")):
            time.sleep(0.02)
        server.kill()
        out, err = going.communicate(timeout=300)
    assert going.returncode in (0, 3), err
    told = json.loads(out)
    assert 0 < sum(each["cached"] for each in told["stages"]) < len(told["stages"])
    assert err.count("stages are made here") == 1
    assert {each["name"] for each in told["variants"]} == {each["name"] for each in first["variants"]}


def test_evaluate_keeps_its_stages_where_it_is_told(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path, own_store: Path
) -> None:
    network, pictures = tiny_onnx(), photos(classes=4)
    command = ("evaluate", network, "--data", pictures, "--json")
    answer = edgekit(*command, "--store", tmp_path / "there")
    assert answer.returncode == 0, answer.stderr
    assert list((tmp_path / "there" / "entries").iterdir())
    assert not list(own_store.glob("entries/*"))
    assert "is for --cluster" in edgekit(*command, "--store", "ray").stderr
    answer = edgekit(*command, "--store", "http://127.0.0.1:9")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.count("is of no help: it does not answer") == 1
