"""Folders for a while: gone when left, and when their process was killed, by the next that wants one."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from edgekit.temporary import SUFFIX, sweep, temporary_folder


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def left_by_a_killed_process(parent: Path) -> Path:
    """A folder with something in it, whose process is no more."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        with temporary_folder(parent=parent) as folder:
            (folder / "half").write_text("x")
            os.write(theirs, os.fsencode(folder))
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(theirs)
    os.waitpid(child, 0)
    with os.fdopen(ours, "rb") as told:
        return Path(os.fsdecode(told.read()))


def test_it_is_gone_when_it_is_left(tmp_path: Path) -> None:
    with temporary_folder(parent=tmp_path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == []
    with pytest.raises(ValueError, match="fails"), temporary_folder(parent=tmp_path):
        raise ValueError("fails")
    assert names(tmp_path) == []


def test_the_next_one_removes_what_a_killed_process_left(tmp_path: Path) -> None:
    left = left_by_a_killed_process(tmp_path)
    assert (left / "half").exists()
    with temporary_folder(parent=tmp_path) as folder:
        assert names(tmp_path) == [folder.name]


def test_what_is_held_or_anybody_elses_stays(tmp_path: Path) -> None:
    for name in ("edgekit-data", "edgekit-abcdefgh", f"other-abcdefgh{SUFFIX}", f"edgekit-too-long-it-is{SUFFIX}"):
        (tmp_path / name).mkdir()
    (tmp_path / f"edgekit-abcdefgh{SUFFIX}").symlink_to("edgekit-data")
    before = names(tmp_path)
    with temporary_folder(parent=tmp_path) as held:
        with temporary_folder(parent=tmp_path):
            assert held.exists()
        sweep("edgekit-", tmp_path)
        assert held.exists()
    assert names(tmp_path) == before


def test_what_must_not_go_stays(tmp_path: Path) -> None:
    left = left_by_a_killed_process(tmp_path)
    with temporary_folder(parent=tmp_path, may_go=lambda folder: not (folder / "half").exists()):
        assert left.exists()
    sweep("edgekit-", tmp_path)
    assert not left.exists()


def test_many_at_once_do_not_take_each_others(tmp_path: Path) -> None:
    failed = []

    def work() -> None:
        for _ in range(200):
            with temporary_folder(parent=tmp_path) as folder:
                (folder / "file").write_text("x")
                if not (folder / "file").exists():
                    failed.append(folder)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    assert names(tmp_path) == []
