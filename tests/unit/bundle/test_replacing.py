"""A rebuild keeps what a user has put beside a bundle's files, and is never seen half done."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import manifest

from edgekit.bundle import replacing
from edgekit.bundle.directory import check_bundle, claim_directory, write_bundle
from edgekit.errors import InputError

OLD = {"a.txt": b"one", "left.txt": b"over"}
NEW = {"a.txt": b"three", "b.txt": b"two"}
DAY_NS = 86_400 * 10**9


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A bundle with a note, a folder and a link of the user's beside its files."""
    out = write_bundle(tmp_path / "out", OLD, manifest())
    (out / "mine" / "deep").mkdir(parents=True)
    (out / "mine" / "deep" / "plan.txt").write_text("plan")
    (out / "notes.txt").write_text("precious")
    (out / "link").symlink_to("notes.txt")
    for number, name in enumerate(("mine/deep/plan.txt", "mine/deep", "mine", "notes.txt")):
        os.utime(out / name, ns=(0, (number + 1) * DAY_NS))
    return out


def users(out: Path) -> dict[str, tuple[int, str]]:
    """What is the user's, with its times."""
    found = [out / "link", out / "notes.txt", out / "mine", *(out / "mine").rglob("*")]
    return {
        path.relative_to(out).as_posix(): (
            0 if path.is_symlink() else path.stat().st_mtime_ns,
            path.read_text() if path.is_file() else "",
        )
        for path in found
    }


USERS = ["link is not in the manifest", "mine is not in the manifest", "notes.txt is not in the manifest"]


@pytest.fixture(params=["exchange", "two steps", "copies"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ways that a system may leave: with renameat2, without it, and without hard links too."""
    if request.param != "exchange":
        monkeypatch.setattr(replacing, "_exchanged", lambda one, other: False)
    if request.param == "copies":

        def no_links(*arguments: object, **more: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", no_links)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_rebuild_keeps_what_is_the_users(out: Path) -> None:
    before = users(out)
    for files in (NEW, OLD, OLD, NEW):
        write_bundle(out, files, manifest())
        assert users(out) == before
        assert check_bundle(out) == USERS
        assert {name: (out / name).read_bytes() for name in files} == files
    assert not (out / "left.txt").exists()
    assert os.readlink(out / "link") == "notes.txt"
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_this_system_exchanges_in_one_step(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert replacing._exchanged(tmp_path / "a", tmp_path / "b")
    assert ((tmp_path / "a" / "b").exists(), (tmp_path / "b" / "a").exists()) == (True, True)
    assert not replacing._exchanged(tmp_path / "a", tmp_path / "nowhere")


def test_a_name_that_the_user_has_taken_is_refused(out: Path) -> None:
    (out / "b.txt").write_text("mine")
    (out / "left.txt").unlink()
    (out / "left.txt").mkdir()
    before = sorted(path.name for path in out.parent.rglob("*"))
    claim_directory(out)
    claim_directory(out, ["a.txt", "other.txt"])
    for attempt in (lambda: claim_directory(out, NEW), lambda: write_bundle(out, NEW, manifest())):
        with pytest.raises(InputError, match=r"out/b\.txt is not of the earlier bundle"):
            attempt()
    with pytest.raises(InputError, match=r"out/left\.txt is not of the earlier bundle"):
        write_bundle(out, OLD, manifest())
    assert sorted(path.name for path in out.parent.rglob("*")) == before
    assert (out / "b.txt").read_text() == "mine"


def test_a_link_to_a_bundle_stays_one(out: Path) -> None:
    (out.parent / "link").symlink_to("out")
    write_bundle(out.parent / "link", NEW, manifest())
    assert (out.parent / "link").is_symlink()
    assert (out / "a.txt").read_bytes() == b"three"


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Runs work in a forked child that is killed as it is about to do its `step`-th change; whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if event in CHANGES:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


CHANGES = {
    "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.chmod", "open", "shutil.rmtree",
    "ctypes.dlsym", "tempfile.mkdtemp",
}  # fmt: skip


def test_a_killed_rebuild_leaves_one_bundle_whole_and_the_users_files(out: Path, way: str) -> None:
    """Killed before each change that it makes to the disk."""
    before, seen, step = users(out), set(), 0
    while killed_at(step, lambda: write_bundle(out, NEW, manifest())):
        step += 1
        if way != "exchange":
            claim_directory(out)  # as the next build does
        wrong = check_bundle(out)
        assert wrong == USERS, (step, wrong)
        assert users(out) == before
        names = {path.name for path in out.iterdir()} - {"link", "mine", "notes.txt", "manifest.json"}
        seen.add("old" if names == set(OLD) else "new" if names == set(NEW) else str(names))
        if "new" in seen and names == set(NEW):
            write_bundle(out, OLD, manifest())
    assert seen == {"old", "new"}
    assert step > 20
    assert check_bundle(out) == USERS
