"""Figures from times, and the ratio of two variants with its interval."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.backends import Compiled
from edgekit.errors import EdgekitError, UnavailableError
from edgekit.validate.faster import ratio, t95
from edgekit.validate.latency import Candidate, _doubts, converse, figures, measure
from edgekit.validate.side_by_side import side_by_side


def times(median: float, rounds: int = 20, noise: float = 0.02, seed: int = 0) -> np.ndarray:
    dice = np.random.Generator(np.random.PCG64(seed))
    return median * (1 + np.abs(dice.normal(0, noise, (rounds, 10))))


def test_figures_by_hand() -> None:
    told = figures(np.array([[1.0, 3.0], [2.0, 2.0]]), 7, 100.0, True)
    assert (told.p50, told.mean, told.runs, told.warmup) == (2.0, 2.0, 4, 7)
    assert told.ci95 == (2.0, 2.0)


@given(st.floats(0.1, 1e3), st.integers(2, 30), st.floats(0, 0.5))
def test_percentiles_are_in_order_and_the_interval_holds_the_mean(median: float, rounds: int, noise: float) -> None:
    told = figures(times(median, rounds, noise), 0, 1.0, True)
    assert told.p50 <= told.p90 <= told.p99
    assert told.ci95[0] <= told.mean <= told.ci95[1]


def test_students_t() -> None:
    assert (t95(1), t95(10), t95(30), t95(10_000)) == pytest.approx((12.71, 2.23, 2.042, 1.960), abs=0.005)


@settings(deadline=None)
@given(st.floats(1.05, 5.0))
def test_the_ratio_is_found(faster: float) -> None:
    base = times(10.0)
    middle, low, high = ratio(base, base / faster)
    assert middle == pytest.approx(faster)
    assert low <= middle <= high


def test_what_slows_both_does_not_blur_the_ratio() -> None:
    slow = np.linspace(1, 3, 20)[:, None]  # the machine became three times slower while measuring
    middle, low, high = ratio(times(10.0) * slow, times(5.0, seed=1) * slow)
    assert high - low < 0.2
    assert middle == pytest.approx(2.0, rel=0.05)


def test_variants_that_cannot_be_told_apart_are_named() -> None:
    blocks = {"fp32": times(10, noise=0.3), "bf16": times(10, noise=0.3, seed=1), "int8": times(2, seed=2)}
    latency = {name: figures(each, 0, 1.0, name != "int8") for name, each in blocks.items()}
    doubts = _doubts(latency, blocks)
    assert any("too noisy" in text and "fp32" in text and "bf16" in text for text in doubts)
    assert any("int8 did not become steady" in text for text in doubts)
    assert len(doubts) == 2


@pytest.mark.parametrize("timed", [measure, side_by_side])
def test_a_process_that_fails_says_why(timed: Callable[..., object]) -> None:
    with pytest.raises(EdgekitError, match="timing process failed"):
        timed([Candidate("fp32", Compiled("openvino", "/nowhere/model.xml", "fp32", 0))], (1, 8, 8, 3), 30, 5.0)


@pytest.mark.parametrize("timed", [measure, side_by_side])
def test_a_process_that_is_killed_is_a_lack_of_something(
    timed: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.validate.latency.converse", lambda *told: (-9, "what it said last"))
    with pytest.raises(UnavailableError, match="was killed by SIGKILL"):
        timed([Candidate("fp32", Compiled("openvino", "model.xml", "fp32", 0))], (1, 8, 8, 3), 30, 5.0)


TALKATIVE = """
import sys
spec = sys.stdin.read()
for number in range(3):
    sys.stderr.write("x" * 99 + "\\n" * 1)
    sys.stderr.write(("y" * 999 + "\\n") * 200)
    print(spec + str(number), flush=True)
sys.stderr.write("the last of it\\n\\n")
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 3])
def test_a_process_may_say_much_on_stderr(code: int) -> None:
    heard: list[str] = []
    told = converse([sys.executable, "-c", TALKATIVE, str(code)], "given", 60.0, heard.append)
    assert told == (code, "the last of it")
    assert heard == ["given0\n", "given1\n", "given2\n"]


def test_a_process_that_reads_nothing_and_says_nothing() -> None:
    assert converse([sys.executable, "-c", "raise SystemExit(2)"], "x" * 1_000_000, 60.0, pytest.fail) == (2, "")


def test_a_stuck_process_is_killed() -> None:
    script = "import sys, time; print('bytes \\udcff', file=sys.stderr, flush=True); time.sleep(600)"
    code, last = converse([sys.executable, "-X", "utf8", "-c", script], "", 0.5, pytest.fail)
    assert code == -9
    assert last in ("", "bytes \\udcff")


def test_a_signal_while_the_watch_begins_leaves_neither_process_nor_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that nobody stops holds the command up for as long as the process may take: hours."""
    begin, popen = threading.Timer.start, subprocess.Popen
    watches: list[threading.Timer] = []
    processes: list[Any] = []

    def interrupted(watch: threading.Timer) -> None:
        begin(watch)
        watches.append(watch)
        raise KeyboardInterrupt

    def noted(*told: Any, **more: Any) -> Any:
        processes.append(popen(*told, **more))
        return processes[-1]

    monkeypatch.setattr(threading.Timer, "start", interrupted)
    monkeypatch.setattr(subprocess, "Popen", noted)
    with pytest.raises(KeyboardInterrupt):
        converse([sys.executable, "-c", "import time; time.sleep(600)"], "", 3600.0, pytest.fail)
    assert [each.returncode for each in processes] == [-9]
    watches[0].join(30)
    assert not watches[0].is_alive()


def test_a_process_goes_when_what_hears_it_fails() -> None:
    def refuse(line: str) -> None:
        raise ValueError(line)

    script = "import time; print('pid', flush=True); time.sleep(600)"
    with pytest.raises(ValueError, match="pid"):
        converse([sys.executable, "-c", script], "", 300.0, refuse)
