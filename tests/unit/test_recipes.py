"""recipes/: each parses, says what it is for, and gets through the plan of a build."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.recipe import Recipe, merged, read_yaml
from edgekit.targets import find

FOLDER = Path(__file__).resolve().parents[2] / "recipes"
NAMES = sorted(path.name for path in FOLDER.glob("*.yaml"))
SCHEMA = "# yaml-language-server: $schema=./recipe.schema.json"
NEEDS = {
    "own-onnx.yaml": "model.onnx",
    "ci-gate.yaml": "model.onnx",
    "imagenet.yaml": None,
    "face.yaml": "facenet_keras.h5",
}
"""What a recipe's network is read from, where it is not in the package; None: fetched."""


def recipe_of(name: str) -> Recipe:
    return merged(read_yaml(FOLDER / name), {})


def test_the_uses_are_all_there() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| \[([\w.-]+)\]", index, re.MULTILINE)) == NAMES
    assert len(NAMES) == 9


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is_for(name: str) -> None:
    first, *lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    assert first == SCHEMA
    comment = [line for line in lines if line.startswith("#")]
    for word in ("What for", "There first", "Command", "Comes out"):
        assert sum(line.startswith(f"# {word}  ") for line in comment) == 1, word
    assert all(len(line) <= 125 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_recipe_of_a_target(name: str) -> None:
    recipe = recipe_of(name)
    target = find(recipe.target)
    assert recipe.precision in target.precisions
    if recipe.tensorrt.jetpack:
        assert any(each.jetpack == recipe.tensorrt.jetpack for each in target.releases)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NEEDS])
def test_the_plan_is_made_of_it(name: str, own_store: Path) -> None:
    from edgekit.build.plan import planned
    from edgekit.store import Store

    if name == "rtx.yaml":
        from edgekit.backends import backend

        if backend("tensorrt-rtx").available() is None:
            pytest.skip("TensorRT for RTX is not here")
    plan = planned(recipe_of(name), Store(own_store))
    assert plan.target.name == find(recipe_of(name).target).name
    assert plan.wanted == recipe_of(name).precision


@pytest.mark.parametrize("name", [name for name, file in NEEDS.items() if file])
def test_the_plan_asks_for_the_file_that_it_names(
    name: str, own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgekit.build.plan import planned
    from edgekit.store import Store

    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(str(NEEDS[name]))):
        planned(recipe_of(name), Store(own_store))
