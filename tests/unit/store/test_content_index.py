"""The content index: what is unchanged is not read again, and what changed is never taken for what it was."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.store import ContentIndex, Store
from edgekit.store import index as module

STEP_S = 0.02


@pytest.fixture
def fine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """File times here are of a clock that steps every few milliseconds: tests need not wait for that of FAT."""
    monkeypatch.setattr(module, "STEP_NS", int(STEP_S * 1e9))


def settle() -> None:
    """Waits until what was written is old enough to be kept."""
    time.sleep(1.5 * STEP_S)


class Reader:
    """Says of every file that it is a whole image, and counts."""

    def __init__(self) -> None:
        self.read: list[bytes] = []

    def __call__(self, content: bytes) -> bool:
        self.read.append(content)
        return content != b"broken"


def look(root: Path, folder: Path, *names: str, reader: str = "one") -> tuple[list[str], int]:
    """SHA-256 of files as a process of its own would find them, and how many were read for that."""
    known, counted = ContentIndex(root).folder(folder, reader), Reader()
    found = [known.image(name, counted, 1 << 20).sha256 for name in names]
    known.save()
    return found, len(counted.read)


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("fine_clock")
def test_what_is_unchanged_is_read_once(tmp_path: Path) -> None:
    root, folder = tmp_path / "store", tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    names = ["a", "deep/ü\udcff", "broken"]
    for name in names:
        (folder / name).write_bytes(name.encode("utf-8", "surrogateescape"))
    settle()
    assert look(root, folder, *names) == ([sha(os.fsencode(name)) for name in names], 3)
    assert look(root, folder, *names) == ([sha(os.fsencode(name)) for name in names], 0)
    known = ContentIndex(root).folder(folder, "one")
    assert [known.find(name).whole for name in names] == [True, True, False]  # type: ignore[union-attr]


@pytest.mark.usefixtures("fine_clock")
@pytest.mark.parametrize("how", ["written in place", "moved over it", "copied over it with its times", "another link"])
def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path, how: str) -> None:
    root, file, other = tmp_path / "store", tmp_path / "data" / "x", tmp_path / "y"
    file.parent.mkdir()
    file.write_bytes(b"one")
    other.write_bytes(b"two")
    times = file.stat()
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    settle()
    assert look(root, file.parent, "x")[0] == [sha(b"one")]
    if how == "written in place":
        file.write_bytes(b"two")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    elif how == "moved over it":
        other.rename(file)
    elif how == "copied over it with its times":
        shutil.copy2(other, file)
    else:
        file.unlink()
        file.symlink_to(other)
    assert file.stat().st_mtime_ns == times.st_mtime_ns
    assert file.stat().st_size == times.st_size
    settle()
    assert look(root, file.parent, "x") == ([sha(b"two")], 1)


def test_a_file_just_written_is_read_again(tmp_path: Path) -> None:
    """It could change once more within the clock's step, and look the same."""
    file = tmp_path / "data" / "x"
    file.parent.mkdir()
    file.write_bytes(b"one")
    assert look(tmp_path / "store", file.parent, "x")[1] == 1
    assert look(tmp_path / "store", file.parent, "x")[1] == 1
    os.utime(file, (0, 0))  # as cp -p leaves it: its ctime is young
    assert look(tmp_path / "store", file.parent, "x")[1] == 1
    assert look(tmp_path / "store", file.parent, "x")[1] == 1


@given(st.lists(st.tuples(st.sampled_from("wrmtl"), st.sampled_from("ab"), st.sampled_from("ab")), max_size=8))
@settings(max_examples=12, deadline=None)
def test_no_sequence_of_changes_deceives_it(steps: list[tuple[str, str, str]]) -> None:
    before, module.STEP_NS = module.STEP_NS, int(STEP_S * 1e9)  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as made:
            folder, root = Path(made) / "data", Path(made) / "store"
            folder.mkdir()
            for name in "ab":
                (folder / name).write_text(name)
                os.utime(folder / name, (0, 0))
            for number, (what, one, other) in enumerate(steps):
                file = folder / one
                if what == "w":
                    file.write_text(str(number))
                elif what == "r":
                    shutil.copy2(folder / other, folder / "new")
                    (folder / "new").rename(file)
                elif what == "m":
                    file.write_text(str(number))
                    os.utime(file, (0, 0))
                elif what == "t":
                    settle()
                else:
                    file.unlink()
                    os.link(folder / ("b" if one == "a" else "a"), file)
                assert look(root, folder, "a", "b")[0] == [sha((folder / name).read_bytes()) for name in "ab"]
    finally:
        module.STEP_NS = before  # type: ignore[misc]


@pytest.mark.usefixtures("fine_clock")
def test_another_reader_looks_again_but_hashes_stay(tmp_path: Path) -> None:
    root, folder = tmp_path / "store", tmp_path / "data"
    folder.mkdir()
    (folder / "x").write_bytes(b"x")
    settle()
    look(root, folder, "x", reader="one")
    newer = ContentIndex(root).folder(folder, "two").find("x")
    assert newer is not None
    assert (newer.sha256, newer.whole) == (sha(b"x"), None)
    assert look(root, folder, "x", reader="two")[1] == 1
    assert look(root, folder, "x", reader="two")[1] == 0


@pytest.mark.usefixtures("fine_clock")
def test_hashing_alone_leaves_what_is_known_of_images(tmp_path: Path) -> None:
    root, folder = tmp_path / "store", tmp_path / "data"
    folder.mkdir()
    for name in "xy":
        (folder / name).write_text(name)
    settle()
    look(root, folder, "x")
    assert ContentIndex(root).sha256(folder / "y") == sha(b"y")
    assert ContentIndex(root).folder(folder).find("y") is not None
    assert look(root, folder, "x", "y") == ([sha(b"x"), sha(b"y")], 1)


@pytest.mark.usefixtures("fine_clock")
@given(place=st.floats(0, 1, exclude_max=True), cut=st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_damaged_file_counts_as_empty(place: float, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as made:
        root, folder = Path(made) / "store", Path(made) / "data"
        folder.mkdir()
        (folder / "x").write_text("x")
        settle()
        look(root, folder, "x")
        (file,) = (root / "index").iterdir()
        content = bytearray(file.read_bytes())
        at = int(place * len(content))
        content[at] ^= 1
        file.write_bytes(content[:at] if cut else content)
        assert [row.problem for row in Store(root).others(thorough=True)] == ["its checksum is not that of its content"]
        assert look(root, folder, "x") == ([sha(b"x")], 1)
        assert look(root, folder, "x") == ([sha(b"x")], 0)


SAVING = """
import sys, pathlib
from edgekit.store import ContentIndex
known = ContentIndex(pathlib.Path(sys.argv[1])).folder(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for name in sys.argv[3:]:
    known.sha256(name)
    known.save()
"""


def test_processes_add_to_each_other(tmp_path: Path) -> None:
    root, folder = tmp_path / "store", Path(module.__file__).parent
    names = sorted(file.name for file in folder.glob("*.py"))
    assert len(names) > 5
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVING, str(root), str(folder), *names[first::3]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"  # all have read the empty index
    for process in processes:
        assert process.communicate("go\n", timeout=60) == ("", None)
    known = ContentIndex(root).folder(folder)
    found = [known.find(name) for name in names]
    assert [content and content.sha256 for content in found] == [sha((folder / name).read_bytes()) for name in names]
    assert list((root / "locks").iterdir()) == []


@pytest.mark.usefixtures("fine_clock")
def test_files_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    root, folder = tmp_path / "store", tmp_path / "data"
    folder.mkdir()
    for name in "xyz":
        (folder / name).write_text(name)
    settle()
    look(root, folder, "x", "y")
    (folder / "x").unlink()
    look(root, folder, "z")
    (file,) = (root / "index").iterdir()
    assert file.read_bytes().endswith(b"y\0z")


def test_a_store_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = Path(module.__file__)
    for _ in range(2):
        assert ContentIndex(tmp_path / "file").sha256(file) == sha(file.read_bytes())
    with pytest.raises(FileNotFoundError):
        ContentIndex(tmp_path / "file").sha256(tmp_path / "nowhere")
