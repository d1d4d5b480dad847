"""Work in a process of its own: what it gives, tells and raises, and what is left when either side is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import InputError
from edgekit.training.apart import apart
from edgekit.training.failure import TrainingFailed

Tell = Callable[..., None]


def added(a: int, b: int, tell: Tell) -> int:
    """Tells both, prints, and adds them."""
    print("for people")
    tell(a)
    tell(b, "second")
    return a + b


def refused(tell: Tell) -> None:
    """Raises what the user can do something about."""
    raise InputError("it is wrong", "Do it right.")


def broken(tell: Tell) -> None:
    """Raises anything else."""
    raise KeyError("missing")


def full(tell: Tell) -> None:
    """Finds the disk full."""
    raise OSError(28, "No space left on device", "here")


def ended(number: int, tell: Tell) -> None:
    """Is ended by a signal, a process of its own at its side."""
    with subprocess.Popen(["sleep", "60"]):
        os.kill(os.getpid(), number)


def left(tell: Tell) -> None:
    """Leaves without a word."""
    os._exit(7)


def waits(path: str, tell: Tell) -> None:
    """Writes its own number and that of a process that it starts, and goes on for a minute."""
    with subprocess.Popen(["sleep", "60"]) as other:
        Path(path).write_text(f"{os.getpid()} {other.pid}")
        tell("begun")
        time.sleep(60)


def forks(tell: Tell) -> int:
    """Draws pictures in processes that are forked, as training does."""
    from torch.utils.data import DataLoader

    return sum(int(each.sum()) for each in DataLoader(list(range(8)), 2, num_workers=2))  # type: ignore[arg-type]


def work(name: str) -> str:
    return f"{__name__}:{name}"


def nothing(*told: Any) -> None:
    """Hears nothing."""


def test_result_and_progress_come_back_and_prints_are_none_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[Any] = []
    assert apart(work("added"), (2, 3), lambda *each: told.append(each)) == 5
    assert told == [(2,), (3, "second")]
    assert capfd.readouterr().out == ""


def test_what_the_user_can_mend_comes_back_whole() -> None:
    with pytest.raises(InputError) as caught:
        apart(work("refused"), (), nothing)
    assert (caught.value.what, caught.value.hint) == ("it is wrong", "Do it right.")


def test_other_errors_are_those_that_were_raised() -> None:
    with pytest.raises(KeyError, match="missing"):
        apart(work("broken"), (), nothing)
    with pytest.raises(OSError, match="No space left") as caught:
        apart(work("full"), (), nothing)
    assert (caught.value.errno, caught.value.filename) == (28, "here")


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGABRT"])
def test_a_signal_ends_the_work_alone_and_is_named(name: str) -> None:
    began = time.monotonic()
    with pytest.raises(TrainingFailed, match=f"training was ended by signal {name}"):
        apart(work("ended"), (signal.Signals[name].value,), nothing)
    assert time.monotonic() - began < 30, "what it left at its side is not waited for"


def test_a_silent_end_is_told() -> None:
    with pytest.raises(TrainingFailed, match="exit code 7"):
        apart(work("left"), (), nothing)


def test_processes_that_are_forked_there_run() -> None:
    assert apart(work("forks"), (), nothing) == 28


def gone(number: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


def all_gone(path: Path) -> bool:
    """Whether the two processes of `waits` end within some seconds."""
    numbers = [int(each) for each in path.read_text().split()]
    until = time.monotonic() + 10
    while time.monotonic() < until and not all(gone(each) for each in numbers):
        time.sleep(0.05)
    return all(gone(each) for each in numbers)


def test_an_interruption_here_ends_the_work_there(tmp_path: Path) -> None:
    def interrupt(*told: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apart(work("waits"), (str(tmp_path / "numbers"),), interrupt)
    assert all_gone(tmp_path / "numbers")


def test_a_signal_while_the_watch_begins_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen
    children: list[Any] = []

    def noted(*told: Any, **more: Any) -> Any:
        children.append(popen(*told, **more))
        return children[-1]

    def interrupted(watch: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", noted)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        apart(work("waits"), (str(tmp_path / "numbers"),), nothing)
    assert [each.returncode for each in children] == [-9]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGHUP"])
def test_the_work_ends_with_whoever_waits_for_it(name: str, tmp_path: Path) -> None:
    numbers = tmp_path / "numbers"
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from edgekit.training.apart import apart; apart('test_apart:waits', (sys.argv[2],), lambda *told: None)"
    )
    waiting = subprocess.Popen([sys.executable, "-c", program, str(Path(__file__).parent), str(numbers)])
    until = time.monotonic() + 30
    while time.monotonic() < until and not numbers.exists():
        time.sleep(0.05)
    time.sleep(0.2)
    os.kill(waiting.pid, signal.Signals[name])
    waiting.wait()
    assert all_gone(numbers)
