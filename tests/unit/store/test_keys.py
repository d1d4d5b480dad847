"""What decides a result as plain values: equal just where the same is decided, and told apart by type and content."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from edgekit.store.keys import NOT_IN_KEY, canonical


class Way(Enum):
    FAST = 1
    SMALL = 2


class OtherWay(Enum):
    FAST = 1


@dataclass(frozen=True)
class Place:
    size: int
    where: Path | str = field(default="", metadata=NOT_IN_KEY)


@dataclass(frozen=True)
class Spot:
    size: int


@dataclass(frozen=True)
class Images:
    digest: str
    folder: str


@dataclass(frozen=True)
class Photos:
    digest: str


class Asked(BaseModel):
    runs: int


class Wanted(BaseModel):
    runs: int


DIFFERENT: list[Any] = [
    *(None, True, 1, 1.5, "1", "", [], [1, [2]], [1, 2]),
    *(Way.FAST, Way.SMALL, OtherWay.FAST),
    *(Place(3), Place(4), Spot(3)),
    *(Images("ab", ""), Images("cd", ""), Photos("ab")),
    *(Asked(runs=1), Asked(runs=2), Wanted(runs=1)),
    *(["set", 1, 2], ["map", ["a", 1]], ["Place", {"size": 3}], ["Way", "FAST"], ["Images", "ab"], ["list"]),
    *({1, 2}, {1, 3}, {}, {"a": 1}, {"a": 2}, {"b": 1}, {1: "a"}, {"a": Place(3)}, {"a": Place(4)}),
]


def test_what_differs_in_type_or_content_is_told_apart() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert json.dumps(canonical(one)) != json.dumps(canonical(other)), (one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1, 2), [1, 2]),
        (range(3), [0, 1, 2]),
        ({"b": 1, "a": {2: 3, "c": None}}, {"a": {"c": None, 2: 3}, "b": 1}),
        (frozenset({"x", 3, None, Way.FAST}), {None, Way.FAST, "x", 3}),
        (Place(3, Path("/here")), Place(3, "there")),
        (Images("ab", "here"), Images("ab", "there")),
    ],
)
def test_what_decides_the_same_is_the_same(one: Any, other: Any) -> None:
    assert canonical(one) == canonical(other)


def test_how_it_is_written_stays_since_stores_know_it_so() -> None:
    assert canonical({3, "a"}) == ["set", "a", 3]
    assert canonical(("a", [2])) == ["list", "a", ["list", 2]]
    assert canonical({"b": Way.SMALL, 1: Images("ab", "")}) == ["map", ["b", ["Way", "SMALL"]], [1, ["Images", "ab"]]]
    assert canonical(Place(3, "here")) == ["Place", {"size": 3}]
    assert canonical(Asked(runs=2)) == ["Asked", {"runs": 2}]


@pytest.mark.parametrize(("value", "kind"), [(print, "builtin_function"), (np.zeros(2), "ndarray"), (Place, "type")])
def test_what_cannot_be_told_is_refused_by_its_type(value: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"an input holds a {kind}"):
        canonical([value])
