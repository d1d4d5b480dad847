"""Networks are timed turn by turn, so that whatever slows the machine for a while slows all of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import numpy as np
import pytest

from edgekit.runtime import timing

PICTURE = np.zeros((1, 2, 2, 3), np.uint8)


def traced(names: str, runs: int) -> list[str]:
    """Which network ran, run by run."""
    trace: list[str] = []

    def network(name: str) -> Callable[[np.ndarray], None]:
        return lambda picture: trace.append(name)

    timing.time_networks({name: network(name) for name in names}, PICTURE, runs, 60.0, lambda done, total: None)
    return trace


@pytest.mark.parametrize("names", ["a", "ab", "abcd"])
def test_blocks_of_all_networks_take_turns_in_an_order_that_turns(names: str) -> None:
    runs = 60
    rounds, block = runs // timing.BLOCK, timing.BLOCK + 1  # the first run of a block is not counted
    timed = traced(names, runs)[-rounds * len(names) * block :]
    for number in range(rounds):
        one = timed[number * len(names) * block :][: len(names) * block]
        shift = number % len(names)
        assert [one[place * block : (place + 1) * block] for place in range(len(names))] == [
            [name] * block for name in names[shift:] + names[:shift]
        ]


def test_throughputs_take_no_longer_than_latencies_may() -> None:
    """Though MANY pictures are counted of each network, however little time there is."""
    assert timing.throughput_seconds(90.0, 4) == timing.THROUGHPUT_SECONDS
    assert timing.throughput_seconds(2.0, 4) == 0.5
    seen = dict.fromkeys("abc", 0)

    def network(name: str) -> Callable[[np.ndarray], None]:
        def infer(pictures: np.ndarray) -> None:
            seen[name] += len(pictures) == timing.MANY

        return infer

    networks = {name: network(name) for name in seen}
    told = timing.bench(networks, networks.__getitem__, PICTURE, 30, 0.0, lambda done, total: None)
    assert seen == dict.fromkeys("abc", 2), "to warm up, and to count"
    assert all(each["throughput_ips"] > 0 for each in told["timed"].values())


def test_no_network_is_timed_alone_for_longer_than_two_blocks() -> None:
    timed = traced("abc", 90)[-9 * 3 * (timing.BLOCK + 1) :]
    assert max(len(list(each)) for _, each in groupby(timed)) <= 2 * (timing.BLOCK + 1)
