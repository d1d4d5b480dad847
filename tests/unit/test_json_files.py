"""JSON from outside: no deeper and no larger than what takes it apart can follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.json_files import DEEPEST, LONGEST, json_file, json_of


def test_what_is_no_deeper_is_read() -> None:
    text = "[" * DEEPEST + "]" * DEEPEST
    assert json_of(text) is not None
    with pytest.raises(ValueError, match="inside each other"):
        json_of(f"[{text}]")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a":' * 500 + "1" + "}" * 500])
def test_depth_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="inside each other"):
        json_of(text)


def test_numbers_without_end_are_value_errors() -> None:
    for text in ("9" * 5000, "1" + "0" * 400, f'{{"a": [-{10**40}]}}'):
        with pytest.raises(ValueError, match="more than 40 digits"):
            json_of(text)
    assert json_of(str(1 << 64)) == 1 << 64


def test_a_file_of_any_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "it.json"
    with path.open("wb") as file:
        file.truncate(LONGEST * 4)
    with pytest.raises(ValueError, match="more than 256 MiB"):
        json_file(path)
