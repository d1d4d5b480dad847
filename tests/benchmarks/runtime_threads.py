"""Many threads on one session: wrong answers, memory before and after, and throughput against the runtime's own.

    python tests/benchmarks/runtime_threads.py build/inception_v4-cpu
    python tests/benchmarks/runtime_threads.py build/inception_v4-cpu --threads 8 --calls 10000 --mode latency

Every answer is compared with the one that a single thread got before. Throughput is of ten parts of the calls, taking
turns with OpenVINO's own requests started without waiting, as many as it calls optimal, on the same pictures.
"""

from __future__ import annotations

import argparse
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from edgekit.runtime import Bundle, Session
from edgekit.runtime.quiet import no_telemetry

PARTS = 10
PICTURES = 16


def main() -> None:
    """Prints resident size, wrong answers and throughput."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=10_000, help="of each thread")
    parser.add_argument("--mode", default="throughput", choices=("latency", "throughput"))
    told = parser.parse_args()
    with Bundle.open(told.bundle, runtime="openvino", mode=told.mode) as bundle, bundle.session() as session:
        shape = (PICTURES, *bundle.size, 3)
        pictures = np.random.Generator(np.random.PCG64(0)).integers(0, 256, shape, dtype=np.uint8)
        wanted = np.concatenate([session.logits(each, ready=True) for each in pictures])
        own = _Bare(told.bundle, told.mode)
        _threads(session, pictures, wanted, told.threads, 20)
        own.run(pictures, 100)
        before, wrong, ratios, rates, sizes = _resident_mb(), 0, [], [], []
        for _ in range(PARTS):
            count = told.calls // PARTS
            seconds, bad = _threads(session, pictures, wanted, told.threads, count)
            theirs = own.run(pictures, max(100, count * told.threads // 4))
            wrong += bad
            rates.append(count * told.threads / seconds)
            ratios.append(rates[-1] / theirs)
            sizes.append(_resident_mb())
        print(f"{told.threads} threads x {told.calls} calls, {told.mode}: {wrong} wrong answers")
        print(f"resident: {before:.1f} MB before, {sizes[0]:.1f} after a tenth, {sizes[-1]:.1f} after all")
        print(f"{median(rates):.0f} images/s, {median(ratios):.3f} times OpenVINO's own (least {min(ratios):.3f})")
        print(session.counters())


def _threads(session: Session, pictures: Any, wanted: Any, threads: int, calls: int) -> tuple[float, int]:
    """Seconds that all threads took, and how many answers were wrong."""
    wrong = [0] * threads

    def work(number: int) -> None:
        for step in range(calls):
            place = (number * 5 + step) % len(pictures)
            row = session.logits(pictures[place], ready=True)[0]
            wrong[number] += not np.allclose(row, wanted[place], atol=1e-3)

    running = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for each in running:
        each.start()
    for each in running:
        each.join()
    return time.perf_counter() - began, sum(wrong)


class _Bare:
    """OpenVINO's own requests, started without waiting."""

    def __init__(self, path: str, mode: str) -> None:
        no_telemetry()
        import openvino

        settings = {"PERFORMANCE_HINT": mode.upper(), "INFERENCE_PRECISION_HINT": "f32"}
        compiled = openvino.Core().compile_model(str(Path(path) / "model.xml"), "CPU", settings)
        count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests = [compiled.create_infer_request() for _ in range(count)]

    def run(self, pictures: Any, count: int) -> float:
        """Images a second."""
        ahead = len(self._requests)
        began = time.perf_counter()
        for place in range(count + ahead):
            request = self._requests[place % ahead]
            if place >= ahead:
                request.wait()
                np.array(request.get_output_tensor(0).data[0])
            if place < count:
                request.start_async([pictures[place % len(pictures)][None]])
        return count / (time.perf_counter() - began)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


if __name__ == "__main__":
    main()
