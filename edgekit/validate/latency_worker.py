"""The process that times: reads a specification on stdin, prints progress and then the times as JSON lines.

Nothing runs in it but what is timed; how is in edgekit.runtime.timing, which devices time with as well.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads of one runtime must not slow another's

import numpy as np

from edgekit.compile import Compiled, load
from edgekit.runtime.timing import throughput_ips, time_networks


def main() -> None:
    """Times what stdin asks for."""
    spec = json.load(sys.stdin)
    compiled = {c["name"]: Compiled(c["runtime"], c["path"], c["precision"], 0) for c in spec["candidates"]}
    picture = np.random.Generator(np.random.PCG64(0)).integers(0, 256, spec["shape"], dtype=np.uint8)
    sessions = {name: load(each, "latency") for name, each in compiled.items()}
    timed: dict[str, dict[str, Any]] = time_networks(
        {name: session.infer for name, session in sessions.items()},
        picture,
        spec["runs"],
        spec["max_seconds"],
        lambda done, total: _say({"done": done, "total": total}),
    )
    del sessions
    for name, each in compiled.items():
        timed[name]["throughput_ips"] = throughput_ips(load(each, "throughput").infer_many, picture)
    _say({"timed": timed})


def _say(value: dict[str, Any]) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
