"""The report as a terminal shows it: within its width for every task, all that matters there; a pipe has it whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reports import embedding_report, full_report, multilabel_report
from terminal import in_terminal

NAMES = ("pruned-mixed@onnxruntime", "pruned-fp16@tensorrt-rtx", "int8@tensorrt-on-device")


def long_report(make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A report with variants of several runtimes under the longest names, taken back and undecided."""
    report = make()
    kinds = report["variants"]
    for place, name in enumerate(NAMES):
        one = json.loads(json.dumps(kinds[1])) | {
            "name": name,
            "kind": "step",
            "kept": False,
            "taken_back": True,
            "runtime": name.partition("@")[2],
            "size_bytes": 1_234_567_890,
            "reason": "it is not faster than INT8 on this target (0.98 times, interval from 0.75 to 1.11)",
        }
        one["latency"] |= {"p50": 1234.5 + place, "p99": 2345.6}
        one.pop("layers", None)
        kinds.append(one)
    report["verdict"]["accuracy"] |= {"decided": False, "images_needed": 12_000}
    return report


REPORTS = {"classify": full_report, "embed": embedding_report, "multilabel": multilabel_report}


@pytest.mark.parametrize("task", REPORTS)
@pytest.mark.parametrize("columns", [40, 80, 120, 0])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_lost(task: str, columns: int, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(long_report(REPORTS[task])))
    shown = in_terminal(["-m", "edgekit", "report", str(path)], columns)
    assert shown.code == 0
    assert max(map(len, shown.lines)) <= (columns or 80)
    together = "".join(shown.raw.split())
    for each in ("1,234", "1,236", "takenback", "undecided", "12,000"):
        assert each in together, each
    assert all("…" not in line for line in shown.lines)
    for name in NAMES:
        assert name in together or all(part in together for part in name.replace("@", "@ ").split())
    if columns != 40:
        assert all(any(name in line for line in shown.lines) for name in NAMES)
        assert sum("taken back" in line for line in shown.lines) >= len(NAMES)
    assert "\x1b[1m" in shown.raw  # the head of the table


def test_a_pipe_gets_the_whole_table_whatever_the_environment_says(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(long_report(full_report)))

    def told(**more: str) -> str:
        arguments = [sys.executable, "-m", "edgekit", "report", str(path)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True, env=more or None)
        return done.stdout

    import os

    here = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    assert told(**here, COLUMNS="40") == told(**here, COLUMNS="300") == told(**here)
    head = next(line for line in told(**here).splitlines() if line.startswith("variant"))
    assert head.split("  ")[0] == "variant"
    for title in ("runtime", "size, MB", "top-1, %", "p50, ms", "p99, ms", "speedup", "kept"):
        assert title in head


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_there_are_no_escapes_where_none_are_wanted(more: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(full_report()))
    shown = in_terminal(["-m", "edgekit", "report", str(path)], 80, more)
    assert "\x1b" not in shown.raw
    assert max(map(len, shown.lines)) <= 80


@pytest.mark.parametrize("verb", ["targets", "models", "doctor", "targets jetson-orin-nx"])
@pytest.mark.parametrize("columns", [60, 80])
def test_other_tables_fit_as_well(verb: str, columns: int) -> None:
    shown = in_terminal(["-m", "edgekit", *verb.split()], columns)
    assert shown.code == 0
    wide = [line for line in shown.lines if len(line) > columns and not line.startswith("Missing")]
    assert wide == []
