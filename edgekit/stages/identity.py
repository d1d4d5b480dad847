"""What a build was for and made with, as the report and the manifest tell it."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

from edgekit.stages.prove import compile_settings, runs_here, toolchain
from edgekit.stages.run import Run, machine_identity, read_json
from edgekit.store import Entry


def describe_target(run: Run, compiled: Entry) -> dict[str, Any]:
    """The report's `target`, and beside it under "environment" what was used here.

    The runtime's version is the one that compiled; for a Jetson that is not here, the one that is built for.
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
        parser = read_json(compiled.path / "compiled.json")["parser"]
        if target.family == "jetson":
            told["name"] = run.recipe.target
            environment["parser preflight"] = parser or "none: no TensorRT is installed here"
            environment["jetpack"] = release.jetpack
        if not runs_here(run):
            environment["accuracy executed with"] = f"onnxruntime {version('onnxruntime')}, {here['cpu']}"
    return {**told, "device": device, "features": features, "environment": environment}


def _device(gpus: list[str] | None) -> str | None:
    return ", ".join(gpus) if gpus else None


def engine_facts(run: Run, chosen: str) -> dict[str, Any]:
    """The manifest's `engine` (what a finished engine runs on) and `engine_settings` (how a device builds one)."""
    release = run.release
    if release is None:
        return {}
    if run.target.family == "jetson":
        settings: dict[str, Any] = {"typed": release.typed}
        workspace = compile_settings(run).workspace_bytes
        if workspace is not None:
            settings["workspace_bytes"] = workspace
        if run.recipe.tensorrt.dla:
            settings["dla_core"] = 0
        return {"engine_settings": settings}
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
