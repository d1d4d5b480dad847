"""Sizes as they are told and as they are kept."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from edgekit.errors import InputError
from edgekit.recipe import Recipe, merged, to_yaml
from edgekit.size import plain, shown, size_of


@pytest.mark.parametrize(
    ("told", "size"),
    [
        (96, (96, 96)),
        ("96", (96, 96)),
        ("48x192", (48, 192)),
        (" 48 X 192 ", (48, 192)),
        ([48, 192], (48, 192)),
        ((48, 192), (48, 192)),
    ],
)
def test_a_size_is_read(told: Any, size: tuple[int, int]) -> None:
    assert size_of(told) == size
    assert size_of(plain(size)) == size_of(shown(size)) == size


@pytest.mark.parametrize("told", [0, -3, "0x5", "a", "3x", "3x4x5", [3], [3, 4, 5], [3, 4.0], True, None, 2.5, "٣x"])
def test_what_is_no_size_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="is no size"):
        size_of(told)


@pytest.mark.parametrize(("told", "kept"), [("48x192", [48, 192]), ([224, 224], 224), (96, 96)])
def test_a_recipe_keeps_a_square_as_one_number(told: Any, kept: Any) -> None:
    recipe = merged({}, {"preprocessing": {"size": told}})
    assert recipe.preprocessing.size == size_of(told)
    assert json.loads(recipe.model_dump_json())["preprocessing"]["size"] == kept
    assert Recipe.model_validate(yaml.safe_load(to_yaml(recipe))) == recipe


def test_a_recipe_says_what_a_size_is() -> None:
    with pytest.raises(InputError, match=r"preprocessing\.size.*48x192") as caught:
        merged({}, {"preprocessing": {"size": "wide"}})
    assert "'wide'" in caught.value.hint
