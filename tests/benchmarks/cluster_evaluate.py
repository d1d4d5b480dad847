"""What a cluster costs: images/s of 1, 2 and 4 workers on this machine against plain processes on the same processors.

    python tests/benchmarks/cluster_evaluate.py
    python tests/benchmarks/cluster_evaluate.py --model build/inception_v4-cpu --images 9600 --rounds 5

One plain process has the whole machine, as one worker has; two plain processes have half of its processors and half of
the images each, as two workers have. Four workers say what more of them than processors cost. All take turns, round by
round; networks are loaded before the clock starts, and Ray's own start is told apart. Wanted: two workers at least
95 % of two plain processes, one worker's overhead at most 5 %. At the end stands what 64 workers would take for 50,000
images of 144 views and four networks, with what is assumed for it, and what the same model says of the runs before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from edgekit.build.ensemble import Named, prepare_ensemble
from edgekit.cluster.connection import ClusterSettings, connected
from edgekit.cluster.evaluate import ClusterOutcome, Task, evaluate_on
from edgekit.cluster.shards import ShardResult, member_inputs, write
from edgekit.data.signs_set import SignsSet
from edgekit.recipe import merged
from edgekit.store import Store

PLAIN = """
import json, os, sys
cores, model, first, last = json.loads(sys.argv[1])
os.sched_setaffinity(0, cores)
from edgekit.backends import backend
from edgekit.build.ensemble import prepare_ensemble
from edgekit.data.image_set import Selection
from edgekit.data.signs_set import SignsSet
from edgekit.recipe import merged
from edgekit.store import Store
from edgekit.validate.protocols import Member, evaluate
(named,) = prepare_ensemble(merged({}, {"model": model}), (), None, Store())
with backend(named.runnable.compiled.backend).load(named.runnable.compiled, "throughput") as session:
    print("ready", flush=True)
    sys.stdin.readline()
    evaluate([Member("", session, named.runnable.preprocessing)], Selection(SignsSet(), tuple(range(first, last))))
    print("done", flush=True)
"""
WORKERS = (1, 2, 4)
FULL_IMAGES, FULL_VIEWS, FULL_NETWORKS, FULL_CLASSES, FULL_WORKERS = 50_000, 145, 4, 1000, 64


def main() -> None:
    """Prints a line for each round, then ratios, overhead a shard and the model."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--model", default="inception_v4")
    asked.add_argument("--images", type=int, default=4_800)
    asked.add_argument("--rounds", type=int, default=3)
    given = asked.parse_args()
    named = prepare_ensemble(merged({}, {"model": given.model}), (), None, Store())
    cores = sorted(os.sched_getaffinity(0))
    half = max(1, len(cores) // 2)
    halves = [cores[:half], cores[half:] or cores[:half]]
    seconds: dict[str, list[float]] = {}
    outcomes: dict[int, ClusterOutcome] = {}
    for turn in range(given.rounds):
        middle = given.images // 2
        seconds.setdefault("one", []).append(plain([(cores, 0, given.images)], given.model))
        seconds.setdefault("two", []).append(
            plain([(halves[0], 0, middle), (halves[1], middle, given.images)], given.model)
        )
        for workers in WORKERS:
            outcomes[workers] = on_cluster(named, given.images, workers)
            seconds.setdefault(f"cluster {workers}", []).append(outcomes[workers].facts.seconds)
        line = ", ".join(f"{name}: {given.images / each[-1]:.1f} images/s" for name, each in seconds.items())
        starts = ", ".join(f"{each.facts.start_seconds:.1f} s" for each in outcomes.values())
        print(f"round {turn + 1}: {line}; Ray and networks ready after {starts}", flush=True)
    told(seconds, outcomes, given.images)


def plain(parts: Sequence[tuple[list[int], int, int]], model: str) -> float:
    """Seconds that plain processes take side by side, the last of them counts; networks are loaded before."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PLAIN, json.dumps([cores, model, first, last])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for cores, first, last in parts
    ]  # fmt: skip
    for each in running:
        assert each.stdout is not None
        while each.stdout.readline() != "ready\n":
            assert each.poll() is None
    began = time.perf_counter()
    for each in running:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in running:
        assert each.stdout is not None
        assert each.stdout.readline() == "done\n"
    took = time.perf_counter() - began
    for each in running:
        each.communicate()
    return took


def on_cluster(named: Sequence[Named], images: int, workers: int) -> ClusterOutcome:
    """The same on Ray, with a store that has nothing yet."""
    with tempfile.TemporaryDirectory() as folder, connected(ClusterSettings("local", workers)) as cluster:
        return evaluate_on(cluster, Task(member_inputs(named), SignsSet("validation", images)), Store(Path(folder)))


def told(seconds: dict[str, list[float]], outcomes: dict[int, ClusterOutcome], images: int) -> None:
    """Ratios of medians of rounds, overhead a shard, and the model."""

    def compared(name: str, base: str) -> float:
        return median(b / n for n, b in zip(seconds[name], seconds[base], strict=True))

    one, two, four = compared("cluster 1", "one"), compared("cluster 2", "two"), compared("cluster 4", "cluster 2")
    shards = outcomes[1].facts.shards
    over = median(c - p for c, p in zip(seconds["cluster 1"], seconds["one"], strict=True)) / shards
    print(f"one worker: {one:.1%} of a plain process, overhead {1 / one - 1:+.1%} (wanted: at most 5 %)")
    print(f"two workers: {two:.1%} of two plain processes (wanted: at least 95 %)")
    print(f"four workers: {four:.1%} of two")
    print(f"overhead: {over * 1e3:+.1f} ms a shard, of {shards} shards with {images / shards:.0f} images on average")
    kept = keep_seconds(images // shards, 24, 1)
    each = median(seconds["one"]) / images
    for workers, base in ((1, "one"), (2, "two")):
        compute = median(seconds[base])
        says = modelled(compute, shards, kept, 32 * each * workers)
        found = median(seconds[f"cluster {workers}"])
        print(f"model: {says:.1f} s for {workers} worker(s), measured {found:.1f} s ({found / says - 1:+.1%})")
    full = FULL_IMAGES * FULL_VIEWS * FULL_NETWORKS * each / FULL_WORKERS
    few = 8  # images of a shard of 144 crops and four networks of this size
    kept = keep_seconds(few, FULL_CLASSES, FULL_NETWORKS)
    says = modelled(full, FULL_IMAGES // few, kept, FULL_VIEWS * FULL_NETWORKS * each)
    print(
        f"model: {FULL_WORKERS} workers, {FULL_IMAGES} images of {FULL_VIEWS} views, {FULL_NETWORKS} networks:"
        f" {says / 3600:.2f} h, {full / says:.1%} of what {FULL_WORKERS} such machines could do. Assumed: each worker"
        f" has a machine as fast as this one; a view takes {each * 1e3:.1f} ms, as here with one; the driver keeps a"
        f" shard in {kept * 1e3:.1f} ms, one after another, and is not what all wait for; at the end workers wait for a"
        " shard's last images; the network carries answers while others are computed."
    )


def modelled(compute: float, shards: int, keep: float, last: float) -> float:
    """Seconds: workers compute, or the driver keeps shards, whichever is slower; half of a last batch is waited for."""
    return max(compute, shards * keep) + last / 2


def keep_seconds(images: int, classes: int, networks: int) -> float:
    """What the driver needs to put a shard's answers into its store."""
    arrays = tuple(np.zeros((max(1, images), classes), np.float32) for _ in range(networks))
    result = ShardResult(arrays, arrays, 0, 0.0)
    took = []
    with tempfile.TemporaryDirectory() as folder:
        for each in range(10):
            began = time.perf_counter()
            Store(Path(folder)).build(f"{each:064x}", "shard", lambda made: write(result, made))
            took.append(time.perf_counter() - began)
    return median(took)


if __name__ == "__main__":
    main()
