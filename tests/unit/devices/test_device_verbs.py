"""`edgekit device` with a stand-in for ssh that runs here what it is given; a real sshd is asked in test_devices.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import make_bundle
from click.testing import CliRunner

from edgekit.cli.device import command

STAND_IN = """#!/bin/sh
for last; do :; done
exec sh -c "$last"
"""


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device `pi` that is this machine."""
    stand_in = tmp_path / "ssh"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    monkeypatch.setenv("EDGEKIT_SSH", str(stand_in))
    monkeypatch.setenv("EDGEKIT_DEVICE_HOME", str(tmp_path / "device"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    said("add", "pi", "ssh://here", "--python", sys.executable)
    said("add", "other", "ssh://there", "--python", sys.executable)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "tiny", runtime="onnxruntime")


def said(*arguments: object) -> str:
    answer = CliRunner().invoke(command, [str(each) for each in arguments], standalone_mode=False)
    if answer.exception is not None:
        raise answer.exception
    return answer.stdout


def told(*arguments: object) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(said(*arguments, "--json"))
    return made


def test_probe_tells_the_facts_in_the_devices_order() -> None:
    one = told("probe", "pi")
    assert list(one) == [
        *("device", "model", "architecture", "cpu", "cores", "memory_bytes", "free_disk_bytes", "system", "python"),
        *("l4t", "jetpack", "cuda", "runtimes", "power_mode", "temperatures_c", "clocks_mhz"),
        *("features", "isa_limit"),
    ]
    assert one["device"] == "pi"
    assert one["python"] == ".".join(map(str, sys.version_info[:3]))
    assert one["runtimes"]["numpy"]
    assert [each["device"] for each in told("probe", "pi,other")["devices"]] == ["pi", "other"]
    lines = said("probe", "pi")
    assert f"onnxruntime {one['runtimes']['onnxruntime']}" in lines
    assert "not known" in lines


def test_deploy_sends_once_and_checks(bundle: Path) -> None:
    first, again = told("deploy", "pi", bundle), told("deploy", "pi", bundle, "--no-check")
    assert list(first) == ["device", "folder", "sent_bytes", "golden_cosine"]
    assert first["golden_cosine"] == pytest.approx(1, abs=1e-4)
    assert first["sent_bytes"] == sum(file.stat().st_size for file in bundle.iterdir())
    assert again == {**first, "sent_bytes": 0, "golden_cosine": None}
    assert said("deploy", "pi", bundle) == (
        f"pi: 0.00 MB sent to {first['folder']}, golden outputs agree (cosine {first['golden_cosine']:.4f})\n"
    )


def test_bench_tells_figures_and_conditions(bundle: Path) -> None:
    one = told("bench", "pi", bundle, "--runs", 30, "--max-seconds", 0.3)
    assert list(one) == ["device", "latency", "subjects", "warnings", "conditions"]
    assert one["subjects"] == [{"name": "tiny", **one["latency"]}]
    assert list(one["latency"]) == [
        *("p50", "p90", "p99", "mean", "ci95", "runs", "warmup", "throughput_ips", "steady"),
        *("p50_bounds", "p99_bounds", "quantiles", "energy_j"),
    ]
    assert 0 < one["latency"]["p50"] <= one["latency"]["p99"]
    assert one["conditions"]["samples"] > 0
    assert (one["conditions"]["mean_power_w"] is None) == ("why" in one["conditions"])
    assert "J an image" in said("bench", "pi", bundle, "--runs", 30, "--max-seconds", 0.3)


def test_bench_takes_bundles_of_two_input_sizes(bundle: Path, tmp_path: Path) -> None:
    wide = make_bundle(tmp_path / "wide", runtime="onnxruntime", size=48)
    one = told("bench", "pi", bundle, wide, "--runs", 30, "--max-seconds", 0.3)
    assert [each["name"] for each in one["subjects"]] == ["tiny", "wide"]
    assert all(each["p50"] > 0 and each["throughput_ips"] > 0 for each in one["subjects"])


def test_evaluate_tells_the_accuracy_and_of_what(bundle: Path, photos: Callable[..., Path]) -> None:
    one = told("evaluate", "pi", bundle, "--data", photos(classes=4, count=2), "--images", 6)
    assert list(one) == ["device", "accuracy", "data"]
    assert list(one["accuracy"]) == ["top1", "top5", "images", "ci95"]
    assert (one["accuracy"]["images"], one["accuracy"]["top5"]) == (6, 100.0)
    assert one["accuracy"]["ci95"][0] <= one["accuracy"]["top1"] <= one["accuracy"]["ci95"][1]
    assert (one["data"]["images"], one["data"]["skipped"]) == (6, 0)


def test_a_device_is_looked_at_and_its_timing_says_how_it_was_run(bundle: Path) -> None:
    from edgekit.devices import Connection, Registry
    from edgekit.devices.noise import look_there

    there = look_there(Connection(Registry().find("pi")))
    assert there.verdict in ("quiet", "noisy", "unknown")
    assert there.seen.cores >= 1
    assert there.seen.spin.runs > 1
    conditions = told("bench", "pi", bundle, "--runs", 30, "--max-seconds", 0.3)["conditions"]
    assert conditions["machine"]["seen"]["cores"] == there.seen.cores
    assert conditions["process"]["cores"] == there.seen.cores
    assert list(conditions["process"]["threads"]) == ["tiny"]
