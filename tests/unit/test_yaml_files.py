"""YAML from outside: what a text can do to whoever reads it, and does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.yaml_files import LONGEST, yaml_file, yaml_of


def test_what_people_write_is_read() -> None:
    assert yaml_of("a: 1\nb: [x, 2.5, null]\nc: {d: yes}\n") == {"a": 1, "b": ["x", 2.5, None], "c": {"d": True}}
    assert yaml_of("") is None


def test_aliases_and_merged_keys_are_read() -> None:
    told = yaml_of("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]\n")
    assert told == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "more than 1000000 values"),
        ("&a [*a]", "holds itself"),
        ("&a {b: *a}", "holds itself"),
        ("a: &a {b: {c: [*a]}}", "holds itself"),
        ("[" * 65 + "]" * 65, "inside each other"),
        ("[" * 100_000, "inside each other"),
        ("- " * 50_000 + "x", "inside each other"),
        ("a: 1\nb: 2\na: 3", "'a' is there twice"),
        ("{x: {a: 1, a: 1}}", "'a' is there twice"),
        ("x: 0x" + "f" * 5000, "more than 64 bits"),
        ("x: " + "9" * 5000, "4300 digits"),
        ('"\\0"', "NUL"),
        ("!!bool maybe", "not of the type"),
        ("!!timestamp never", "not of the type"),
        ("!!int ''", "not of the type"),
        ("!!float x", "could not convert"),
        ("2026-99-99", "month"),
        ("!!python/object/apply:os.system [id]", "could not determine a constructor"),
        ("? [a]\n: b", "unhashable"),
        ("a\x1bb", "special characters"),
        ("x" * (LONGEST + 1), "more than 1 MiB"),
    ],
    ids=lambda each: each[:20].encode("unicode_escape").decode(),
)
def test_what_is_refused_is_a_value_error(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        yaml_of(text)


def test_no_more_of_a_file_is_read_than_it_may_have(tmp_path: Path) -> None:
    path = tmp_path / "it.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="more than 1 MiB"):
        yaml_file(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        yaml_file(path)
