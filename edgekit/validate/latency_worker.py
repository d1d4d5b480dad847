"""The process that times: reads a specification on stdin, prints progress and then the times as JSON lines.

Nothing runs in it but what is timed. Variants take turns in blocks, so that whatever slows the machine for a while
slows all of them; the first run of a block, with the caches full of another variant's weights, is not counted.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Final

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of one runtime must not slow another's

import numpy as np
from numpy.typing import NDArray

from edgekit.compile import Compiled, Session, load
from edgekit.validate.latency import STEADY

BLOCK: Final = 10
WARMUP_SHARE: Final = 0.3
THROUGHPUT_SECONDS: Final = 1.5


def main() -> None:
    """Times what stdin asks for."""
    spec = json.load(sys.stdin)
    compiled = {c["name"]: Compiled(c["runtime"], c["path"], c["precision"], 0) for c in spec["candidates"]}
    dice = np.random.Generator(np.random.PCG64(0))
    picture = dice.integers(0, 256, spec["shape"], dtype=np.uint8)
    began = time.perf_counter()
    sessions = {name: load(each, "latency") for name, each in compiled.items()}
    warm = {
        name: _warm_up(s, picture, spec["max_seconds"] * WARMUP_SHARE / len(sessions)) for name, s in sessions.items()
    }
    rounds = max(3, -(-spec["runs"] // BLOCK))
    blocks = _interleaved(sessions, picture, rounds, began + spec["max_seconds"])
    del sessions
    timed = {}
    for name, each in compiled.items():
        runs, steady = warm[name]
        ips = _throughput(load(each, "throughput"), picture)
        timed[name] = {"blocks": blocks[name], "warmup": runs, "steady": steady, "throughput_ips": ips}
    _say({"timed": timed})


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def _block(session: Session, picture: NDArray[np.uint8]) -> list[float]:
    """Milliseconds of BLOCK runs."""
    times = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        session.infer(picture)
        times.append((time.perf_counter() - began) * 1e3)
    return times


def _warm_up(session: Session, picture: NDArray[np.uint8], max_seconds: float) -> tuple[int, bool]:
    """Runs until the medians of three blocks in a row agree; how many runs that took, and whether they did."""
    until = time.perf_counter() + max_seconds
    medians: list[float] = []
    while len(medians) < 3 or time.perf_counter() < until:
        medians.append(float(np.median(_block(session, picture))))
        last = medians[-3:]
        if len(last) == 3 and max(last) <= min(last) * (1 + STEADY):
            return len(medians) * BLOCK, True
    return len(medians) * BLOCK, False


def _interleaved(
    sessions: dict[str, Session], picture: NDArray[np.uint8], rounds: int, until: float
) -> dict[str, list[list[float]]]:
    """Blocks of each session, taking turns, in an order that turns as well; at least three rounds, then until time."""
    blocks: dict[str, list[list[float]]] = {name: [] for name in sessions}
    names = list(sessions)
    for done in range(rounds):
        shift = done % len(names)
        for name in names[shift:] + names[:shift]:
            sessions[name].infer(picture)
            blocks[name].append(_block(sessions[name], picture))
        _say({"done": done + 1, "total": rounds})
        if done >= 2 and time.perf_counter() > until:
            break
    return blocks


def _throughput(session: Session, picture: NDArray[np.uint8]) -> float:
    """Images a second over THROUGHPUT_SECONDS, after as many images to warm up."""
    many = np.repeat(picture, 16, 0)
    session.infer_many(many)
    images, began = 0, time.perf_counter()
    while time.perf_counter() - began < THROUGHPUT_SECONDS:
        session.infer_many(many)
        images += len(many)
    return images / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
