"""Tables of image files and labels: CSV, TSV and JSON lines, as spreadsheets and scripts write them."""

from __future__ import annotations

import codecs
import csv
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgekit.data.walk import Row
from edgekit.errors import InputError
from edgekit.file_names import readable
from edgekit.json_files import json_of

JSON_LINES: Final = frozenset({".jsonl", ".ndjson"})
TABLES: Final = frozenset({".csv", ".tsv"}) | JSON_LINES
DELIMITERS: Final = (",", "\t", ";", "|")
PATHS: Final = (
    *("path", "filename", "file_name", "file", "filepath", "file_path", "image", "image_path", "img_path", "img"),
    *("image_file", "image_name", "image_id", "fname"),
)
LABELS: Final = (
    *("label", "labels", "class", "classes", "class_id", "label_id", "class_index", "target", "category"),
    *("class_name", "label_name", "tags", "y"),
)
"""What the two columns are called, the likeliest first; case, blanks and hyphens do not matter."""

HINT: Final = "It needs the columns path,label."
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_table(table: Path) -> tuple[list[Row], tuple[str, ...]]:
    """The rows of a table, and what the user should know of how it was read.

    `told` of a row is the label as the table has it: text, a number, a list, or None. Paths are relative to the table.

    Raises:
        InputError: it cannot be read, or has no column of paths.
    """
    try:
        text = decoded(table.read_bytes())
        if table.suffix.lower() in JSON_LINES:
            records = [json_of(line) for line in text.split("\n") if line.strip()]
            return _of_records(table, records)
        return _of_cells(table, text)
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"cannot read the table {table}: {error}", HINT) from error


def decoded(content: bytes) -> str:
    """Text from outside: UTF-8 or UTF-16, with a byte-order mark or without.

    Bytes that are no UTF-8 are kept as Python keeps those of file names, so that files of such names are found.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "strict")
    head = content[:64]
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) >= 8 and head[first::2].count(0) > len(head) // 3:
            return content.decode(encoding)
    return content.decode("utf-8", "surrogateescape")


def plain_text(content: bytes) -> str:
    """The same of a list of names.

    Raises:
        ValueError: it has control characters, as no text has.
    """
    text = decoded(content)
    if any(each < " " and each not in "\t\r\n\f" for each in text):
        raise ValueError("it is no text")
    return text


def _of_records(table: Path, records: Sequence[Any]) -> tuple[list[Row], tuple[str, ...]]:
    rows, notes = [], []
    for number, record in enumerate(records, 1):
        keys = {_plain(key): key for key in record} if isinstance(record, dict) else {}
        name = next((record[keys[key]] for key in PATHS if key in keys), None)
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"row {number} of {table} has no path", HINT)
        told = next((record[keys[key]] for key in LABELS if key in keys), None)
        if number == 1 and not any(key in keys for key in LABELS) and len(keys) > 1:
            notes.append(_no_column(table, list(record)))
        rows.append(_row(table, name, told))
    return rows, tuple(notes)


def _of_cells(table: Path, text: str) -> tuple[list[Row], tuple[str, ...]]:
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    delimiter = "\t" if table.suffix.lower() == ".tsv" else _delimiter(first)
    cells = list(_records(text, delimiter))
    if not cells:
        return [], ()
    header = {_plain(cell): place for place, cell in reversed(list(enumerate(cells[0])))}
    path = next((header[key] for key in PATHS if key in header), None)
    notes: list[str] = []
    if path is not None:
        label = next((header[key] for key in LABELS if key in header and header[key] != path), None)
        if label is None and len(header) > 1:
            notes.append(_no_column(table, cells[0]))
        body = cells[1:]
    elif len(cells[0]) in (1, 2) and os.path.exists(os.path.join(table.parent, _found(table, cells[0][0]))):
        path, label, body = 0, 1 if len(cells[0]) == 2 else None, cells
        notes.append(f"{table.name} has no header: its columns were read as path{',label' if label else ''}")
    else:
        raise InputError(f"{table} has no column of paths: it begins with {', '.join(cells[0][:4])!r}", HINT)
    rows = []
    for number, row in enumerate(body, 1):
        name = row[path] if path < len(row) else ""
        if not name.strip():
            raise InputError(f"row {number} of {table} has no path", HINT)
        rows.append(_row(table, name, row[label] if label is not None and label < len(row) else None))
    return rows, tuple(notes)


def _delimiter(line: str) -> str:
    """The one that splits a line into the most cells, one of which is a column's name if any is."""

    def value(delimiter: str) -> tuple[bool, int]:
        cells = next(csv.reader([line], delimiter=delimiter), [])
        return any(_plain(cell) in PATHS for cell in cells), len(cells)

    return max(DELIMITERS, key=value)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """Rows that hold anything."""
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True):
        if any(cell.strip() for cell in row):
            yield row


def _no_column(table: Path, columns: Sequence[str]) -> str:
    named = ", ".join(readable(str(each).strip()) for each in columns[:6])
    return f"{table.name} has no column of labels ({named}): its images count as unlabelled"


def _plain(key: object) -> str:
    return "_".join(str(key).strip().lower().replace("-", " ").replace("_", " ").split())


def _row(table: Path, name: str, told: object) -> Row:
    found = _found(table, name)
    return Row(found, readable(found.removeprefix("./")), _label(told))


def _found(table: Path, name: str) -> str:
    """A path as it is, or where no such file is, without blanks around it and with slashes for backslashes."""
    if name == name.strip() and "\\" not in name:
        return name
    for other in (name, name.strip(), name.strip().replace("\\", "/")):
        if os.path.lexists(os.path.join(table.parent, other)):
            return other
    return name.strip()


def _label(told: object) -> object:
    """A label without what spreadsheets add: blanks, and a point and a nought where a column has gaps."""
    if isinstance(told, str):
        text = told.strip()
        whole, point, rest = text.partition(".")
        return (whole if point and rest.strip("0") == "" and whole.lstrip("-").isdigit() else text) or None
    if isinstance(told, float):
        return None if math.isnan(told) else int(told) if told.is_integer() else told
    if isinstance(told, Mapping):
        return str(dict(told))
    return told
