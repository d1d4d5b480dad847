"""Locks: held by one process at a time, free once it is gone, and they say who holds them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.store.locks import holder, if_free, is_held, locked

HOLDING = """
import sys, time, pathlib
from edgekit.store.locks import locked
with locked(pathlib.Path(sys.argv[1]), "key", "recover", lambda text: None):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holding(root: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock `key` until it is given a line."""
    command = [sys.executable, "-c", HOLDING, str(root)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_lock_says_who_holds_it(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        whose = holder(tmp_path / "locks" / "key")
        assert whose is not None
        assert (whose.pid, whose.host, whose.stage) == (process.pid, socket.gethostname(), "recover")
        assert whose.command.endswith(str(tmp_path))
        assert abs(whose.since - time.time()) < 600
        assert is_held(tmp_path / "locks" / "key")
        with if_free(tmp_path, "key", "s") as mine:
            assert not mine


def test_who_waits_is_told_at_once_and_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    said: list[str] = []
    with holding(tmp_path) as process:

        def on_wait(text: str) -> None:
            said.append(text)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

        with locked(tmp_path, "key", "recover", on_wait):
            assert process.wait(timeout=60) == 0
            assert holder(tmp_path / "locks" / "key").pid == os.getpid()  # type: ignore[union-attr]
    assert len(said) == 1
    assert re.fullmatch(rf"waiting for process {process.pid} \(.+, recover, since \d\d:\d\d\)", said[0])
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    with holding(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "locks" / "key").exists()
    assert not is_held(tmp_path / "locks" / "key")
    with locked(tmp_path, "key", "s", pytest.fail):
        pass


def test_a_child_of_a_killed_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    """Workers that load images are forked, and may outlive who forked them by seconds."""
    script = HOLDING.replace("    sys.stdin", "    import os\n    os.fork() or time.sleep(60)\n    sys.stdin")
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 60
    while not (child := children.read_text().split()) and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    try:
        while is_held(tmp_path / "locks" / "key") and time.monotonic() < until:
            time.sleep(0.01)  # it may not have come to letting go yet
        os.kill(int(child[0]), 0)  # it is there
        with locked(tmp_path, "key", "s", pytest.fail):
            pass
    finally:
        os.kill(int(child[0]), signal.SIGKILL)
        process.communicate()


COUNTING = """
import sys, pathlib
from edgekit.store.locks import locked
root, file = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
for _ in range(20):
    with locked(root, "key", "s", lambda text: None):
        file.write_text(str(int(file.read_text()) + 1))
"""


def test_many_processes_take_turns(tmp_path: Path) -> None:
    """Each removes the lock's file as it lets go, while others are about to lock it."""
    count = tmp_path / "count"
    count.write_text("0")
    command = [sys.executable, "-c", COUNTING, str(tmp_path / "store"), str(count)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 4
    assert count.read_text() == "80"


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"pid": "x"})])
def test_a_lock_that_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    assert holder(tmp_path / "key") is None


def test_a_lock_file_that_is_removed_as_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening a file and locking it, whoever had it may let go, and remove it."""
    path, flock, raced = tmp_path / "locks" / "key", fcntl.flock, []

    def racing(handle: int, how: int) -> None:
        if not raced:
            raced.append(handle)
            path.unlink()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", racing)
    with if_free(tmp_path, "key", "s") as mine:
        assert mine
        assert len(raced) == 1
        assert is_held(path)
