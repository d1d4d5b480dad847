"""A process that has edgekit loaded and forks builds which something happens to: seconds each, in place of ten.

Run by tests/faults.py. It reads a job a line (JSON) and answers a line each when the build is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

Fault = dict[str, Any]


def together(jobs: list[Fault]) -> list[Fault]:
    """Runs builds at once, each in a child of its own."""
    found: dict[int, Fault] = {}

    def run(place: int, job: Fault) -> None:
        found[place] = forked(job)

    threads = [threading.Thread(target=run, args=each) for each in enumerate(jobs)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [found[place] for place in range(len(jobs))]


def forked(job: Fault) -> Fault:
    """Runs one build in a child of its own session; how it ended (negative: by that signal), and how long it took."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.setsid()
            code = _child(job)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    timer = None
    if "signal_after_s" in job:
        timer = threading.Timer(job["signal_after_s"], _send, (child, job["signal"]))
        timer.start()
    hunter = threading.Thread(target=_hunt, args=(child, job.get("kill_child", "")), daemon=True)
    if "kill_child" in job:
        hunter.start()
    _, status = os.waitpid(child, 0)
    if timer is not None:
        timer.cancel()
    return {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - began, "session": child}


def _send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _hunt(session: int, name: str) -> None:
    """Kills the first process of a session whose command line has this in it, as a system without memory does."""
    while os.path.exists(f"/proc/{session}"):
        for each in os.listdir("/proc"):
            if not each.isdecimal() or int(each) == session:
                continue
            try:
                with open(f"/proc/{each}/stat") as stat, open(f"/proc/{each}/cmdline") as command:
                    if int(stat.read().rpartition(") ")[2].split()[3]) == session and name in command.read():
                        os.kill(int(each), signal.SIGKILL)
                        return
            except (OSError, ValueError, IndexError):
                continue
        time.sleep(0.02)


def _child(job: Fault) -> int:
    os.environ.update(job["environment"])
    log = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, place in ((0, nothing), (1, log), (2, log)):
        os.dup2(place, number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    happened = _prepare(job)
    from edgekit.cli import main

    sys.argv = ["edgekit", *job["arguments"]]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    finally:
        with open(job["happened"], "w") as file:
            json.dump(happened(), file)
    return 0


def _prepare(job: Fault) -> Callable[[], dict[str, int]]:
    """Sets up what will happen to this build.

    Returns:
        counts what did happen: see `Ended.happened` in faults.py.
    """
    counts: list[Callable[[], dict[str, int]]] = []
    if "clock" in job:
        counts.append(_jumping_clock(job["clock"]))
    if "at" in job:
        _at_boundary(job["at"], job["what"])
    if "call" in job:
        from file_faults import arm, failed, seen

        arm(job["under"], job["call"], job["errno"])
        counts.append(lambda: {"calls": seen(), "failed": failed()})
    return lambda: {name: count for each in counts for name, count in each().items()}


def _jumping_clock(by_s: float) -> Callable[[], dict[str, int]]:
    """The time of day jumps to and fro at every other look; how many looks there were."""
    real, looks = time.time, [0]

    def jumped() -> float:
        looks[0] += 1
        return real() + by_s * (looks[0] % 3 - 1)

    time.time = jumped
    return lambda: {"looks": looks[0]}


def _at_boundary(number: int, what: str) -> None:
    """What happens at one of the boundaries of stages: before one begins, before its result is put in place, after it.

    Args:
        what: kill, or raise: a library that fails in the middle of the stage.
    """
    from edgekit.build import runner
    from edgekit.store import stages

    passed = [0]

    def boundary() -> None:
        passed[0] += 1
        if passed[0] == number and what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    run, replace = runner.Runner.__call__, os.replace

    def ran(self: Any, stage: Any, given: Any) -> Any:
        boundary()
        if what == "raise" and passed[0] == number:
            object.__setattr__(stage, "make", _failing(stage.make))
        result = run(self, stage, given)
        if what == "kill":
            boundary()
        return result

    def replaced(source: Any, target: Any) -> None:
        if what == "kill":
            boundary()
        replace(source, target)

    runner.Runner.__call__ = ran  # type: ignore[method-assign]
    stages.os.replace = replaced


def _failing(make: Callable[..., Any]) -> Callable[..., Any]:
    def fails(given: Any, folder: Any, progress: Any) -> Any:
        (folder / "half").write_bytes(b"half of a result")
        raise RuntimeError("a library failed")

    fails.__module__ = make.__module__
    return fails


def main() -> None:
    """Loads what builds need, says so, and forks until there are no more jobs."""
    from edgekit.runtime.quiet import no_telemetry

    no_telemetry()
    import nncf  # noqa: F401
    import onnxruntime  # noqa: F401
    import openvino  # noqa: F401
    import torch  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(together(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
