"""The process that times: reads a specification on stdin, prints progress and then the times as JSON lines.

With --latency-alone it times single pictures, without what many at once take and what power is drawn.
Nothing runs in it but what is timed; how is in edgekit.runtime.timing, which devices time with as well.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of one runtime must not slow another's

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled, Mode, Session, backend
from edgekit.runtime import cgroup
from edgekit.runtime.timing import bench, time_networks


def main() -> None:
    """Times what stdin asks for."""
    spec = json.load(sys.stdin)
    compiled = {each["name"]: Compiled(**each["compiled"]) for each in spec["candidates"]}
    picture = np.random.Generator(np.random.PCG64(0)).integers(0, 256, spec["shape"], dtype=np.uint8)
    with ExitStack() as for_latency, ExitStack() as for_many:
        loaded = {name: for_latency.enter_context(load(each, "latency")) for name, each in compiled.items()}
        infers = {name: session.infer for name, session in loaded.items()}

        def many(name: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
            for_many.close()  # one network at a time has threads and memory for many pictures
            return for_many.enter_context(load(compiled[name], "throughput")).infer_many

        def tell(done: int, total: int) -> None:
            print(json.dumps({"done": done, "total": total}), flush=True)

        if "--latency-alone" in sys.argv:
            before = cgroup.periods()
            times = time_networks(infers, picture, spec["runs"], spec["max_seconds"], tell)
            stopped = cgroup.throttling(before, cgroup.periods())
            told = {name: each._asdict() for name, each in times.items()}
            print(json.dumps({"times": told, "throttled": stopped}), flush=True)
            return
        answer = bench(infers, many, picture, spec["runs"], spec["max_seconds"], tell)
    print(json.dumps(answer), flush=True)


def load(compiled: Compiled, mode: Mode) -> AbstractContextManager[Session]:
    """Loads with the backend that compiled it."""
    return backend(compiled.backend).load(compiled, mode)


if __name__ == "__main__":
    main()
