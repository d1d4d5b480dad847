"""The schema of recipes is the recipe's own: what it refuses the recipe refuses, and the other way round."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from pydantic import BaseModel, ValidationError

from edgekit.recipe import Recipe
from edgekit.recipe_schema import FILE, LINE, is_schema, schema_text

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SCHEMA = json.loads(schema_text())
VALIDATOR = Draft7Validator(SCHEMA)


def parts(model: type[BaseModel] = Recipe, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every mapping of a recipe, with its place."""
    yield place, model
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from parts(field.annotation, (*place, name))


PARTS = dict(parts())


def at(place: tuple[str, ...], value: Any) -> Any:
    """A value inside of as many mappings as its place has names."""
    for name in reversed(place):
        value = {name: value}
    return value


def is_recipe(told: Any) -> bool:
    try:
        Recipe.model_validate(told)
    except ValidationError:
        return False
    return True


def test_the_committed_schema_is_the_recipes_own() -> None:
    written = (RECIPES / FILE).read_text(encoding="utf-8")
    assert written == schema_text(), "renew it: edgekit init --schema > recipes/recipe.schema.json"
    Draft7Validator.check_schema(SCHEMA)
    assert is_schema(RECIPES / FILE)
    assert not is_schema(RECIPES / "jetson.yaml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_right_and_name_the_schema_beside_them(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    assert text.splitlines()[0] == LINE
    assert list(VALIDATOR.iter_errors(told)) == []
    assert is_recipe(told)


def test_every_key_says_what_it_is() -> None:
    for place, model in PARTS.items():
        for name, field in model.model_fields.items():
            is_part = (*place, name) in PARTS
            assert is_part or field.description, f"{'.'.join((*place, name))} has no description"
    for name, told in SCHEMA["$defs"].items():
        assert told["description"], name


@given(st.sampled_from(sorted(PARTS)), st.text(st.sampled_from("abcdefgilmnoprstuw_"), min_size=1, max_size=12))
def test_unknown_keys_are_refused_by_both_and_known_ones_by_neither(place: tuple[str, ...], key: str) -> None:
    known = key in PARTS[place].model_fields
    errors = list(VALIDATOR.iter_errors(at((*place, key), "no value of any key")))
    refused = any(each.validator == "additionalProperties" for each in errors)
    assert refused == (not known)
    if not known:
        with pytest.raises(ValidationError, match="extra_forbidden"):
            Recipe.model_validate(at((*place, key), "no value of any key"))


@pytest.mark.parametrize("place", PARTS, ids=".".join)
def test_misspelt_keys_are_refused_by_both(place: tuple[str, ...]) -> None:
    model = PARTS[place]
    for name in model.model_fields:
        for wrong in (name[:-1], name + "s", name.replace("_", "-"), name.upper()):
            if wrong in model.model_fields:
                continue
            told = at(place, {wrong: 1})
            assert not VALIDATOR.is_valid(told)
            assert not is_recipe(told)


VALUES: tuple[tuple[str, tuple[Any, ...], tuple[Any, ...]], ...] = (
    ("model", ("x.onnx",), (5, None, [], True)),
    ("precision", ("int8", "mixed", "fp16"), ("int4", "INT8", 8, None)),
    ("prune", ("auto", "none", 0.3), (0, 1, 1.5, -0.2, "some", None)),
    ("width", (0.25, 1, None), (0, -1, 17, "wide")),
    ("images", (1, 2000, None), (0, -3, 1.5, "many")),
    ("skip_bad_images", (True, False), (None, [], 2)),
    ("task", ("embed", None), ("detect", 1)),
    ("max_drop", (0, 1.5), (-0.1, None, "little")),
    ("min_agreement", (0, 97.5, 100), (101, -1)),
    ("threshold", (-1, 0.5, None), (1.1, -2)),
    ("latency_budget_ms", (0.1, None), (0, -5)),
    ("decide", ("point", "bound"), ("both", None)),
    ("seed", (0, 2**63 - 1), (-1, 2**63, 1.5, "x", None)),
    ("output.layout", ("nchw", None), ("NCHW", 4)),
    ("calibration.strategy", ("coverage",), ("best", None)),
    ("calibration.seeds", (1, 3), (0, 1.5)),
    ("pruning.importance", ("taylor", None), ("sum",)),
    ("pruning.minutes", (0, 6.5, None), (-1,)),
    ("latency.runs", (10, 200), (9, None)),
    ("tensorrt.batch", ([1, 4], []), ([0], [2000], 4)),
    ("tensorrt.dla_core", (0, 3), (4, -1)),
    ("tensorrt.jetpack", ("6.2", None), (6.2,)),
    ("tensorrt.compute_capabilities", (["8.9"], None), ("8.9", [8.9])),
    ("tensorrt", ({},), (None, [], 3)),
    ("preprocessing.size", (299, "48x192", [48, 192], None), (0, 16_385, "48x", [48], [1, 2, 3])),
    ("preprocessing.mean", (0.5, [0.5], [0.1, 0.2, 0.3], None), ([0.1, 0.2], "grey", [0.1] * 4, [])),
    ("preprocessing.pad_color", (114, [0, 10, 255], [7], None), (256, [1, 2], -1, [0, 0, 300])),
    ("preprocessing.scale", (1, 255, None), (128, "255")),
    ("preprocessing.pad_align", ("top-left", None), ("middle",)),
    ("preprocessing.crop_fraction", (1, 0.875), (0, 1.5)),
)
"""A key, what it takes, and what it does not."""


@pytest.mark.parametrize(("key", "right", "wrong"), VALUES, ids=lambda each: each if isinstance(each, str) else "")
def test_values_are_taken_and_refused_by_both(key: str, right: tuple[Any, ...], wrong: tuple[Any, ...]) -> None:
    place = tuple(key.split("."))
    for taken, values in ((True, right), (False, wrong)):
        for value in values:
            told = at(place, value)
            assert (VALIDATOR.is_valid(told), is_recipe(told)) == (taken, taken), f"{key}: {value!r}"


def test_a_recipe_as_edgekit_writes_it_is_taken() -> None:
    assert list(VALIDATOR.iter_errors(Recipe().model_dump(mode="json"))) == []
