"""JSON from outside as plain values: no larger and no deeper than what takes it apart can follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

LONGEST: Final = 256 << 20
"""Bytes of a file: a calibration manifest has about 150 an image."""

DEEPEST: Final = 64
"""Lists and objects inside each other; a report has ten."""

MOST_DIGITS: Final = 40
"""Of a whole number: one of 400 cannot even be divided."""

TOO_DEEP: Final = f"it has more than {DEEPEST} lists and mappings inside each other"


def json_file(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, no text, no JSON, or nested too deeply.
    """
    return json_of(read_bounded(path, LONGEST).decode("utf-8"))


def json_of(content: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    try:
        told = json.loads(content, parse_int=_integer)
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    level, depth = [told], 0
    while level := [inner for each in level for inner in _inside(each)]:
        depth += 1
        if depth >= DEEPEST:
            raise ValueError(TOO_DEEP)
    return told


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """The content of a file, of which no more is read than it may have.

    Raises:
        OSError: it cannot be read.
        ValueError: it has more.
    """
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes >> 20} MiB")
    return content


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"it holds a number of more than {MOST_DIGITS} digits")
    return int(text)


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in inner if isinstance(each, dict | list)]
