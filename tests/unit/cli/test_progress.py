"""Progress: lines in logs, few of them; on a terminal a view that fits it and leaves nothing but finished stages."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from terminal import Shown, in_terminal

from edgekit.build.time_left import Expected, Left, TimeLeft
from edgekit.cli.durations import clock, roughly, time_left
from edgekit.cli.live import Running, bar, foot_line, running_line
from edgekit.cli.plain import INTERVALS_S, PlainProgress

AHEAD = (Expected("quantize", 100.0), Expected("compile", 20.0))


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_log_gets_a_line_at_the_beginning_and_the_end_and_seldom_between(capsys: pytest.CaptureFixture[str]) -> None:
    ticking = Clock()
    shown = PlainProgress(ticking)
    for second in range(600):
        ticking.now = float(second)
        shown.update("recover", second, 600, "loss 0.5")
    shown.finish("recover")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "recover: loss 0.5"
    assert said[1] == "recover: 10/600 loss 0.5"
    assert said[2] == "recover: 40/600 loss 0.5"
    assert said[3] == "recover: 100/600 loss 0.5"
    assert said[-1] == "recover: done in 599.0 s"
    assert len(said) == 2 + 2 + (599 - 40) // INTERVALS_S[-1]


def test_a_log_is_told_the_time_left_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    ticking = Clock()
    shown = PlainProgress(ticking)
    shown.foresee(AHEAD)
    for second in range(0, 100, 5):
        ticking.now = float(second)
        shown.update("quantize", 0, None)
    ticking.now = 100.0
    shown.finish("quantize")
    shown.update("compile")
    shown.finish("compile", "cached")
    assert capsys.readouterr().err.splitlines() == [
        "quantize: started",
        "quantize: 10 s so far; about 2 min left in all",
        "quantize: 40 s so far; about 1 min left in all",
        "quantize: done in 100.0 s; about 20 s left in all",
        "compile: started",
        "compile: done in 0.0 s, cached",
    ]


def test_seconds_are_told_as_times(capsys: pytest.CaptureFixture[str]) -> None:
    ticking = Clock()
    shown = PlainProgress(ticking)
    shown.foresee([Expected("recover", 400, in_seconds=True)])
    shown.update("recover", 0, 400)
    ticking.now = 80.0
    shown.update("recover", 80, 400, "loss 0.5")
    assert "recover: 1:20 of 6:40, 5:20 left, loss 0.5; about 5 min left in all" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "passed", "to_come"),
    [
        (0.04, "0.0 s", "a few seconds"),
        (9.96, "10 s", "a few seconds"),
        (31, "31 s", "40 s"),
        (59.7, "1:00", "1 min"),
        (230, "3:50", "4 min"),
        (3599.8, "1:00:00", "1 h"),
        (4900, "1:21:40", "1 h 20 min"),
    ],
)
def test_times_in_words(seconds: float, passed: str, to_come: str) -> None:
    assert (clock(seconds), roughly(seconds)) == (passed, to_come)


def test_an_estimate_says_what_it_is() -> None:
    assert time_left(None) == ""
    assert time_left(Left(230)) == "about 4 min left"
    assert time_left(Left(230, at_most=True)) == "at most 4 min left"
    assert time_left(Left(3)) == "a few seconds left"


@given(
    st.text(min_size=1, max_size=40),
    st.floats(0, 1e6),
    st.one_of(st.none(), st.floats(1, 1e6)),
    st.text(max_size=80),
    st.integers(20, 200),
    st.booleans(),
)
def test_a_line_fits_any_terminal(
    name: str, done: float, total: float | None, detail: str, width: int, in_seconds: bool
) -> None:
    stage = Running(name, 0.0, 0.0)
    stage.moved(done, total, detail, 5.0)
    line = running_line(stage, 10.0, width, in_seconds, ascii_only=False)
    assert len(line) <= width
    assert "\n" not in line
    assert "\x1b" not in line


def test_lines_of_wide_and_narrow_terminals() -> None:
    stage = Running("quantize", 0.0, 0.0)
    stage.moved(0, 300, "", 0.0)
    stage.moved(100, 300, "", 10.0)
    wide = "quantize       ########---------------- 100/300  20 s left"
    assert running_line(stage, 10.0, 79, in_seconds=False, ascii_only=True) == wide
    assert running_line(stage, 10.0, 120, in_seconds=False, ascii_only=True) == wide + "  10/s"
    narrow = "quantize   ##---- 100/300  20 s left"
    assert running_line(stage, 10.0, 39, in_seconds=False, ascii_only=True) == narrow
    recover = Running("recover", 0.0, 0.0, done=80, total=400, detail="96 px, loss 0.41")
    assert "1:20 of 6:40  5:20 left  96 px, loss 0.41" in running_line(recover, 90.0, 100, True, True)
    assert bar(0.5, 8, ascii_only=False) == "━━━━╌╌╌╌"


def test_the_foot_says_what_fits() -> None:
    whole = TimeLeft()
    whole.foresee(AHEAD)
    whole.began("quantize", 0.0)
    assert foot_line(whole, 10.0, 10.0, 79) == "10 s so far, about 2 min left, 1 stage to come"
    assert foot_line(whole, 10.0, 10.0, 39) == "10 s so far, about 2 min left"
    assert foot_line(whole, 10.0, 10.0, 20) == "10 s so far"


SCRIPT = """
import sys, time
from edgekit.build.time_left import Expected
from edgekit.cli.output import progress
from edgekit.cli.process import say_any_character
say_any_character()
with progress() as shown:
    shown.foresee([Expected("export", 1.0), Expected("quantize", 2.0), Expected("compile", 90.0)])
    shown.update("export")
    shown.finish("export", "cached")
    for done in range(8):
        shown.update("quantize", done, 8, "a detail that is too long for a terminal of a few columns, and goes on")
        time.sleep(0.2)
    shown.finish("quantize")
print("the result")
"""


def drawn(columns: int, **more: str) -> Shown:
    return in_terminal(["-c", SCRIPT], columns, more)


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_terminal_is_left_with_what_was_done(columns: int) -> None:
    shown = drawn(columns)
    assert shown.code == 0
    assert "\x1b[?25l" in shown.raw  # the cursor is hidden, and
    assert shown.raw.rindex("\x1b[?25h") > shown.raw.rindex("\x1b[?25l")  # shown again
    assert all(len(line) < columns for line in shown.lines)
    assert any(line.startswith("export") and line.rstrip().endswith("cached") for line in shown.lines)
    assert any("left" in line and "so far" in line for line in shown.lines)
    assert shown.lines[-2:] == ["the result", ""]


@pytest.mark.parametrize("more", [{"CI": "true"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_logs_of_ci_and_plain_terminals_get_lines(more: dict[str, str]) -> None:
    shown = drawn(80, **more)
    assert "\x1b" not in shown.raw
    said = [line for line in shown.lines if line]
    assert [line.partition(":")[0] for line in said] == ["export", "export", "quantize", "quantize", "the result"]
    assert any("about 2 min left in all" in line for line in said)


def test_another_encoding_gets_letters_that_it_has() -> None:
    shown = drawn(80, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert shown.raw.isascii()
    assert "#" in shown.raw
    assert shown.lines[-2] == "the result"


def test_stages_of_several_threads_are_drawn_together(tmp_path: Path) -> None:
    script = """
from concurrent.futures import ThreadPoolExecutor
import time
from edgekit.cli.output import progress
with progress() as shown, ThreadPoolExecutor(4) as pool:
    def work(name):
        for done in range(10):
            shown.update(name, done, 10)
            time.sleep(0.05)
        shown.finish(name)
    list(pool.map(work, ["orin", "nano", "pi-4", "pi-5"]))
"""
    shown = in_terminal(["-c", script], 80)
    assert shown.code == 0
    for name in ("orin", "nano", "pi-4", "pi-5"):
        assert any(line.startswith(name) and line.rstrip().endswith(" s") for line in shown.lines)


def test_a_file_as_stdout_keeps_its_results(tmp_path: Path) -> None:
    to_file = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], stdout=open('out', 'w'))"
    script = SCRIPT.replace("shown.update(", "print('early'); shown.update(", 1)
    shown = in_terminal(["-c", to_file, script], 80, cwd=tmp_path)
    assert (tmp_path / "out").read_text() == "early\nthe result\n"
    assert "result" not in shown.raw


def test_a_terminal_may_change_its_size_meanwhile() -> None:
    resize = "import fcntl, struct, termios; fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 40, 0, 0))"
    script = SCRIPT.replace("        time.sleep", f"        if done == 4: {resize}\n        time.sleep")
    shown = in_terminal(["-c", script], 100)
    assert shown.code == 0
    widths = [len(line) for line in shown.lines]
    assert max(widths) > 40
    assert all(width < 40 for width in widths[-3:])
    assert shown.lines[-2:] == ["the result", ""]
