"""The sample apps in processes of their own, and what asks the one that answers over HTTP."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[1] / "docs" / "samples"


def content_of(kind: str = "jpeg", seed: int = 0, size: tuple[int, int] = (70, 50)) -> bytes:
    dice = np.random.Generator(np.random.PCG64(seed))
    into = io.BytesIO()
    Image.fromarray(dice.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize(size).save(into, kind)
    return into.getvalue()


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


@contextmanager
def running(name: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """A sample in a process of its own; it must not be left behind."""
    command = [sys.executable, str(SAMPLES / name), *map(str, arguments)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asked(port: int, method: str = "GET", path: str = "/healthz", body: bytes | None = None) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read().decode()
        return answer.status, json.loads(content) if content.startswith("{") else content
    finally:
        connection.close()


def alive(port: int) -> bool:
    try:
        return asked(port)[0] == 200
    except OSError:
        return False
