"""The stage store: whole or not at all, checked, shared between processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.store import Store

JSON = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=4)


def hello(into: Path) -> None:
    (into / "x.txt").write_text("hello")


@given(JSON, JSON)
def test_a_key_is_of_content_alone(a: dict[str, object], b: dict[str, object]) -> None:
    store = Store(Path("unused"))
    assert (store.key("s", a) == store.key("s", b)) == (a == b)
    assert store.key("s", a) != store.key("t", a)
    assert store.key("s", dict(reversed(a.items()))) == store.key("s", a)


def test_an_entry_is_made_once(tmp_path: Path) -> None:
    store, made = Store(tmp_path), []
    key = store.key("s", {})

    def make(into: Path) -> None:
        made.append(1)
        hello(into)

    first, second = store.build(key, "s", make), store.build(key, "s", make)
    assert (first.cached, second.cached, len(made)) == (False, True, 1)
    assert (second.path / "x.txt").read_text() == "hello"
    assert [row.stage for row in store.ls()] == ["s"]


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fail(into: Path) -> None:
        hello(into)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.build(store.key("s", {}), "s", fail)
    assert store.ls() == []
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("damage", ["change", "remove", "record", "another"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, damage: str) -> None:
    store = Store(tmp_path)
    key = store.key("s", {})
    path = store.build(key, "s", hello).path
    if damage == "change":
        (path / "x.txt").write_text("hullo")
    elif damage == "remove":
        (path / "x.txt").unlink()
    elif damage == "record":
        (path / "entry.json").write_text("{")
    else:
        other = Store(tmp_path / "other").build(store.key("t", {}), "t", lambda folder: None).path
        (path / "entry.json").write_bytes((other / "entry.json").read_bytes())
    assert store.get(key) is None
    assert store.verify()[0].problem is not None
    again = store.build(key, "s", hello)
    assert not again.cached
    assert store.verify()[0].problem is None


def test_verify_sees_a_change_that_keeps_size_and_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    file = store.build(store.key("s", {}), "s", hello).path / "x.txt"
    state = file.stat()
    file.write_text("HELLO")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert store.ls()[0].problem is None
    assert store.verify()[0].problem == "x.txt has changed"
    assert len(store.prune()) == 0  # pruning reads no files


def test_prune_by_size_age_and_all(tmp_path: Path) -> None:
    store = Store(tmp_path)
    entries = [store.build(store.key("s", {"n": n}), "s", hello).path for n in range(3)]
    os.utime(entries[0], (time.time() - 10 * 86_400,) * 2)
    assert [row.key for row in store.prune(older_than_days=5)] == [entries[0].name]
    size = store.ls()[0].size_bytes
    assert len(store.prune(max_bytes=size)) == 1
    assert len(store.prune(everything=True)) == 1
    assert store.ls() == []


SLOW = """
import sys, time, pathlib
from edgekit.store import Store
store = Store(pathlib.Path(sys.argv[1]))
def make(into):
    with open(sys.argv[2], "a") as log: log.write("made ")
    (into / "x.txt").write_text("hello")
    time.sleep(float(sys.argv[3]))
print(store.build(store.key("s", {}), "s", make).cached)
"""


def slow(root: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW, str(root), str(log), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_make_an_entry_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    both = [slow(tmp_path / "store", log, 1.0) for _ in range(2)]
    told = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert told == ["False", "True"]
    assert log.read_text() == "made "


def test_a_killed_build_leaves_no_entry_and_no_lock(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = slow(tmp_path / "store", log, 60)
    until = time.monotonic() + 30
    while not log.exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = Store(tmp_path / "store")
    assert store.ls() == []
    assert not store.build(store.key("s", {}), "s", hello).cached


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "x", mount], check=False).returncode
    ):
        pytest.skip("a small disk cannot be mounted here")
    try:
        store = Store(mount)
        with pytest.raises(InputError, match="full"):
            store.build(store.key("s", {}), "s", lambda into: (into / "x").write_bytes(b"0" * 1_000_000) and None)
        assert store.ls() == []
    finally:
        subprocess.run(["umount", mount], check=False)


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        store.build(store.key("s", {}), "s", hello)


def test_a_resumable_stage_goes_on_from_what_it_left(tmp_path: Path) -> None:
    store, seen = Store(tmp_path), []

    def make(into: Path) -> None:
        seen.append(sorted(path.name for path in into.iterdir()))
        (into / f"step-{len(seen)}").write_text("done")
        if len(seen) < 3:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            store.build("key", "s", make, resumable=True)
        assert store.get("key") is None
    entry = store.build("key", "s", make, resumable=True)
    assert seen == [[], ["step-1"], ["step-1", "step-2"]]
    assert sorted(path.name for path in entry.path.iterdir()) == ["entry.json", "step-1", "step-2", "step-3"]
    assert store.verify()[0].problem is None
    assert list((tmp_path / "unfinished").iterdir()) == []
    assert store.build("key", "s", make, resumable=True).cached


RESUMABLE = SLOW.replace('"s", make)', '"s", make, resumable=True)')


def test_a_killed_resumable_stage_keeps_what_it_has(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-c", RESUMABLE, str(tmp_path / "store"), str(log), "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    store = Store(tmp_path / "store")
    file = store.root / "unfinished" / store.key("s", {}) / "x.txt"
    while not (file.exists() and file.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left: list[str] = []
    store.build(store.key("s", {}), "s", lambda into: left.append((into / "x.txt").read_text()), resumable=True)
    assert left == ["hello"]


def test_who_waits_for_a_stage_is_told_for_whom(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = slow(tmp_path, log, 1.5)
    until = time.monotonic() + 30
    while not log.exists() and time.monotonic() < until:
        time.sleep(0.05)
    said: list[str] = []
    store = Store(tmp_path)
    assert store.build(store.key("s", {}), "s", pytest.fail, on_wait=said.append).cached
    process.communicate()
    assert said[0].startswith(f"waiting for process {process.pid} (")
    assert ", s, since " in said[0]
