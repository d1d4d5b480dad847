"""64-bit ARM processors without a board: what emulates them here, what is missing for that, and running a module there.

qemu's user mode runs an arm64 Python on this kernel: as this user, without a container or mounts. What it runs from is
made by docker/arm64-root.sh; see docs/arm-emulation.md.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from types import MappingProxyType
from typing import Final

from edgekit.errors import InputError, UnavailableError
from edgekit.runtime.home import expanded, home
from edgekit.store.root import no_home

VARIABLE: Final = "EDGEKIT_ARM64_ROOT"
SCRIPT: Final = "docker/arm64-root.sh"

LEAST_QEMU: Final = (10, 0)
"""The oldest that was tried and runs ONNX Runtime. 7.2, of Debian 12, crashes when it is imported."""

LONGEST_SILENCE_S: Final = 1800.0
"""Longer than a picture of any network here took; what says nothing for so long hangs."""

NEEDED: Final = ("numpy",)
ENGINES: Final = ("onnxruntime", "openvino")
"""Wheels without which nothing runs, and the inference runtimes of which at least one must be there."""


@dataclass(frozen=True)
class Processor:
    """A processor that is emulated: its name in qemu, and what it stands for."""

    qemu: str
    stands_for: str


PROCESSORS: Final[Mapping[str, Processor]] = MappingProxyType(
    {
        "arm64": Processor("cortex-a76", "Cortex-A76: Armv8.2 with dot products and FP16 arithmetic"),
        "raspberry-pi-4": Processor("cortex-a72", "Cortex-A72: Armv8.0, without dot products and FP16 arithmetic"),
        "raspberry-pi-5": Processor("cortex-a76", "Cortex-A76: Armv8.2 with dot products and FP16 arithmetic"),
        "arm64-i8mm": Processor("neoverse-n2", "Neoverse N2: Armv9 with products of INT8 matrices, and SVE2"),
    }
)
"""What `--emulate` takes. Kernels are chosen by what the processor can do, so that one does not speak for another."""


@dataclass(frozen=True)
class Emulator:
    """What runs arm64 programs here: the folder, qemu with its version, and the version of every wheel by its name."""

    root: Path
    qemu: Path
    qemu_version: str
    wheels: Mapping[str, str]

    @property
    def engines(self) -> tuple[str, ...]:
        """The inference runtimes that are there."""
        return tuple(each for each in ENGINES if each in self.wheels)


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code, or minus the signal that ended it, and what it wrote on standard error."""

    code: int
    said: str


def default_root() -> Path:
    """$EDGEKIT_ARM64_ROOT, or edgekit/arm64 in $XDG_DATA_HOME or ~/.local/share.

    Raises:
        InputError: this user has no home.
    """
    try:
        named = os.environ.get(VARIABLE)
        if named:
            return Path(expanded(named))
        data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        if data.startswith("~") and home() is None:  # a folder among the temporary ones is no place for it
            raise InputError(
                "this user has no home, where a root would be looked for", f"Set {VARIABLE}, or give --root."
            )
        return Path(expanded(data)) / "edgekit" / "arm64"
    except OSError as error:
        raise no_home(error) from error


def find_emulator(root: Path | None = None) -> Emulator:
    """What emulates arm64 here.

    Args:
        root: the folder that docker/arm64-root.sh made; None: the default one.
    Raises:
        UnavailableError: something is missing, or qemu is too old; the hint has the command that gets it.
    """
    folder = (root or default_root()).absolute()
    hint = how_to_get(None if root is None else folder)
    if not folder.is_dir():
        raise UnavailableError(f"there is no arm64 root at {folder}", hint)
    wheels = {each.name.lower(): each.version for each in distributions(path=[str(folder / "wheels")])}
    parts = {"system/usr/bin/python3": python_of(folder).is_file(), **{each: each in wheels for each in NEEDED}}
    parts[" or ".join(ENGINES)] = any(each in wheels for each in ENGINES)
    lacking = [name for name, there in parts.items() if not there]
    if lacking:
        raise UnavailableError(f"the arm64 root {folder} lacks {', '.join(lacking)}", hint)
    qemu, version = _qemu(folder, hint)
    return Emulator(folder, qemu, version, MappingProxyType(wheels))


def how_to_get(root: Path | None = None, engine: str | None = None) -> str:
    """The command that makes an arm64 root, or adds an inference runtime to it, as a sentence."""
    more = f" --root {root}" if root is not None and root != default_root() else ""
    more += f" --with {engine}" if engine is not None else ""
    return f"Get it with: sh {SCRIPT}{more}, in a checkout of edgekit."


def python_of(root: Path) -> Path:
    """The arm64 Python of a root."""
    return root / "system" / "usr" / "bin" / "python3"


def _qemu(root: Path, hint: str) -> tuple[Path, str]:
    """The first qemu that is new enough: the root's own, then those that are installed."""
    named = [str(root / "qemu-aarch64"), *map(shutil.which, ("qemu-aarch64", "qemu-aarch64-static"))]
    old = []
    for path in (Path(each) for each in named if each is not None and Path(each).is_file()):
        version = version_of(_output([str(path), "--version"]))
        if version is not None and tuple(map(int, version.split(".")[:2])) >= LEAST_QEMU:
            return path, version
        old.append(f"{path} is {version or 'of an unknown version'}")
    least = ".".join(map(str, LEAST_QEMU))
    if old:
        why = f"{' and '.join(old)}; ONNX Runtime needs {least} or newer, and crashes in 7.2"
        raise UnavailableError(f"qemu-aarch64 is too old: {why}", hint)
    raise UnavailableError(f"there is no qemu-aarch64 (qemu-user {least} or newer)", hint)


def version_of(told: str) -> str | None:
    """The version in what `qemu-aarch64 --version` prints; None where there is none."""
    found = re.search(r"version (\d+\.\d+(?:\.\d+)?)", told)
    return found.group(1) if found else None


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def command_line(emulator: Emulator, cpu: str, module: str, arguments: Sequence[str]) -> list[str]:
    """What runs a Python module in the emulated processor; paths that the root has not are this machine's."""
    system = emulator.root / "system"
    python = str(python_of(emulator.root))
    return [str(emulator.qemu), "-cpu", cpu, "-L", str(system), python, "-B", "-s", "-m", module, *arguments]


def run_module(
    emulator: Emulator, cpu: str, archive: Path, call: Sequence[str], on_lines: Callable[[list[str]], None]
) -> Ended:
    """Runs a module of the device runtime in an emulated processor, in a process of its own.

    Args:
        cpu: as qemu names it; archive: the runtime's, in a folder that the program may write to.
        call: the module's name and its arguments.
        on_lines: gets the lines of standard output, all up to now, several times a second.
    Raises:
        UnavailableError: it says nothing for LONGEST_SILENCE_S.
        OSError: qemu cannot be started.
    """
    work = archive.parent
    # Nothing of this machine's environment: libraries and settings of another architecture would be taken for its own.
    surroundings = {
        "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": f"{archive}:{emulator.root / 'wheels'}",
        **dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "EDGEKIT_CACHE", "EDGEKIT_ENGINES"), str(work)),
    }  # fmt: skip
    out, said = work / "out", work / "said"
    with out.open("wb") as told, said.open("wb") as errors:
        process = subprocess.Popen(
            command_line(emulator, cpu, call[0], call[1:]),
            stdin=subprocess.DEVNULL, stdout=told, stderr=errors, env=surroundings, cwd=work, start_new_session=True,
        )  # fmt: skip
        try:
            _wait(process, lambda: _lines(out), on_lines)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    on_lines(_lines(out))
    return Ended(process.returncode, said.read_text(errors="replace"))


def _wait(
    process: subprocess.Popen[bytes], lines: Callable[[], list[str]], on_lines: Callable[[list[str]], None]
) -> None:
    heard, before = time.monotonic(), 0
    while process.poll() is None:
        time.sleep(0.2)
        now = lines()
        on_lines(now)
        if len(now) > before:
            heard, before = time.monotonic(), len(now)
        elif time.monotonic() - heard > LONGEST_SILENCE_S:
            what = f"the emulated processor has said nothing for {LONGEST_SILENCE_S / 60:.0f} minutes"
            raise UnavailableError(what, "Leave it a processor of its own, or take fewer pictures.")


def _lines(path: Path) -> list[str]:
    """Whole lines; the last may still be being written."""
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]


def check_ended(ended: Ended, emulator: Emulator, what: str) -> None:
    """Tells in words how an emulated program failed.

    Args:
        what: what it was doing.
    Raises:
        UnavailableError: it ended by a signal, or with an exit code that is not 0.
    """
    last = next((line for line in reversed(ended.said.splitlines()) if line.strip()), "")
    if ended.code == -signal.SIGILL:
        hint = "A board with this processor would stop there, too; try another --runtime."
        raise UnavailableError(f"{what} met an instruction that the emulated processor does not have", hint)
    if ended.code == -signal.SIGKILL:
        raise UnavailableError(f"{what} was killed from outside", "It may have run out of memory.")
    if ended.code < 0:
        name = signal.Signals(-ended.code).name
        hint = f"Only a board can tell whether qemu or the program is at fault; try another qemu. It said: {last}"
        raise UnavailableError(f"{what} crashed in qemu {emulator.qemu_version} ({name})", hint)
    if ended.code:
        raise UnavailableError(f"{what} failed in the emulated processor: {last or f'exit code {ended.code}'}")


def processor_named(name: str) -> Processor:
    """One of PROCESSORS.

    Raises:
        InputError: there is none of that name.
    """
    if name not in PROCESSORS:
        raise InputError(f"no processor {name} is emulated", f"There are {', '.join(PROCESSORS)}.")
    return PROCESSORS[name]
