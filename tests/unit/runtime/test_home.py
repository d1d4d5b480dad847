"""Where a user's own files go, with and without a home."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.runtime import home, kept
from edgekit.runtime.errors import BundleError
from edgekit.store.root import default_root, give_home

UNSET = ("HOME", "EDGEKIT_CACHE", "EDGEKIT_ENGINES", "XDG_CACHE_HOME")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Makes this process one of a user without home and name; gives the temporary folder's one for it."""

    def unknown(number: int) -> None:
        raise KeyError(number)

    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"edgekit-{os.getuid()}"


def test_a_home_is_that_of_the_environment_or_of_the_password_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    assert (home.home(), home.expanded("~/x"), home.expanded("~")) == ("/somewhere", "/somewhere/x", "/somewhere/")
    assert home.expanded("/a/~/b") == "/a/~/b"
    for value in (None, ""):
        monkeypatch.delenv("HOME") if value is None else monkeypatch.setenv("HOME", value)
        assert home.home() == pwd.getpwuid(os.getuid()).pw_dir


def test_without_a_home_a_folder_of_this_user_takes_its_place(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home.home() is None
    assert default_root() == nobody / ".cache" / "edgekit"
    assert nobody.stat().st_mode & 0o777 == 0o700
    assert kept.place() == str(nobody / ".cache" / "edgekit" / "engines")
    assert give_home() == str(nobody) == os.environ.pop("HOME")
    monkeypatch.setenv("EDGEKIT_CACHE", "~/mine")
    assert default_root() == nobody / "mine"


def test_a_named_cache_needs_no_other_folder(nobody: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    assert give_home() is None
    assert os.environ.pop("HOME") == str(tmp_path / "cache")
    assert not nobody.exists()


@pytest.mark.parametrize("made", ["open", "file", "link"])
def test_what_others_may_have_put_there_is_not_used(made: str, nobody: Path, tmp_path: Path) -> None:
    if made == "open":
        nobody.mkdir()
        nobody.chmod(0o777)
    elif made == "file":
        nobody.write_text("")
    else:
        (tmp_path / "other").mkdir(mode=0o700)
        nobody.symlink_to(tmp_path / "other")
    for asked in (default_root, give_home):
        with pytest.raises(InputError, match="no home folder") as refused:
            asked()
        assert "EDGEKIT_CACHE" in refused.value.hint
    with pytest.raises(BundleError, match="set EDGEKIT_ENGINES"):
        kept.place()
