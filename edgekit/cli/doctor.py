"""`edgekit doctor`: what this machine can do, what is missing and how to get it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.noise import noise_here, noise_in_words
from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table, say
from edgekit.cli.process import check_temporary
from edgekit.errors import InputError, UnavailableError, install_hint

if TYPE_CHECKING:
    from edgekit.devices.noise import MachineReading
    from edgekit.targets import Inventory, Target

PACKAGES: tuple[tuple[str, str, str], ...] = (
    ("click", "click", ""),
    ("rich", "rich", ""),
    ("numpy", "numpy", ""),
    ("Pillow", "PIL", ""),
    ("pydantic", "pydantic", ""),
    ("PyYAML", "yaml", ""),
    ("Jinja2", "jinja2", ""),
    ("torch", "torch", "cpu"),
    ("onnx", "onnx", "cpu"),
    ("onnxscript", "onnxscript", "cpu"),
    ("openvino", "openvino", "cpu"),
    ("nncf", "nncf", "cpu"),
    ("safetensors", "safetensors", "cpu"),
    ("onnxruntime", "onnxruntime", "cpu"),
    ("huggingface_hub", "huggingface_hub", "cpu"),
    ("timm", "timm", "timm"),
    ("cryptography", "cryptography", "sign"),
    ("oras", "oras", "oci"),
    ("mlflow-skinny", "mlflow", "track"),
    ("starlette", "starlette", "serve"),
    ("uvicorn", "uvicorn", "serve"),
    ("h5py", "h5py", "keras"),
    ("ray", "ray", "cluster"),
    ("optuna", "optuna", "cluster"),
    ("tensorrt-cu13", "tensorrt", "gpu"),
    ("polygraphy", "polygraphy", "rtx"),
    ("tensorrt-rtx-cu13-bindings", "tensorrt_rtx_bindings", "rtx"),
    ("onnxruntime-ep-nv-tensorrt-rtx-cu13", "onnxruntime_ep_nv_tensorrt_rtx", "rtx"),
)
"""Distribution, the package that it brings, the extra that brings it (empty: the base install)."""

BUILD_MEMORY_BYTES = 3 * 2**30
"""What a full-size build may take."""

BUILD_DISK_BYTES = 2 * 2**30
"""What a full-size build and its store entries may take."""


@dataclass(frozen=True)
class Package:
    """A distribution, its version (None where it is missing), and the extra that brings it (None: the base)."""

    name: str
    version: str | None
    extra: str | None


@dataclass(frozen=True)
class Cache:
    """Where the stage store is, and the free bytes on its disk; `why` nothing can be kept, where that is so."""

    path: str
    exists: bool
    writable: bool
    free_bytes: int
    why: str | None = None


@dataclass(frozen=True)
class Emulation:
    """What `verify --emulate` would run in: the folder, qemu's version and the wheels; or why not, and what gets it."""

    root: str
    qemu: str | None = None
    runtimes: tuple[str, ...] = ()
    why: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class Device:
    """A device as OpenVINO calls it ("GPU.1"), its own name, and its driver's version (None where it is not told)."""

    device: str
    name: str
    driver: str | None


@dataclass(frozen=True)
class Readiness:
    """What a target can do here: ready or not, its fast precisions, why not, and what to do about it."""

    name: str
    ready: bool
    fast: tuple[str, ...]
    why: str | None
    hint: str | None


@dataclass(frozen=True)
class Findings:
    """All that is found; advice is most important first. `openvino`: the devices that OpenVINO sees."""

    machine: Inventory
    openvino: tuple[Device, ...]
    packages: tuple[Package, ...]
    cache: Cache
    targets: tuple[Readiness, ...]
    emulation: Emulation
    advice: tuple[str, ...]
    noise: MachineReading | None

    def as_json(self) -> dict[str, Any]:
        """What --json prints."""
        noise = None if self.noise is None else self.noise.model_dump(mode="json")
        return {**asdict(self), "noise": noise}


@click.command(epilog="\b\nExamples:\n  edgekit doctor\n  edgekit doctor --json")
@json_option
def command(as_json: bool) -> None:
    """Say what this machine can do, what is missing and how to get it.

    Looks at the processor, memory, disk, Python packages, NVIDIA GPU and OpenVINO's devices; changes nothing and always
    exits 0.
    """
    from edgekit.targets import describe

    findings = examine(describe())
    if as_json:
        emit_json(findings.as_json())
    else:
        _print(findings)


def examine(machine: Inventory) -> Findings:
    """Looks for everything on a machine."""
    from edgekit.targets import TARGETS

    packages = tuple(_package(*package) for package in PACKAGES)
    cache, devices = _cache(), _openvino_devices()
    targets = tuple(_target(target, machine, packages, devices) for target in TARGETS.values())
    advice = tuple(_advice(machine, packages, cache))
    return Findings(machine, devices, packages, cache, targets, _emulation(), advice, noise_here())


def _openvino_devices() -> tuple[Device, ...]:
    """What OpenVINO sees; nothing where it is not installed, or cannot be loaded."""
    from edgekit.runtime.openvino_plugins import all_seen

    try:
        return tuple(Device(*each) for each in all_seen())
    except (ImportError, OSError, RuntimeError):  # a package that is missing is told of as such
        return ()


def _package(distribution: str, module: str, extra: str) -> Package:
    """Whether a package is there, and which version; found without importing it."""
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    try:
        found: str | None = version(distribution)
    except PackageNotFoundError:
        found = "unknown" if find_spec(module) else None
    return Package(distribution, found, extra or None)


def _cache() -> Cache:
    import shutil

    from edgekit.store import default_root
    from edgekit.store.root import may_write

    try:
        root = default_root()
    except InputError as error:
        return Cache("none", False, False, 0, f"{error.what}. {error.hint}")
    existing = next(path for path in (root, *root.parents) if path.exists())
    return Cache(str(root), root.exists(), may_write(existing), shutil.disk_usage(existing).free)


def _emulation() -> Emulation:
    from edgekit.devices.emulator import default_root, find_emulator

    try:
        root = default_root()
        found = find_emulator()
    except InputError as error:  # a user without a home
        return Emulation("none", why=error.what, hint=error.hint)
    except UnavailableError as error:
        return Emulation(str(root), why=error.what, hint=error.hint)
    runtimes = tuple(f"{each} {found.wheels[each]}" for each in found.engines)
    return Emulation(str(root), found.qemu_version, runtimes)


def _missing(packages: tuple[Package, ...], extra: str | None) -> list[str]:
    """The packages of an extra that are not there."""
    return [package.name for package in packages if package.extra == extra and not package.version]


def _target(
    target: Target, machine: Inventory, packages: tuple[Package, ...], devices: tuple[Device, ...]
) -> Readiness:
    from edgekit.runtime.openvino_plugins import PLUGINS

    missing = _missing(packages, target.extra)
    plugin = target.can.plugin
    why = hint = ""
    if target.can.gpu and not machine.gpus:
        why = "no NVIDIA GPU here"
    elif missing:
        why, hint = f"missing: {', '.join(missing)}", install_hint(target.extra)
    elif plugin and not any(each.device.partition(".")[0] == plugin for each in devices):
        why, hint = f"OpenVINO sees no {plugin} here", PLUGINS[plugin].needs
    elif target.can.layers and machine.architecture not in ("x86_64", "AMD64", "aarch64", "arm64"):
        why = f"OpenVINO does not run on {machine.architecture}"
    return Readiness(target.name, not why, target.fast_here(machine.features), why or None, hint or None)


def _advice(machine: Inventory, packages: tuple[Package, ...], cache: Cache) -> list[str]:
    """What a user should do or know, most important first."""
    advice = []
    for extra in (None, "cpu"):
        missing = _missing(packages, extra)
        if missing:
            advice.append(f"Missing {', '.join(missing)}. {install_hint(*([extra] if extra else []))}")
    try:
        check_temporary()
    except InputError as error:
        advice.append(f"{error.what}. {error.hint}")
    if machine.quota is not None and machine.quota < 1:
        advice.append(
            f"The quota of processor time is {machine.quota:.3g}: even one thread stands still for a part of each"
            " period, and latencies are those of that. Give it 1 or more."
        )
    if machine.available_bytes is not None and machine.available_bytes < BUILD_MEMORY_BYTES:
        advice.append(f"Only {_gib(machine.available_bytes)} of memory is free; a full-size build takes up to 3 GiB.")
    if cache.why is not None:
        advice.append(cache.why)
    elif not cache.writable:
        advice.append(f"The cache {cache.path} cannot be written. Set EDGEKIT_CACHE to a folder that can.")
    elif cache.free_bytes < BUILD_DISK_BYTES:
        advice.append(f"Only {_gib(cache.free_bytes)} of disk is free. See: edgekit cache prune")
    from edgekit.targets import TARGETS

    fast = TARGETS["cpu"].fast_precisions(machine.features)
    if "int8" not in fast:
        advice.append("This processor has no fast INT8 instructions: INT8 may win little here. Measure on the device.")
    if machine.jetson:
        advice.append(f"This is a {machine.jetson}: builds for it are best made on a workstation.")
    return advice


def _gib(size_bytes: int | None) -> str:
    return "unknown" if size_bytes is None else f"{size_bytes / 2**30:.1f} GiB"


def _cores(machine: Inventory) -> str:
    """Threads of the runtimes, and what they are decided by where that is not all the processors."""
    quota = "none" if machine.quota is None else f"{machine.quota:.3g}"
    return f"{machine.usable_cores} usable of {machine.cores} (affinity {machine.affinity}, quota {quota})"


def _emulated(emulation: Emulation) -> str:
    """For `verify --emulate`, whether it can be had; few need it, so that it is no advice."""
    if emulation.why is not None:
        return f"no: {emulation.why}. {emulation.hint or ''}".strip()
    return f"yes: qemu {emulation.qemu}, {', '.join(emulation.runtimes)}, in {emulation.root}"


def _print(findings: Findings) -> None:
    machine, cache = findings.machine, findings.cache
    gpus = ", ".join(machine.gpus) or "none found"
    driver = f" (driver {machine.nvidia_driver})" if machine.nvidia_driver else ""
    seen = ", ".join(f"{each.device} ({_driven(each)})" for each in findings.openvino) or "none"
    rows = [
        ("processor", machine.cpu),
        ("features", " ".join(machine.features) or "none of interest"),
        ("cores", _cores(machine)),
        ("quiet now", noise_in_words(findings.noise)),
        ("memory", f"{_gib(machine.available_bytes)} free of {_gib(machine.memory_bytes)}"),
        ("system", f"{machine.system}, {machine.architecture}, Python {machine.python}"),
        ("NVIDIA GPU", gpus + driver),
        ("OpenVINO's devices", seen),
        ("cache", f"{cache.path}, {_gib(cache.free_bytes)} of disk free"),
        ("emulation of arm64", _emulated(findings.emulation)),
    ]
    print_table(("this machine", ""), rows)
    say("")
    packages = [(package.name, package.version or "missing", _origin(package.extra)) for package in findings.packages]
    print_table(("package", "version", "comes with"), packages)
    say("")
    targets = [
        (target.name, "ready" if target.ready else "no", " ".join(target.fast), target.why or "")
        for target in findings.targets
    ]
    print_table(("target", "here", "fast precisions", "why not"), targets)
    say("")
    for line in findings.advice or ["Nothing is missing for `edgekit build --target cpu`."]:
        say(line)


def _driven(device: Device) -> str:
    return device.name + (f", driver {device.driver}" if device.driver else "")


def _origin(extra: str | None) -> str:
    return f"extra {extra}" if extra else "edgekit"
