"""The process that times: reads a specification on stdin, prints progress and then the times as JSON lines.

With --latency-alone it times single pictures, without what many at once take and what power is drawn.
Nothing runs in it but what is timed; how is in edgekit.runtime.timing, which devices time with as well.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TypeAlias

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of one runtime must not slow another's

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled, Mode, Session, backend
from edgekit.runtime.noise import Watch
from edgekit.runtime.timing import MANY, bench, threads, time_networks

Infer: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def main() -> None:
    """Times what stdin asks for."""
    spec = json.load(sys.stdin)
    compiled = {each["name"]: Compiled(**each["compiled"]) for each in spec["candidates"]}
    picture = noise(spec["shape"])
    others = {each["name"]: noise(each["shape"]) for each in spec["candidates"] if each["shape"] is not None}
    with ExitStack() as for_latency, ExitStack() as for_many:
        loaded = {name: for_latency.enter_context(load(each, "latency")) for name, each in compiled.items()}
        infers = {name: given(session.infer, others.get(name)) for name, session in loaded.items()}

        def many(name: str) -> Infer:
            for_many.close()  # one network at a time has threads and memory for many pictures
            session = for_many.enter_context(load(compiled[name], "throughput"))
            other = others.get(name)
            return given(session.infer_many, None if other is None else np.repeat(other, MANY, 0))

        def tell(done: int, total: int) -> None:
            print(json.dumps({"done": done, "total": total}), flush=True)

        if "--latency-alone" in sys.argv:
            with Watch() as watch:
                times = time_networks(infers, picture, spec["runs"], spec["max_seconds"], tell)
            told = {name: each._asdict() for name, each in times.items()}
            process = watch.taken()._asdict() | {"threads": threads(loaded)}
            print(json.dumps({"times": told, "throttled": watch.throttled, "process": process}), flush=True)
            return
        answer = bench(infers, many, picture, spec["runs"], spec["max_seconds"], tell)
        answer["conditions"]["process"]["threads"] = threads(loaded)
    print(json.dumps(answer), flush=True)


def noise(shape: Sequence[int]) -> NDArray[np.uint8]:
    """A picture of some shape (1, H, W, 3)."""
    return np.random.Generator(np.random.PCG64(0)).integers(0, 256, shape, dtype=np.uint8)


def given(infer: Infer, other: NDArray[np.uint8] | None) -> Infer:
    """The function itself, or one that takes its own pictures in the place of those that all others are given."""
    return infer if other is None else lambda pictures: infer(other)


def load(compiled: Compiled, mode: Mode) -> AbstractContextManager[Session]:
    """Loads with the backend that compiled it."""
    return backend(compiled.backend).load(compiled, mode)


if __name__ == "__main__":
    main()
