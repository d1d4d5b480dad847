"""Where a build's variants are executed: on this machine, on a device over SSH, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.backends.tensorrt_library import Flavour, installed
from edgekit.build.run import Event, Run
from edgekit.devices import Connection, Registry, remote
from edgekit.devices.remote import Probed
from edgekit.errors import InputError, UnavailableError
from edgekit.targets import Target, describe

if TYPE_CHECKING:
    from edgekit.backends import Compiled, Session
    from edgekit.devices.remote import Network

HERE = ("cpu", "gpu")
"""Families of targets that run on the machine that builds, unless a device is named."""

SENT = ("cpu", "jetson")
"""Families that a named device may be of."""


def reach(run: Run) -> Probed | None:
    """The device that the recipe names, probed; None if it names none.

    Raises:
        InputError: the target is of no kind that runs on a device, or there is no such device.
        UnavailableError: it cannot be reached, or has not got the runtime.
    """
    name = run.recipe.device
    if name is None:
        return None
    if run.target.family not in SENT:
        raise InputError(f"--device cannot be measured with --target {run.recipe.target}", "Use cpu or a Jetson.")
    connection = Connection(Registry().find(name))
    run.on_event(Event("probe"))
    facts = remote.probe(connection)
    run.on_event(Event("probe", finished=True, detail=str(facts["model"] or facts["cpu"])))
    runtime = run.target.runtime
    if not facts["runtimes"][runtime]:
        raise UnavailableError(
            f"{name} has no {runtime} that its {connection.device.python} can import",
            "Install it there, or name another interpreter with `edgekit device add --python`.",
        )
    return Probed(connection, facts)


def require_compiler(target: Target) -> None:
    """Refuses early what could not be compiled late.

    Raises:
        UnavailableError: the target's TensorRT is not installed, or there is no GPU for it.
    """
    if target.family not in ("gpu", "rtx"):
        return
    if target.family == "gpu" and not describe().gpus:
        raise UnavailableError(
            "there is no NVIDIA GPU here", "`--target rtx` builds for GPUs elsewhere, `--target jetson` for Jetsons."
        )
    flavour: Flavour = "tensorrt-rtx" if target.family == "rtx" else "tensorrt"
    if installed(flavour) is None:
        raise UnavailableError(
            f"{flavour} is not installed", f"Get it with: pip install 'edgekit[cpu,{target.extra}]'."
        )


def networks(run: Run, device: Probed, compiled: Mapping[str, Compiled], settings: Mapping[str, Any]) -> list[Network]:
    """Sends every variant's compiled form to the device."""
    found = []
    for name, each in compiled.items():
        path = Path(each.path)
        files = {f"model{path.suffix}": path}
        for extra in sorted(path.parent.glob("model.dla.*")):
            files[extra.name] = extra
        if path.suffix == ".xml":
            files["model.bin"] = path.with_suffix(".bin")

        def tell(done: int, total: int, name: str = name) -> None:
            run.on_event(Event("deploy", done, total, detail=name))

        folder, _ = remote.place(device.connection, files, tell)
        found.append(remote.Network(name, folder, each.runtime, each.precision, dict(settings)))
    run.on_event(Event("deploy", finished=True))
    return found


@contextmanager
def sessions(
    run: Run, device: Probed | None, compiled: Mapping[str, Compiled], settings: Mapping[str, Any]
) -> Iterator[dict[str, Session]]:
    """Every variant loaded, here or on the device, for many pictures."""
    if device is None:
        from edgekit.backends import load

        yield {name: load(each, "throughput") for name, each in compiled.items()}
        return
    made = {
        each.name: remote.RemoteSession(device.connection, each) for each in networks(run, device, compiled, settings)
    }
    try:
        yield dict(made)
    finally:
        for session in made.values():
            session.close()
