"""The space of a search: what it asks, what it refuses, and the recipes that settings make."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.build.plan import planned
from edgekit.cluster.search.request import with_whole_paths
from edgekit.cluster.search.space import (
    Setting,
    Space,
    applies,
    check,
    questions,
    read_space,
    usual_setting,
    usual_space,
)
from edgekit.errors import InputError
from edgekit.recipe import Recipe, merged
from edgekit.store import Store


def space_of(tmp_path: Path, text: str, usual: Space | None = None) -> Space:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path, usual or Space())


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("prunning: [none]", "unknown key 'prunning' in the space", "'pruning'"),
        ("pruning: [1.5]", "'pruning.0' in the space is wrong: Value error, give none, auto, or a share", "1.5"),
        ("pruning: [half]", "'pruning.0' in the space is wrong", "half"),
        ("pruning: []", "'pruning' in the space is wrong", "[]"),
        ("precisions: [int4]", "'precisions.0' in the space is wrong", "int4"),
        ("sizes: [0]", "'sizes.0' in the space is wrong", "0"),
        ("- none", "the space ", ""),
        ("pruning: [", "cannot read the space", ""),
    ],
)
def test_what_is_no_space_is_refused_by_its_key(tmp_path: Path, text: str, what: str, hint: str) -> None:
    with pytest.raises(InputError) as refused:
        space_of(tmp_path, text)
    assert what in refused.value.what
    assert hint in refused.value.hint


def test_what_a_file_does_not_name_stays_as_it_is(tmp_path: Path) -> None:
    usual = Space(pruning=("none", 0.5), importances=("fisher",))
    found = space_of(tmp_path, "importances: [taylor, magnitude, taylor]\nsizes: [64, 48x96]", usual)
    assert found.pruning == ("none", 0.5)
    assert found.importances == ("taylor", "magnitude")
    assert found.sizes == ((64, 64), (48, 96))


def test_ordered_choices_are_sorted_from_the_slow_to_the_fast() -> None:
    asked = {each.field: each for each in questions(Space(pruning=(0.4, "auto", 0.8, "none"), widths=(0.5, 1.0)))}
    assert asked["pruning"].choices == ("none", "auto", 0.8, 0.4)
    assert asked["width"].choices == (1.0, 0.5)
    assert set(asked) == {"pruning", "width"}


def test_a_question_that_makes_no_difference_is_not_asked() -> None:
    asked = {
        each.field: each for each in questions(Space(importances=("fisher", "taylor"), calibration_images=(8, 16)))
    }
    assert not applies(asked["importance"], {"pruning": "none"})
    assert applies(asked["importance"], {"pruning": 0.5})
    assert not applies(asked["calibration_images"], {"precision": "bf16"})
    assert applies(asked["calibration_images"], {"precision": "mixed"})


def test_a_setting_is_laid_over_a_recipe() -> None:
    base = merged({}, {"model": "inception_v4", "latency_budget_ms": 3.0, "calibration": {"seeds": 2}})
    made = Setting(pruning=0.5, importance="taylor", size=(96, 96), calibration_images=50).recipe(base)
    assert (made.prune, made.pruning.latency_share, made.latency_budget_ms) == ("auto", 0.5, None)
    assert made.pruning.importance == "taylor"
    assert made.preprocessing.size == (96, 96)
    assert (made.calibration.images, made.calibration.seeds) == (50, 2)
    assert Recipe.model_validate(made.model_dump()) == made
    assert Setting(pruning="none").recipe(base).prune == "none"


def test_the_usual_space_fits_the_shipped_networks(tmp_path: Path) -> None:
    plan = planned(Recipe(), Store(tmp_path))
    space = usual_space(plan)
    assert {"none", "auto", 0.55} <= set(space.pruning)
    assert space.sizes is not None
    assert plan.source.preprocessing.size in space.sizes
    assert space.precisions is not None
    assert space.precisions[0] == "int8"
    first = usual_setting(space, plan)
    assert first.recipe(plan.recipe).prune == "auto"
    assert first.calibration_images == 300
    check(space, plan)


@pytest.mark.parametrize(
    ("space", "what"),
    [
        (Space(runtimes=("tensorrt",)), "'runtimes' in the space: --target cpu has no tensorrt"),
        (Space(precisions=("fp16",)), "'precisions' in the space: cpu has no fast fp16"),
        (Space(pruning=("none",), precisions=("int8",)), "nothing to search"),
    ],
)
def test_what_the_target_has_not_is_refused(tmp_path: Path, space: Space, what: str) -> None:
    with pytest.raises(InputError, match=what):
        check(space, planned(Recipe(), Store(tmp_path)))


def test_a_recipe_that_prunes_channels_is_refused(tmp_path: Path) -> None:
    plan = planned(Recipe(prune=0.3), Store(tmp_path))
    with pytest.raises(InputError, match="one of the channels"):
        usual_setting(Space(pruning=("none", 0.5)), plan)


def test_files_are_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    made = with_whole_paths(merged({}, {"data": "photos", "pruning": {"train_data": "signs"}, "model": "inception_v4"}))
    assert (made.data, made.pruning.train_data, made.model) == (str(tmp_path / "photos"), "signs", "inception_v4")
