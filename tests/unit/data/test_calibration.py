"""Calibration sets: pinned, covering, and never what accuracy is measured on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data.calibration import (
    CalibrationData,
    check_disjoint,
    choose,
    class_coverage,
    indices_in,
    read,
    renamed,
    to_json,
)
from edgekit.data.folder import FolderSet, ImageFile, open_images
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError
from edgekit.recipe import find_shipped

SIGNS = SignsSet("calibration", 120)


@given(st.integers(1, 120), st.sampled_from(["random", "stratified", "coverage"]), st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_choice_has_the_asked_count_no_image_twice_and_repeats(count: int, strategy: str, seed: int) -> None:
    features = np.random.Generator(np.random.PCG64(seed)).normal(size=(120, 8)).astype(np.float32)
    chosen = choose(SIGNS, count, strategy, seed, features)
    assert len({item.sha256 for item in chosen.items}) == count
    assert chosen == choose(SIGNS, count, strategy, seed, features)


@given(st.integers(1, 5))
@settings(deadline=None)
def test_stratified_is_balanced(times: int) -> None:
    coverage = class_coverage(choose(SIGNS, 24 * times, "stratified", times))
    assert coverage == {"covered": 24, "of": 24, "fewest": times, "most": times}


def test_coverage_takes_the_far_ones_first() -> None:
    """Three tight clusters, one of them rare: greedy k-center takes one of each before a second of any."""
    dice = np.random.Generator(np.random.PCG64(0))
    centres = np.eye(3, dtype=np.float32)
    members = np.array([0] * 60 + [1] * 58 + [2] * 2)
    features = centres[members] + dice.normal(0, 0.01, (120, 3)).astype(np.float32)
    chosen = choose(SIGNS, 3, "coverage", 0, features)
    assert sorted(members[indices_in(chosen, SIGNS)]) == [0, 1, 2]


@given(st.integers(2, 40))
@settings(max_examples=20, deadline=None)
def test_coverage_is_within_twice_of_any_choice(count: int) -> None:
    """Gonzalez's bound, against random choices: the greedy radius is at most twice theirs."""
    dice = np.random.Generator(np.random.PCG64(count))
    features = dice.normal(size=(120, 4)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)

    def radius(indices: list[int]) -> float:
        return float(np.linalg.norm(unit[:, None] - unit[indices][None], axis=2).min(1).max())

    greedy = radius(indices_in(choose(SIGNS, count, "coverage", 0, features), SIGNS))
    assert all(greedy <= 2 * radius(dice.permutation(120)[:count].tolist()) + 1e-6 for _ in range(20))


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    chosen = choose(SIGNS, 48, "stratified", 3)
    path = tmp_path / "set.json"
    path.write_text(to_json(chosen))
    assert read(path) == chosen
    told = json.loads(path.read_text())
    assert told["class_coverage"]["covered"] == 24
    assert told["digest"] == chosen.digest


def test_a_tampered_manifest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text(to_json(choose(SIGNS, 4)).replace("calibration/", "calibration/1"))
    assert read(path)  # names are for people; contents are what is pinned
    told = json.loads(path.read_text())
    told["items"][0]["sha256"] = "0" * 64
    path.write_text(json.dumps(told))
    with pytest.raises(InputError, match="changed"):
        read(path)
    path.write_text("{}")
    with pytest.raises(InputError, match="no calibration manifest"):
        read(path)


def test_changed_and_missing_files_are_refused(photos: Callable[..., Path]) -> None:
    folder = photos()
    chosen = choose(open_images(folder), 6)
    named = folder / chosen.items[0].identifier
    named.write_bytes(
        (folder / "a" / "3.png").read_bytes() if named.name != "3.png" else (folder / "a/0.png").read_bytes()
    )
    with pytest.raises(InputError, match="1 images of the calibration set have changed"):
        indices_in(chosen, open_images(folder))
    named.unlink()
    with pytest.raises(InputError, match="are not there"):
        indices_in(chosen, open_images(folder))


def test_an_overlap_is_refused_by_content(photos: Callable[..., Path]) -> None:
    one, copy = open_images(photos("one")), open_images(photos("copy"))
    with pytest.raises(InputError, match="8 images are in both"):
        check_disjoint(choose(one, 8), copy)
    check_disjoint(choose(one, 8), open_images(photos("other", seed=9)))


def test_the_shipped_set_is_whole_and_apart_from_validation() -> None:
    path = find_shipped("calibration", "signs.json")
    assert path is not None
    chosen = read(path)
    assert len(indices_in(chosen, SignsSet("calibration"))) == 300
    check_disjoint(chosen, SignsSet("validation"))
    assert class_coverage(chosen)["covered"] == 24


def test_renamed_files_are_found_by_content(photos: Callable[..., Path]) -> None:
    folder = photos()
    chosen = choose(open_images(folder), 6)
    first, second = chosen.items[0].identifier, chosen.items[1].identifier
    (folder / first).rename(folder / "b" / "moved.png")
    (folder / second).rename(folder / first)  # its old name is another image's now
    pool = open_images(folder)
    found = indices_in(chosen, pool)
    assert [pool.content_hash(index) for index in found] == [item.sha256 for item in chosen.items]
    made = renamed(chosen, pool)
    assert [item.identifier for item in made.items[:2]] == ["b/moved.png", first]
    assert made.items[2:] == chosen.items[2:]
    assert made.digest == chosen.digest
    assert renamed(made, pool) == made


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_chosen_is_found_whatever_is_there_twice(contents: list[int], data: st.DataObject) -> None:
    files = [ImageFile(str(at), f"{at}.png", None, f"{content:064}") for at, content in enumerate(contents)]
    pool = FolderSet("pool", (), tuple(files))
    chosen = choose(pool, data.draw(st.integers(1, len(files))), "random", data.draw(st.integers(0, 9)))
    picked = [int(item.identifier.removesuffix(".png")) for item in chosen.items]
    assert indices_in(chosen, pool) == picked
    order = data.draw(st.permutations(files))
    elsewhere = FolderSet("pool", (), tuple(ImageFile(f.location, f"x{f.identifier}", None, f.sha256) for f in order))
    found = indices_in(chosen, elsewhere)
    assert [elsewhere.content_hash(index) for index in found] == [item.sha256 for item in chosen.items]
    assert len(set(found)) == len(found)
    assert [item.identifier for item in renamed(chosen, elsewhere).items] == [
        elsewhere.identifier(index) for index in found
    ]


def test_a_set_and_its_images_travel_as_one(photos: Callable[..., Path]) -> None:
    pool = open_images(photos())
    chosen = choose(pool, 5, "random", 1)
    data = CalibrationData(chosen, pool)
    assert [pool.identifier(index) for index in data.indices] == [item.identifier for item in chosen.items]
    assert data.digest == chosen.digest
    with pytest.raises(InputError, match="5 images of the calibration set are not there"):
        _ = CalibrationData(chosen, SIGNS).indices
