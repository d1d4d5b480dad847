"""The sample apps, run as people run them: real files, a real server on loopback, a real video."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle
from sample_apps import SAMPLES, alive, asked, content_of, free_port, running, wait_for

from edgekit.runtime import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("samples-bundle") / "bundle")


def by_runtime(bundle: Path, contents: list[bytes]) -> list[list[dict[str, Any]]]:
    """What the Python runtime says, in the samples' words."""
    with Bundle.open(bundle) as opened, opened.session() as session:
        answers = [session.classify(content) for content in contents]
    return [[{"label": label, "probability": pytest.approx(share, abs=1e-4)} for label, share in a] for a in answers]


def test_samples_are_short() -> None:
    for path in SAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 120, path.name


class TestFolderWatcher:
    def lines(self, path: Path) -> list[dict[str, Any]]:
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def test_images_are_answered_once_and_when_whole(self, bundle: Path, tmp_path: Path) -> None:
        folder, out = tmp_path / "in", tmp_path / "answers.jsonl"
        folder.mkdir()
        contents = [content_of("png", 1), content_of("jpeg", 2)]
        (folder / "a.png").write_bytes(contents[0])
        (folder / "notes.txt").write_text("no image")
        arguments = (bundle, folder, out, "--every", 0.1, "--settled", 0.5)
        with running("folder_watcher.py", *arguments) as watcher:
            wait_for(lambda: len(self.lines(out)) == 1)
            with (folder / "b.jpg").open("wb") as slow:  # written piece by piece, never still for as long as --settled
                for at in range(0, len(contents[1]), 200):
                    slow.write(contents[1][at : at + 200])
                    slow.flush()
                    time.sleep(0.15)
            (folder / "c.jpg").write_bytes(b"\xff\xd8\xff no image")
            wait_for(lambda: len(self.lines(out)) == 3)
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(20) == 0
        told = {each["image"]: each for each in self.lines(out)}
        assert [told[name]["classes"] for name in ("a.png", "b.jpg")] == by_runtime(bundle, contents)
        assert "classes" not in told["c.jpg"]
        assert told["c.jpg"]["error"]
        assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.jpg", "c.jpg", "notes.txt"]

    def test_started_again_it_goes_on(self, bundle: Path, tmp_path: Path) -> None:
        folder, out = tmp_path / "in", tmp_path / "answers.jsonl"
        folder.mkdir()
        (folder / "a.png").write_bytes(content_of("png", 1))
        arguments = (bundle, folder, out, "--every", 0.05, "--settled", 0)
        with running("folder_watcher.py", *arguments) as watcher:
            wait_for(lambda: len(self.lines(out)) == 1)
            watcher.kill()
            watcher.wait()
        with out.open("a") as file:
            file.write('{"image": "b.p')  # as a kill leaves it
        (folder / "b.png").write_bytes(content_of("png", 2))
        with running("folder_watcher.py", *arguments) as watcher:
            wait_for(lambda: len(self.lines(out)) == 2)
            os.utime(folder / "a.png", (1_000_000_000, 1_000_000_000))  # as good as another image
            wait_for(lambda: len(self.lines(out)) == 3)
            watcher.send_signal(signal.SIGTERM)
            assert watcher.wait(20) == 0
        assert [each["image"] for each in self.lines(out)] == ["a.png", "b.png", "a.png"]

    def test_no_bundle_and_no_folder(self, bundle: Path, tmp_path: Path) -> None:
        for arguments in ((tmp_path, tmp_path, tmp_path / "o"), (bundle, tmp_path / "none", tmp_path / "o")):
            with running("folder_watcher.py", *arguments, "--every", 0.05) as watcher:
                assert watcher.wait(60) == 2
                assert watcher.stderr is not None
                assert watcher.stderr.read().startswith("folder_watcher: error: ")


@pytest.fixture(scope="module")
def port(bundle: Path) -> Iterator[int]:
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    port = free_port()
    limits = ("--max-bytes", 20_000, "--seconds", 1.5, "--at-once", 2)
    with running("http_endpoint.py", bundle, "--port", port, *limits) as server:
        wait_for(lambda: alive(port) or server.poll() is not None)
        yield port


class TestHttpEndpoint:
    def test_classes(self, port: int, bundle: Path) -> None:
        contents = [content_of("jpeg", 3), content_of("png", 4)]
        answers = [asked(port, "POST", "/classify", content) for content in contents]
        assert [status for status, _ in answers] == [200, 200]
        assert [told["classes"] for _, told in answers] == by_runtime(bundle, contents)
        status, told = asked(port)
        assert (status, told["ok"]) == (200, True)
        assert told["images"] >= 2

    def test_what_is_no_image(self, port: int) -> None:
        for body in (b"", b"text", content_of()[:300]):
            status, words = asked(port, "POST", "/classify", body)
            assert status == 400
            assert words
        assert asked(port, "GET", "/classify")[0] == 405
        assert asked(port, "GET", "/elsewhere")[0] == 404

    def test_a_body_that_is_too_large(self, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:  # of no stated length
            client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            client.sendall(b"5000\r\n" + b"x" * 0x5000 + b"\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 413")
        assert alive(port)

    def test_a_body_that_does_not_come_keeps_nobody_waiting(self, port: int) -> None:
        head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
        clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(5)]
        for client in clients:  # more than may be in work
            client.sendall(head)
        time.sleep(0.3)
        assert asked(port, "POST", "/classify", content_of())[0] == 200
        assert [client.recv(100)[:12] for client in clients] == [b"HTTP/1.1 408"] * 5
        for client in clients:
            client.close()

    def test_bodies_hold_no_more_together_than_images_in_work_may(self, port: int) -> None:
        head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + b"x" * 19_000
        clients = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3)]
        for client in clients[:2]:
            client.sendall(head)
        time.sleep(0.3)
        clients[2].sendall(head)
        assert clients[2].recv(100).startswith(b"HTTP/1.1 503")
        assert [client.recv(100)[:12] for client in clients[:2]] == [b"HTTP/1.1 408"] * 2
        for client in clients:
            client.close()
        assert asked(port, "POST", "/classify", content_of())[0] == 200

    def test_one_who_hangs_up_gives_the_place_back(self, port: int) -> None:
        for _ in range(4):  # more than there are places
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
            time.sleep(0.1)
        assert asked(port, "POST", "/classify", content_of())[0] == 200

    def test_a_network_that_takes_too_long(self) -> None:
        pytest.importorskip("starlette")
        uvicorn = pytest.importorskip("uvicorn")
        spec = importlib.util.spec_from_file_location("http_endpoint", SAMPLES / "http_endpoint.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        done = threading.Event()

        class Slow:
            def classify(self, body: bytes) -> list[tuple[str, float]]:
                done.wait(20)
                return [("a", 1.0)]

            def counters(self) -> dict[str, Any]:
                return {}

        port = free_port()
        app = module.make_app(Slow(), max_bytes=1000, seconds=0.3, at_once=1)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
        thread.start()
        try:
            wait_for(lambda: alive(port))
            assert asked(port, "POST", "/classify", b"x")[0] == 504
            assert asked(port, "POST", "/classify", b"x")[0] == 503  # it still works on the first
            done.set()
            wait_for(lambda: asked(port, "POST", "/classify", b"x")[0] == 200)
        finally:
            done.set()
            server.should_exit = True
            thread.join(20)


class TestCameraLoop:
    def test_a_video(self, bundle: Path, tmp_path: Path) -> None:
        cv2 = pytest.importorskip("cv2")
        dice = random.Random(1)
        video = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
        for _ in range(7):
            video.write(np.full((48, 64, 3), [dice.randrange(256) for _ in range(3)], np.uint8))
        video.release()
        self.check(bundle, str(tmp_path / "v.avi"), ["--every", 2], [0, 2, 4, 6])

    def test_a_sequence_of_images_is_seen_in_rgb(self, bundle: Path, tmp_path: Path) -> None:
        pytest.importorskip("cv2")
        contents = [content_of("png", seed) for seed in range(3)]
        for index, content in enumerate(contents):
            (tmp_path / f"f{index:02}.png").write_bytes(content)
        lines = self.check(bundle, str(tmp_path / "f%02d.png"), ["--frames", 2], [0, 1])
        for line, wanted in zip(lines, by_runtime(bundle, contents[:2]), strict=True):
            assert {"label": line["label"], "probability": line["probability"]} == wanted[0]

    def check(self, bundle: Path, source: str, more: list[object], frames: list[int]) -> list[dict[str, Any]]:
        with running("camera_loop.py", bundle, source, *more) as camera:
            out, err = camera.communicate(timeout=100)
        assert camera.returncode == 0, err
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["frame"] for line in lines] == frames
        assert f"{len(frames)} frames, median" in err
        return lines

    def test_no_such_video(self, bundle: Path, tmp_path: Path) -> None:
        pytest.importorskip("cv2")
        with running("camera_loop.py", bundle, tmp_path / "none.avi") as camera:
            out, err = camera.communicate(timeout=100)
        assert (camera.returncode, out) == (2, "")
        assert "camera_loop: error: cannot open" in err
