"""What decides a result is in its key: every field of every stage's input, the packages, and the code that is run."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from pydantic import BaseModel

import edgekit.build
import edgekit.cluster
from edgekit.build import stage as stages
from edgekit.build.executor import ByReference, Executor, Here, OnDevice
from edgekit.build.stage import File, Stage
from edgekit.data.calibration import CalibrationData, CalibrationItem, CalibrationSet
from edgekit.data.image_set import ImageSet
from edgekit.data.signs_set import SignsSet
from edgekit.prune.sources import PruningImages
from edgekit.store.keys import canonical

EXECUTORS = (Here, OnDevice, ByReference)


def every_stage() -> dict[str, Stage[Any, Any]]:
    """All stages that a module of edgekit.build or edgekit.cluster holds, by the module and the name there."""
    found: dict[int, tuple[str, Stage[Any, Any]]] = {}
    packages = (edgekit.build, edgekit.cluster)
    modules = [each for package in packages for each in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")]
    for module in modules:
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, Stage) and value.make.__module__ == module.name:
                found[id(value)] = (f"{module.name}.{name}", value)
    return dict(found.values())


STAGES = every_stage()


@dataclass(frozen=True)
class Change:
    """A value that differs from the base in one place, and whether that place decides anything."""

    place: str
    value: Any
    decides: bool


def calibration(number: int) -> CalibrationSet:
    items = (CalibrationItem("a", f"{number:064x}", 0),)
    return CalibrationSet("signs", None, "random", 0, None, items)


BY_DIGEST: dict[Any, Any] = {
    ImageSet: lambda n: SignsSet("calibration", 3 + n),
    CalibrationSet: calibration,
    CalibrationData: lambda n: CalibrationData(calibration(n), SignsSet("calibration", 3)),
    PruningImages: lambda n: PruningImages(None, True, None, f"images {n}"),  # type: ignore[arg-type]
}
"""Types whose `digest` stands for them, and how to make one that has another."""

LEAVES: dict[Any, tuple[Any, Any]] = {
    bool: (False, True),
    int: (1, 2),
    float: (1.0, 1.5),
    str: ("a", "b"),
    Path: (Path("a"), Path("b")),
}


def base(kind: Any) -> Any:
    """A value of a type."""
    if kind in BY_DIGEST:
        return BY_DIGEST[kind](0)
    if kind in LEAVES:
        return LEAVES[kind][0]
    if kind is Executor:
        return base(Here)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return inner[0]
    if origin in (Union, types.UnionType):
        return base(next(each for each in inner if each is not type(None)))
    if origin is tuple:
        return (base(inner[0]),) if inner[-1] is Ellipsis else tuple(base(each) for each in inner)
    if is_dataclass(kind):
        return kind(**{name: base(hint) for name, hint, _ in members(kind)})
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_construct(**{name: base(hint) for name, hint, _ in members(kind)})
    return object()  # what no key may look at


def members(kind: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name, type and whether it decides, of every field."""
    hints = get_type_hints(kind)
    if is_dataclass(kind):
        for each in fields(kind):
            yield each.name, hints[each.name], not each.metadata.get("not_in_key", False)
    else:
        for name in kind.model_fields:
            yield name, hints[name], True


def changes(kind: Any, place: str = "") -> Iterator[Change]:
    """Values of a type, each of which differs from its base in one place; all places come up."""
    if kind in BY_DIGEST:
        yield Change(place, BY_DIGEST[kind](1), True)
    elif kind in LEAVES:
        yield Change(place, LEAVES[kind][1], True)
    elif kind is Executor:
        yield from changes(Here, place)
        yield from (Change(f"{place}:{each.__name__}", base(each), True) for each in EXECUTORS[1:])
    elif get_origin(kind) is Literal:
        yield from (Change(place, each, True) for each in get_args(kind)[1:])
    elif get_origin(kind) in (Union, types.UnionType):
        inner = [each for each in get_args(kind) if each is not type(None)]
        yield from changes(inner[0], place)
        if len(inner) < len(get_args(kind)):
            yield Change(f"{place}:none", None, True)
    elif get_origin(kind) is tuple:
        inner = list(get_args(kind))
        if inner[-1] is Ellipsis:
            yield from (replace(each, value=(each.value,)) for each in changes(inner[0], f"{place}[]"))
            yield Change(f"{place}:empty", (), True)
        else:
            whole = [base(each) for each in inner]
            for at, part in enumerate(inner):
                for each in changes(part, f"{place}[{at}]"):
                    yield replace(each, value=(*whole[:at], each.value, *whole[at + 1 :]))
    elif is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        whole = base(kind)
        for name, hint, decides in members(kind):
            for each in changes(hint, f"{place}.{name}"):
                made = replace(whole, **{name: each.value}) if is_dataclass(kind) else whole.model_copy(
                    update={name: each.value}
                )  # fmt: skip
                yield Change(each.place, made, each.decides and decides)


def input_of(stage: Stage[Any, Any]) -> Any:
    return get_type_hints(stage.make)["given"]


def test_all_stages_are_found() -> None:
    assert {each.name for each in STAGES.values()} >= {
        *("export", "calibrate", "quantize", "prune", "recover", "tune", "compile", "validate", "measure", "explain"),
        "profile",
        "evaluate-shard",
    }


@pytest.mark.parametrize("name", STAGES)
def test_every_field_of_the_input_is_in_the_key(name: str) -> None:
    stage, kind = STAGES[name], input_of(STAGES[name])
    whole = stage.key(base(kind))
    assert whole == stage.key(base(kind)), "the same input has the same key"
    found = list(changes(kind))
    assert len(found) >= len(fields(kind))
    keys = {}
    for each in found:
        key = stage.key(each.value)
        assert (key != whole) is each.decides, f"{name} {each.place}"
        if each.decides:
            assert keys.setdefault(key, each.place) == each.place, f"{keys[key]} and {each.place} have the same key"


@pytest.mark.parametrize("kind", EXECUTORS)
def test_every_field_of_an_executor_decides_but_the_connection(kind: Any) -> None:
    whole = canonical(base(kind))
    for each in changes(kind):
        assert (canonical(each.value) != whole) is each.decides, each.place
    assert [name for name, _, decides in members(kind) if not decides] == (["connection"] if kind is OnDevice else [])


def test_packages_and_their_versions_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = next(each for each in STAGES.values() if each.name == "export")
    given = base(input_of(stage))
    before = stage.key(given)
    monkeypatch.setattr(stages, "installed_version", lambda package: "0")
    assert stage.key(given) != before
    assert replace(stage, packages=(*stage.packages, "click")).key(given) != stage.key(given)


def test_what_has_no_content_is_refused() -> None:
    for value in (object(), np.zeros(3), Path("a"), lambda: 0):
        with pytest.raises(TypeError, match="cannot be told"):
            canonical(value)


def test_files_are_told_by_content() -> None:
    assert canonical(File(Path("a"), "1")) == canonical(File(Path("b"), "1")) != canonical(File(Path("a"), "2"))
