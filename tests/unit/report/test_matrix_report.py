"""The table of a build matrix, its files and its exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from reports import full_report

from edgekit.report import Report
from edgekit.report.matrix import TITLES, Outcome, as_json, exit_code, markdown, rows, write

WAITING = Outcome("net-cpu", "net", "cpu")


def built(ok: bool = True) -> Outcome:
    told = full_report()
    told["verdict"]["ok"] = ok
    return WAITING.built(Report.model_validate_json(json.dumps(told)), Path("out/net-cpu"), 90)


def cell(outcome: Outcome, title: str) -> str:
    return rows([outcome])[0][TITLES.index(title)]


def test_a_row_says_what_was_measured() -> None:
    done = built()
    assert (done.state, done.bundle, done.exit_code) == ("built", "out/net-cpu", 0)
    assert done.figures is not None
    assert cell(done, "chosen") == done.figures.chosen
    assert str(done.figures.accuracy)[:4] in cell(done, "accuracy, %")
    assert " to " in cell(done, "accuracy, %")
    assert cell(done, "speedup").endswith("x")
    assert cell(done, "minutes") == "1.5"


def test_what_was_not_measured_says_so() -> None:
    done = built()
    assert done.figures is not None
    bare = replace(done.figures, accuracy=None, drop=None, p50=None, speedup_vs_fp32=None)
    done = replace(done, figures=bare, agreement=99.25)
    assert cell(done, "accuracy, %") == "99.25 as FP32"
    assert {cell(done, title) for title in ("drop, points", "p50, ms", "speedup")} == {"not measured"}
    assert cell(replace(done, agreement=None), "accuracy, %") == "not measured"


def test_a_failure_is_one_line_of_the_table() -> None:
    failed = WAITING.failed(4, "There is no GPU | here.", 1)
    assert cell(failed, "verdict") == "failed: There is no GPU | here."
    assert r"There is no GPU \| here." in markdown([failed])
    assert cell(WAITING, "verdict") == "not built"
    assert "**1 of 3 builds within their budgets.**" in markdown([failed, WAITING, built()])


@pytest.mark.parametrize(
    ("codes", "worst"), [((), 0), ((0, 0), 0), ((0, 3), 3), ((3, 4), 4), ((4, 2, 3), 2), ((2, 1, 0), 1), ((0, None), 0)]
)
def test_the_worst_build_decides_the_exit_code(codes: tuple[int | None, ...], worst: int) -> None:
    assert exit_code([replace(WAITING, exit_code=code) for code in codes]) == worst


def test_the_files_are_those_of_the_last_state(tmp_path: Path) -> None:
    write([WAITING, built()], tmp_path / "out")
    write([built(), built(ok=False)], tmp_path / "out")
    told = json.loads((tmp_path / "out" / "matrix.json").read_text())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["matrix.json", "matrix.md"]
    assert (told["ok"], [each["exit_code"] for each in told["builds"]]) == (False, [0, 3])
    assert json.loads(as_json([built()]))["ok"]
    assert not json.loads(as_json([WAITING]))["ok"]
