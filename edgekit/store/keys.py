"""What decides a result, as plain values that are equal just where the same is decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Final, TypeAlias

from pydantic import BaseModel

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

NOT_IN_KEY: Final[Mapping[str, bool]] = {"not_in_key": True}
"""Metadata of a field that cannot change a result: a place, a name for people, a cache of measured values."""


def canonical(value: object) -> Plain:
    """An input as plain values.

    A value with a `digest` stands for its content; fields marked NOT_IN_KEY are left out; types are told by name.

    Raises:
        TypeError: a value whose content cannot be told, such as a function or an array.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return [type(value).__name__, value.name]
    digest = getattr(value, "digest", None)
    if isinstance(digest, str):
        return [type(value).__name__, digest]
    if isinstance(value, BaseModel):
        return [type(value).__name__, {name: canonical(getattr(value, name)) for name in type(value).model_fields}]
    if is_dataclass(value) and not isinstance(value, type):
        kept = (each for each in fields(value) if not each.metadata.get("not_in_key"))
        return [type(value).__name__, {each.name: canonical(getattr(value, each.name)) for each in kept}]
    if isinstance(value, list | tuple | range):
        return ["list", *(canonical(each) for each in value)]
    if isinstance(value, set | frozenset):
        return ["set", *sorted((canonical(each) for each in value), key=json.dumps)]
    if isinstance(value, Mapping):
        return ["map", *sorted(([canonical(k), canonical(v)] for k, v in value.items()), key=json.dumps)]
    raise TypeError(f"an input holds a {type(value).__name__}, whose content cannot be told")
