"""The contract of report.json, and the check that a report keeps it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from edgekit.errors import InputError

Report = Mapping[str, Any]
"""A report as JSON holds it; schema.json beside this file says what is in it."""

_HINT = "It is not a report of schema 1, or was changed by hand; build again."


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a report."""
    parsed: dict[str, Any] = json.loads((files("edgekit.report") / "schema.json").read_text(encoding="utf-8"))
    return parsed


def validate(report: object) -> None:
    """Check a report against its schema, and what a schema cannot say: names and intervals.

    Raises:
        InputError: the first fault, with its place in the report.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    try:  # checked is what a file will hold: tuples become lists, NaN has no word
        plain = json.loads(json.dumps(report, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InputError(f"The report cannot be written as JSON: {error}", "A value not measured is null.") from error
    fault = best_match(Draft202012Validator(schema()).iter_errors(plain))
    if fault is not None:
        raise InputError(f"The report is not valid at {fault.json_path}: {fault.message[:200]}", _HINT)
    names = [variant["name"] for variant in plain["variants"]]
    if len(set(names)) != len(names):
        raise InputError("The report is not valid at $.variants: two have the same name", _HINT)
    if plain["chosen"] not in names:
        raise InputError(f"The report is not valid at $.chosen: no variant is named {plain['chosen']!r}", _HINT)
    for place, (low, high) in _intervals(plain, "$"):
        if low > high:
            raise InputError(f"The report is not valid at {place}: {low} is above {high}", _HINT)


def _intervals(value: Any, place: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """Every ci95 in a report, with its place."""
    if isinstance(value, list):
        for index, each in enumerate(value):
            yield from _intervals(each, f"{place}[{index}]")
    elif isinstance(value, dict):
        for key, each in value.items():
            if key == "ci95" and isinstance(each, list):
                yield f"{place}.{key}", (each[0], each[1])
            else:
                yield from _intervals(each, f"{place}.{key}")


def read(path: Path) -> dict[str, Any]:
    """Read and check a report: a report.json, or a bundle directory that holds one.

    Raises:
        InputError: missing, unreadable, not JSON, or not a valid report.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"There is no report at {file}", "Give a report.json or the directory of a build.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", "Check the path and its permissions.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON: {error}", "Give a report.json or the directory of a build.") from error
    try:
        validate(report)
    except InputError as error:
        raise InputError(f"{file}: {error.what}", error.hint) from error
    return report
