"""What a build was for and made with, as the report and the manifest tell it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from edgekit.build.prove import compile_settings, engine_settings, is_executed, toolchain
from edgekit.build.run import Run, machine_identity, read_json
from edgekit.store import Entry


def describe_target(run: Run, compiled: Entry, latency: Mapping[str, Any]) -> dict[str, Any]:
    """The report's `target`, and beside it under "environment" what was used, here and there.

    The runtime's version is the device's own, or the one that compiled; for a Jetson that is not here, the one that is
    built for.
    """
    here = machine_identity()
    environment: dict[str, Any] = {"cpu": here["cpu"], "openvino": here["openvino"]}
    target, release = run.target, run.release
    told = {"name": run.recipe.target, "runtime": target.runtime, "runtime_version": here["openvino"]}
    device, features = here["cpu"], list(here["features"])
    if release is not None:
        made_with = toolchain(run)
        told["runtime_version"] = made_with[target.runtime] if target.family != "jetson" else release.tensorrt
        device, features = _device(made_with.get("gpus")), [f"sm {each}" for each in target.compute_capabilities]
        if target.family == "jetson":
            parser = read_json(compiled.path / "compiled.json")["parser"]
            environment["parser preflight"] = parser or "none: no TensorRT is installed here"
            environment["jetpack"] = release.jetpack
        if not is_executed(run):
            environment["accuracy executed with"] = f"onnxruntime {version('onnxruntime')}, {here['cpu']}"
    if run.device is not None:
        facts = run.device.facts
        device = str(facts["model"] or facts["cpu"])
        told["runtime_version"] = facts["runtimes"].get(target.runtime)
        features = features if release is not None else []
        environment |= {f"device {key}": facts[key] for key in ("python", "system", "l4t", "jetpack", "cuda")}
    return {**told, "device": device, "features": features, "environment": environment | _conditions(latency)}


def _conditions(latency: Mapping[str, Any]) -> dict[str, Any]:
    """Under what power, temperatures and clocks latencies were measured."""
    told = latency.get("conditions")
    if not told:
        return {}
    hottest = max((ends["max"] for ends in told["temperatures_c"].values()), default=None)
    return {
        "power measured with": told["source"] or f"not_measured: {told['why']}",
        "mean power, W": told["mean_power_w"],
        "hottest sensor, C": hottest,
        "throttled": told["throttled"],
        "power mode": told["power_mode"],
    }


def _device(gpus: list[str] | None) -> str | None:
    return ", ".join(gpus) if gpus else None


def engine_facts(run: Run, chosen: str) -> dict[str, Any]:
    """The manifest's `engine` (what a finished engine runs on) and `engine_settings` (how a device builds one)."""
    release = run.release
    if release is None:
        return {}
    if run.target.family == "jetson":
        return {"engine_settings": engine_settings(run)}
    made_with = toolchain(run)
    capabilities = list(compile_settings(run).compute_capabilities)
    words = [f"sm{each.replace('.', '')}" for each in capabilities] or [
        each.replace(" ", "-") for each in made_with["gpus"]
    ]
    where = f"{platform.system().lower()}-{platform.machine()}"
    return {
        "engine": {
            "name": "_".join([*words, f"{run.target.runtime}-{made_with[run.target.runtime]}", where]),
            "compute_capabilities": capabilities,
            "tensorrt": made_with[run.target.runtime],
            "platform": where,
        }
    }
