"""The path that applications open: swapped in one step, put back, and never where something else is."""

from __future__ import annotations

import os
from pathlib import Path

import bundles
import pytest

from edgekit.runtime.errors import BundleError
from edgekit.runtime.links import deploy, rollback


@pytest.fixture
def made(tmp_path: Path) -> list[str]:
    """Three folders that hold bundles."""
    return [str(bundles.make_bundle(tmp_path / name)) for name in ("one", "two", "three")]


def test_a_path_leads_to_what_was_deployed_last_and_back_again(made: list[str], tmp_path: Path) -> None:
    place = str(tmp_path / "deep" / "place")
    assert deploy(made[0], place) is None
    assert deploy(made[1], place) == made[0]
    assert os.readlink(place) == made[1]
    assert deploy(made[1], place) == made[1]  # again: the one before stays
    assert rollback(place) == made[0]
    assert rollback(place) == made[1]
    deploy(made[2], place)
    assert rollback(place) == made[1]
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["place", "place.previous"]


def test_there_is_nothing_to_go_back_to(made: list[str], tmp_path: Path) -> None:
    place = str(tmp_path / "place")
    with pytest.raises(BundleError, match="nothing is deployed to"):
        rollback(place)
    deploy(made[0], place)
    with pytest.raises(BundleError, match="there was no bundle at"):
        rollback(place)
    deploy(made[1], place)
    os.unlink(Path(made[0]) / "manifest.json")
    with pytest.raises(BundleError, match="is gone"):
        rollback(place)
    assert os.readlink(place) == made[1]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_link_is_left_alone(kind: str, made: list[str], tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir() if kind == "folder" else place.write_text("mine")
    with pytest.raises(BundleError, match="and no link"):
        deploy(made[0], str(place))
    assert not place.is_symlink()


def test_a_relative_path_is_in_the_home_folder(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    deploy(made[0], "models/signs")
    deploy(made[0], "~/other")
    assert os.readlink(tmp_path / "home" / "models" / "signs") == made[0]
    assert os.readlink(tmp_path / "home" / "other") == made[0]


def test_where_nothing_can_be_written_it_says_so(made: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="cannot be written"):
        deploy(made[0], str(tmp_path / "file" / "place"))
