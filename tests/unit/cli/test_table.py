"""Tables: as wide as they come in a file, and within any width on a terminal, with nothing of them lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cli.table import laid_out, without

CELLS = st.text(st.sampled_from("abcdefgh12.-@_ /,"), max_size=40)


def lines(headers: list[str], rows: list[list[str]], width: int | None) -> list[str]:
    head, body = laid_out(headers, rows, width)
    return [*head, *body]


def test_without_a_width_columns_are_as_wide_as_their_texts() -> None:
    assert lines(["name", "what it is"], [["fp32", "the network as it came"], ["int8", ""]], None) == [
        "name  what it is",
        "fp32  the network as it came",
        "int8",
    ]


def test_heads_and_long_texts_go_on_several_lines_before_a_name_is_broken() -> None:
    rows = [["raspberry-pi-5", "int8 fp16", "a board with a long description of what it can do"]]
    assert lines(["target", "fast precisions", "what it is"], rows, 50) == [
        "target          fast        what it is",
        "                precisions",
        "raspberry-pi-5  int8 fp16   a board with a long",
        "                            description of what it",
        "                            can do",
    ]


def test_a_name_is_broken_where_it_has_a_mark_and_stays_indented() -> None:
    rows = [["* pruned-mixed@onnxruntime", "1.25"], ["  fp32", "2.50"]]
    assert lines(["variant", "p50"], rows, 22) == [
        "variant           p50",
        "* pruned-mixed@   1.25",
        "  onnxruntime",
        "  fp32            2.50",
    ]


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5), st.integers(9, 100))
def test_no_line_is_longer_than_the_terminal_and_no_letter_is_lost(rows: list[list[str]], width: int) -> None:
    headers = ["name", "p50, ms", "what it is"]
    found = lines(headers, rows, width)
    assert all(len(line) <= width for line in found)

    def letters(told: list[str]) -> str:
        return "".join(sorted("".join(told).replace(" ", "")))

    assert letters(found) == letters([*headers, *(cell for row in rows for cell in row)])


@pytest.mark.parametrize(("width", "kept"), [(40, ["a", "b", "c"]), (20, ["a", "c"]), (12, ["a"]), (5, ["a"])])
def test_spare_columns_go_one_after_the_other(width: int, kept: list[str]) -> None:
    rows = [["x" * 10, "y" * 10, "z" * 8]]
    assert without(["a", "b", "c"], rows, ["b", "c"], width)[0] == kept
