"""Times networks side by side: each until it is steady, then in blocks that take turns.

Whatever slows the machine for a while slows all of them; the first run of a block, with the caches full of another
network's weights, is not counted. Written for Python 3.6, so that hosts and devices time the same way.
"""

import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from . import cgroup, noise
from .power import Sampler, power_mode

Infer = Callable[..., Any]

BLOCK = 10
STEADY = 0.05
"""A network is steady when the medians of three blocks in a row differ by no more than this part."""
WARMUP_SHARE = 0.3
THROUGHPUT_SECONDS = 1.5
"""Of each network, where there is time for it."""
MANY = 16
"""Pictures at once, where throughput is measured."""


class Times(NamedTuple):
    """Milliseconds of single runs in blocks, how many runs came before, and whether their medians agreed at last."""

    blocks: List[List[float]]
    warmup: int
    steady: bool


def time_networks(
    networks: Dict[str, Infer],
    picture: np.ndarray,
    runs: int,
    max_seconds: float,
    on_progress: Callable[[int, int], None],
) -> Dict[str, Times]:
    """Latencies of networks by name.

    Args:
        networks: functions that take the picture, by name.
        runs: timed runs of each, fewer if max_seconds end before, but never fewer than three blocks.
        on_progress: called with rounds done and rounds in all.
    """
    began = time.perf_counter()
    share = max_seconds * WARMUP_SHARE / len(networks)
    warm = {name: warm_up(infer, picture, share) for name, infer in networks.items()}
    rounds = max(3, -(-runs // BLOCK))
    blocks = _interleaved(networks, picture, rounds, began + max_seconds, on_progress)
    return {name: Times(blocks[name], *warm[name]) for name in networks}


def bench(
    networks: Dict[str, Infer],
    many: Callable[[str], Infer],
    picture: np.ndarray,
    runs: int,
    max_seconds: float,
    on_progress: Callable[[int, int], None],
) -> Dict[str, Any]:
    """Latencies side by side, then each network's throughput and energy by itself.

    Args:
        many: makes the function of a name that takes many pictures.
        max_seconds: that latencies may take, and throughputs once more.
    Returns:
        JSON: {"timed": {name: {the fields of Times, "throughput_ips", "energy_j" of one image or None}}, "conditions":
        power, temperatures and clocks while latencies were timed, see edgekit.runtime.power.summary; a quota of
        processor time that was used up in all of this is a reason of throttling; "machine" as it was seen right before
        (edgekit.runtime.noise.as_json) and "process" as it was run (the fields of noise.Taken)}.
    """
    machine = noise.as_json(noise.look(max_seconds))
    before = cgroup.periods()
    with noise.Watch() as watch, Sampler() as sampler:
        timed = time_networks(networks, picture, runs, max_seconds, on_progress)
    seconds = throughput_seconds(max_seconds, len(timed))
    told: Dict[str, Any] = {}
    for name, times in timed.items():
        infer_many = many(name)
        with Sampler() as own:
            ips = throughput_ips(infer_many, picture, seconds)
        watts = own.told["mean_power_w"]
        told[name] = dict(times._asdict(), throughput_ips=ips, energy_j=None if watts is None else watts / ips)
    conditions = dict(sampler.told, power_mode=power_mode(), machine=machine, process=watch.taken()._asdict())
    stopped = cgroup.throttling(before, cgroup.periods())
    if stopped is not None:
        conditions.update(throttled=True, throttle_reasons=[*conditions["throttle_reasons"], stopped])
    return {"timed": told, "conditions": conditions}


def _block(infer: Infer, picture: np.ndarray) -> List[float]:
    """Milliseconds of BLOCK runs."""
    times = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        infer(picture)
        times.append((time.perf_counter() - began) * 1e3)
    return times


def warm_up(infer: Infer, picture: np.ndarray, max_seconds: float) -> Tuple[int, bool]:
    """Runs until the medians of three blocks in a row agree; how many runs that took, and whether they did."""
    until = time.perf_counter() + max_seconds
    medians: List[float] = []
    while len(medians) < 3 or time.perf_counter() < until:
        medians.append(float(np.median(_block(infer, picture))))
        last = medians[-3:]
        if len(last) == 3 and max(last) <= min(last) * (1 + STEADY):
            return len(medians) * BLOCK, True
    return len(medians) * BLOCK, False


def _interleaved(
    networks: Dict[str, Infer],
    picture: np.ndarray,
    rounds: int,
    until: float,
    on_progress: Callable[[int, int], None],
) -> Dict[str, List[List[float]]]:
    """Blocks of each network, in an order that turns; at least three rounds, then until time is over."""
    blocks: Dict[str, List[List[float]]] = {name: [] for name in networks}
    names = list(networks)
    for done in range(rounds):
        shift = done % len(names)
        for name in names[shift:] + names[:shift]:
            networks[name](picture)
            blocks[name].append(_block(networks[name], picture))
        on_progress(done + 1, rounds)
        if done >= 2 and time.perf_counter() > until:
            break
    return blocks


def threads(networks: Mapping[str, object]) -> Dict[str, Optional[int]]:
    """How many threads each network is given for one picture; None where its runtime does not tell."""
    return {name: getattr(network, "threads", None) for name, network in networks.items()}


def throughput_seconds(max_seconds: float, networks: int) -> float:
    """How long the throughput of each of some networks is measured where all of them may take so long."""
    return min(THROUGHPUT_SECONDS, max_seconds / networks)


def throughput_ips(infer_many: Infer, picture: np.ndarray, seconds: float) -> float:
    """Images a second over some seconds, after MANY images to warm up; they go through once at least."""
    many = np.repeat(picture, MANY, 0)
    infer_many(many)
    images, began = 0, time.perf_counter()
    while images == 0 or time.perf_counter() - began < seconds:
        infer_many(many)
        images += len(many)
    return images / (time.perf_counter() - began)
