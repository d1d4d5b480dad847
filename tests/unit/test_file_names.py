"""Names of files, which are bytes, as people read them."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import LONGEST, InputError
from edgekit.file_names import briefly, readable, readable_json, shortened


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (os.fsdecode(b"M\xfcller.png"), "M\\xfcller.png"),
        ("Müller 日本.png", "Müller 日本.png"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("two\nlines\t", "two\\nlines\\t"),
        ("right\u202eleft", "right\\u202eleft"),
        ("wide\u3000blank", "wide\u3000blank"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_cannot_be_shown_is_escaped(name: str, shown: str) -> None:
    assert readable(name) == shown


@given(st.binary().map(os.fsdecode) | st.text())
def test_what_is_read_can_be_written_anywhere_and_read_again(name: str) -> None:
    shown = readable(name)
    shown.encode("utf-8")
    assert "\x1b" not in shown
    assert readable(shown) == shown


@given(st.binary().map(os.fsdecode))
def test_json_with_names_stays_json(name: str) -> None:
    text = readable_json(json.dumps({"image": name}, ensure_ascii=False))
    text.encode("utf-8")
    told = json.loads(text)["image"]
    assert readable(told) == readable(name)


def test_an_error_names_files_readably() -> None:
    line = InputError(f"cannot read {os.fsdecode(bytes([0xFC]))}.png", "Is \x1b[2J it there?").line()
    assert line == "edgekit: error: cannot read \\xfc.png. Is \\x1b[2J it there?"


def test_json_shows_what_no_terminal_obeys() -> None:
    told = {"a": "\x1b[2J\x9b1m\x7f\u202e\u2066\U000e0041 Müller 日本"}
    text = readable_json(json.dumps(told, ensure_ascii=False, indent=2))
    assert json.loads(text) == told
    assert all(each.isprintable() or each == "\n" for each in text)
    assert "Müller 日本" in text


def test_an_error_is_one_line_however_long_names_are() -> None:
    line = InputError("x" * 10_000_000, "y\n" * 10_000_000).line()
    assert len(line) < 2 * LONGEST + 100
    assert "\n" not in line


def test_the_middle_of_long_texts_is_left_out() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("a" * 50 + "b" * 50, 21) == "aaaaaaaa ... bbbbbbbb"
    assert len(briefly("x" * 1000)) == 200
    assert briefly(10**5000) == "a value of type int that cannot be shown"
