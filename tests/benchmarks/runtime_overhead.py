"""What edgekit.runtime costs: a session's call against the bare runtime's own, and how long the first result takes.

    python tests/benchmarks/runtime_overhead.py build/inception_v4-cpu
    python tests/benchmarks/runtime_overhead.py build/inception_v4-cpu --runtime onnxruntime --rounds 100

Bare is what an application writes by hand: the pixels of one image of the network's size in, logits out. Calls take
turns in blocks; told are the median over rounds of the ratio of block medians, and the ratio of processor time. The
first result is from a fresh process: import, every hash, the golden inputs and one image of 640x480; once with nothing
kept of an earlier run (OpenVINO compiles the network then, and keeps it), then as every later start is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgekit.runtime import Bundle
from edgekit.runtime.quiet import no_telemetry

BLOCK = 10
FIRST = """
import time
began, used = time.perf_counter(), time.process_time()
from edgekit.runtime import Bundle
import numpy as np
with Bundle.open({path!r}, runtime={runtime!r}) as bundle, bundle.session() as session:
    session.classify(np.zeros((480, 640, 3), np.uint8))
    print(time.perf_counter() - began, time.process_time() - used)
"""


def main() -> None:
    """Prints the ratios, then the seconds to the first result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--runtime", default="openvino", choices=("openvino", "onnxruntime"))
    parser.add_argument("--rounds", type=int, default=60)
    told = parser.parse_args()
    with Bundle.open(told.bundle, runtime=told.runtime) as bundle, bundle.session() as session:
        picture = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (*bundle.size, 3), dtype=np.uint8)
        calls = {
            "bare": BARE[told.runtime](told.bundle, picture),
            "logits": lambda: session.logits(picture, ready=True),
            "classify": lambda: session.classify(picture, ready=True),
        }
        _compare(calls, told.rounds)
    _first(told.bundle, told.runtime)


def _compare(calls: dict[str, Callable[[], Any]], rounds: int) -> None:
    wall: dict[str, list[float]] = {name: [] for name in calls}
    used: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 3):
        for name in (list(calls) * 2)[turn % len(calls) :][: len(calls)]:
            calls[name]()
            times, began = [], time.process_time()
            for _ in range(BLOCK):
                start = time.perf_counter()
                calls[name]()
                times.append(time.perf_counter() - start)
            if turn >= 3:  # what comes before is to warm up
                wall[name].append(median(times))
                used[name].append(time.process_time() - began)
    print(f"bare: {median(wall['bare']) * 1e3:.3f} ms")
    for name in ("logits", "classify"):
        pairs = median(own / bare for own, bare in zip(wall[name], wall["bare"], strict=True))
        processor = median(own / bare for own, bare in zip(used[name], used["bare"], strict=True))
        print(
            f"{name}: {median(wall[name]) * 1e3:.3f} ms, {pairs:.3f} times bare; processor time {processor:.3f} times"
        )


def _bare_openvino(path: str, picture: Any) -> Callable[[], Any]:
    no_telemetry()
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(Path(path) / "model.xml"), "CPU", settings)
    request, output, pixels = compiled.create_infer_request(), compiled.output(0), picture[None]
    return lambda: np.array(request.infer([pixels])[output])


def _bare_onnxruntime(path: str, picture: Any) -> Callable[[], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(Path(path) / "model.onnx"), providers=["CPUExecutionProvider"])
    pixels = {session.get_inputs()[0].name: picture[None]}
    return lambda: session.run(None, pixels)[0]


BARE = {"openvino": _bare_openvino, "onnxruntime": _bare_onnxruntime}


def _first(path: str, runtime: str) -> None:
    with tempfile.TemporaryDirectory() as kept:
        command = [sys.executable, "-c", FIRST.format(path=path, runtime=runtime)]
        rows = []
        for _ in range(8):
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ | {"EDGEKIT_ENGINES": kept}
            )
            rows.append([float(word) for word in done.stdout.split()])
    for name, part in (("first start", rows[:1]), ("later starts", rows[1:])):
        seconds, processor = (median(column) for column in zip(*part, strict=True))
        least = min(row[0] for row in part)
        print(f"{name}: first result after {seconds:.2f} s (least {least:.2f}), {processor:.2f} s of processor time")


if __name__ == "__main__":
    main()
