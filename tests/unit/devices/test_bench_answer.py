"""What is timed comes over as JSON: read whole, told on as it came, and summed up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from edgekit.devices.registry import parse
from edgekit.devices.ssh import DeviceError, understood
from edgekit.devices.timed import BenchAnswer
from edgekit.runtime import timing
from edgekit.validate.latency import summed_up

CONDITIONS: dict[str, Any] = {
    "source": "ina3221",
    "rails": ["VDD_IN"],
    "seconds": 2.0,
    "samples": 4,
    "mean_power_w": 9.5,
    "energy_j": 19.0,
    "other_power_w": {"rapl": 3.0},
    "temperatures_c": {
        "gpu": {"first": 50.0, "max": 71.5, "last": 70.0},
        "cpu": {"first": 1.0, "max": 60, "last": 2.0},
    },
    "clocks_mhz": {"gpu": {"first": 918.0, "min": 612.0, "last": 700.0}},
    "throttled": True,
    "throttle_reasons": ["a hardware slowdown"],
    "allowed_clocks_mhz": {"gpu": 918.0},
    "power_mode": "MAXN",
}


def network(*blocks: list[float], energy_j: float | None = 0.5) -> dict[str, Any]:
    return {"blocks": list(blocks), "warmup": 30, "steady": True, "throughput_ips": 20.0, "energy_j": energy_j}


ANSWER = {"timed": {"a": network([4.0, 6.0], [5.0, 5.0]), "b": network([1.0, 1.0], energy_j=None)}}


def test_what_is_timed_here_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "THROUGHPUT_SECONDS", 0.01)
    networks = {"a": lambda pixels: None, "b": lambda pixels: None}
    told = timing.bench(networks, networks.__getitem__, np.zeros((1, 2, 2, 3), np.uint8), 30, 0.1, lambda a, b: None)
    told = json.loads(json.dumps(told))
    answer = BenchAnswer.of({**told, "bytes": 0})
    assert answer.conditions.as_json() == told["conditions"]
    assert list(answer.conditions.as_json()) == list(told["conditions"])
    assert {name: each.model_dump(mode="json", exclude_unset=True) for name, each in answer.timed.items()} == told[
        "timed"
    ]
    measured = summed_up(answer)
    assert set(measured.latency) == {"a", "b"}
    assert all(each.runs >= 30 for each in measured.latency.values())


def test_figures_energy_and_conditions_are_those_of_the_answer() -> None:
    measured = summed_up(BenchAnswer.of({**ANSWER, "conditions": CONDITIONS}))
    assert (measured.latency["a"].p50, measured.latency["a"].runs, measured.latency["a"].warmup) == (5.0, 4, 30)
    assert measured.energy_j == {"a": 0.5, "b": None}
    conditions = measured.conditions
    assert conditions is not None
    assert (conditions.source, conditions.mean_power_w, conditions.hottest_c) == ("ina3221", 9.5, 71.5)
    assert measured.warnings[-1] == "the device was throttled while it was measured: a hardware slowdown"


def test_why_there_is_no_power_is_told_only_where_there_is_none() -> None:
    assert "why" not in BenchAnswer.of({**ANSWER, "conditions": CONDITIONS}).conditions.as_json()
    without = {**CONDITIONS, "source": None, "mean_power_w": None, "energy_j": None, "why": "no monitor"}
    told = BenchAnswer.of({**ANSWER, "conditions": {**without, "temperatures_c": {}}}).conditions
    assert told.as_json()["why"] == "no monitor"
    assert told.hottest_c is None


@pytest.mark.parametrize("key", sorted(CONDITIONS))
def test_an_answer_that_lacks_something_is_none(key: str) -> None:
    conditions = {name: value for name, value in CONDITIONS.items() if name != key}
    with pytest.raises(ValidationError, match=key):
        BenchAnswer.of({**ANSWER, "conditions": conditions})
    with pytest.raises(ValidationError):
        BenchAnswer.of({"done": 1, "total": 2})


def test_images_a_second_by_how_many_at_once_are_told_where_there_are_several() -> None:
    several = {"timed": {**ANSWER["timed"], "a": {**ANSWER["timed"]["a"], "by_batch": {"1": 20.0, "8": 50.0}}}}
    told = summed_up(BenchAnswer.of({**several, "conditions": CONDITIONS})).latency
    assert told["a"].as_dict()["by_batch"] == {"1": 20.0, "8": 50.0}
    assert "by_batch" not in told["b"].as_dict()


@pytest.mark.parametrize(
    "blocks",
    [
        [],
        [[]],
        [[1.0, 2.0], [3.0]],
        [[1.0, 0.0]],
        [[1.0, -2.0]],
        [[float("nan"), 1.0]],
        [[float("inf"), 1.0]],
        [["1", None]],
    ],
)
def test_times_that_are_none_are_refused_and_the_device_is_told_of(blocks: list[Any]) -> None:
    """JSON of Python holds what is no number, and a median of it would be a latency."""
    told = json.loads(json.dumps({"timed": {"a": network(*blocks)}, "conditions": CONDITIONS}))
    with pytest.raises(ValidationError, match="blocks"):
        BenchAnswer.of(told)
    with pytest.raises(DeviceError, match=r"makes no sense.*blocks"), understood(parse("ssh://nobody@nowhere")):
        BenchAnswer.of(told)
