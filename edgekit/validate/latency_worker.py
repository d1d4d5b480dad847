"""The process that times: reads a specification on stdin, prints progress and then the times as JSON lines.

Nothing runs in it but what is timed; how is in edgekit.runtime.timing, which devices time with as well.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of one runtime must not slow another's

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled, load
from edgekit.runtime.timing import bench


def main() -> None:
    """Times what stdin asks for."""
    spec = json.load(sys.stdin)
    compiled = {c["name"]: Compiled(c["runtime"], c["path"], c["precision"], 0) for c in spec["candidates"]}
    picture = np.random.Generator(np.random.PCG64(0)).integers(0, 256, spec["shape"], dtype=np.uint8)
    sessions = {name: load(each, "latency") for name, each in compiled.items()}
    infers = {name: session.infer for name, session in sessions.items()}

    def many(name: str) -> Callable[[NDArray[np.uint8]], Any]:
        return load(compiled[name], "throughput").infer_many

    def tell(done: int, total: int) -> None:
        _say({"done": done, "total": total})

    _say(bench(infers, many, picture, spec["runs"], spec["max_seconds"], tell))


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
