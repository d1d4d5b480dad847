"""The contract of report.json: reading it, and its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from edgekit.errors import InputError
from edgekit.json_files import json_file
from edgekit.report.model import Report

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_HINT: Final = "It is not a report of schema 1, or was changed by hand; build again."


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles that repeat the names of keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a report; `validate` also checks what it cannot say: names and intervals."""
    made = Report.model_json_schema(schema_generator=_Untitled)
    return {"$schema": DIALECT, "$id": "urn:edgekit:report:1", **made, "title": "edgekit report, schema 1"}


def validate(report: object) -> Report:
    """A report from the values that JSON has for it.

    Raises:
        InputError: the first fault, with its place in the report.
    """
    try:  # what is checked is what a file will hold: tuples become lists, NaN has no word
        text = json.dumps(report, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"The report cannot be written as JSON: {error}", "A value not measured is null.") from error
    try:
        # Half a surrogate pair is no text: the name of a file may hold one.
        return Report.model_validate_json(text.encode("utf-8", "replace"))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise InputError(f"The report is not valid at {_place(report, fault)}: {_what(fault)}", _HINT) from error


def _place(report: object, fault: ErrorDetails) -> str:
    """Where a fault is, as a path in JSON: steps into what is not there end it, since those name types."""
    place, here = "$", report
    for step in fault["loc"]:
        if isinstance(step, int):
            place += f"[{step}]"
        elif isinstance(here, Mapping) and (step in here or fault["type"] == "missing"):
            place += f".{step}"
        else:
            break
        try:
            here = here[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return place


def _what(fault: ErrorDetails) -> str:
    return fault["msg"].removeprefix("Value error, ")[:200]


def read(path: Path) -> Report:
    """Read and check a report: a report.json, or a bundle directory that holds one.

    Raises:
        InputError: missing, unreadable, not JSON, or not a valid report.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json_file(file)
    except FileNotFoundError as error:
        raise InputError(f"There is no report at {file}", "Give a report.json or the directory of a build.") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", "Check the path and its permissions.") from error
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}", "Give a report.json or the directory of a build.") from error
    try:
        return validate(report)
    except InputError as error:
        raise InputError(f"{file}: {error.what}", error.hint) from error
