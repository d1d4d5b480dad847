"""Whether a bundle answers right on an emulated processor: its golden outputs there, and pictures beside exact sums.

The device runtime runs as on a board, with the wheels of that architecture. Nothing is told of time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from edgekit.bundle.runtime_archive import NAME, runtime_archive
from edgekit.devices.emulator import ENGINES, Emulator, Processor, check_ended, how_to_get, run_module
from edgekit.errors import InputError, UnavailableError
from edgekit.runtime.engines import FILES, able
from edgekit.runtime.manifest import Checked
from edgekit.temporary import temporary_folder
from edgekit.validate.arithmetic import arithmetic

EXACT: Final = "onnxruntime"
"""The backend whose INT8 sums are exact on every processor."""

MODULE: Final = "edgekit_runtime.emulated"
NO_LATENCY: Final = "not_measured: emulated"

Moved = Callable[[int], None]
"""Told of how many pictures are done, several times a second."""


class Found(BaseModel):
    """A check as the runtime tells it; see edgekit.runtime.verify."""

    name: str
    ok: bool | None
    detail: str
    warning: bool = False


class Machine(BaseModel):
    """What the emulated system says of itself."""

    architecture: str
    features: tuple[str, ...]


class Engine(BaseModel):
    """An inference runtime."""

    name: str
    version: str | None


class _Line(BaseModel):
    """One line of edgekit_runtime.emulated; each has one of these."""

    machine: Machine | None = None
    checks: tuple[Found, ...] | None = None
    runtime: Engine | None = None
    done: int | None = None
    failed: str | None = None


class Heard(NamedTuple):
    """All that the lines told: the machine, the checks that ran the network, what ran it, why pictures failed."""

    machine: Machine
    checks: tuple[Found, ...]
    runtime: Engine
    failed: str | None


class Answers(BaseModel):
    """Of pictures: emulated outputs beside those of the same graph here, in exact arithmetic.

    Attributes:
        data: the name of the pictures; same: percent of them with the same answer, ties among them.
        cosine, least_cosine: of outputs, on average and of one picture; ok: whether they are what the graph says.
    """

    data: str
    images: int
    same: float
    cosine: float
    least_cosine: float
    ok: bool

    def __str__(self) -> str:
        return (
            f"{self.same:.1f} % of {self.images} ({self.data}) have the answer of exact arithmetic, cosine"
            f" {self.cosine:.5f} on average, {self.least_cosine:.5f} at least"
        )


class Told(BaseModel):
    """What --json has of an emulation; see Emulated and Answers."""

    processor: str
    stands_for: str
    qemu: str
    machine: Machine
    built_for: str
    runtime: Engine
    archive_is_own: bool
    pictures: Answers | None
    latency: str = NO_LATENCY


@dataclass(frozen=True)
class Emulated:
    """What an emulated processor gave.

    Attributes:
        built_for: the bundle's own runtime.
        archive_is_own: whether the bundle's own runtime archive is the one that was run, byte for byte.
        outputs: float32 (N, classes) of the pictures; None where there are none, or they failed.
    """

    processor: Processor
    qemu: str
    built_for: str
    heard: Heard
    archive_is_own: bool
    outputs: NDArray[np.float32] | None

    def told(self, pictures: Answers | None) -> Told:
        """What --json has of it."""
        return Told(
            processor=self.processor.qemu,
            stands_for=self.processor.stands_for,
            qemu=self.qemu,
            machine=self.heard.machine,
            built_for=self.built_for,
            runtime=self.heard.runtime,
            archive_is_own=self.archive_is_own,
            pictures=pictures,
        )

    def __str__(self) -> str:
        runtime = self.heard.runtime
        ran = f"{runtime.name} {runtime.version}"
        if runtime.name != self.built_for:
            ran += f" (the bundle is built for {self.built_for})"
        if not self.archive_is_own:
            ran += "; this edgekit's device runtime, not the other one that the bundle has"
        return f"{self.processor.stands_for}; qemu {self.qemu}; {ran}; says nothing of latency"


def emulate(
    bundle: Path,
    told: Checked,
    emulator: Emulator,
    processor: Processor,
    runtime: str | None = None,
    pictures: NDArray[np.uint8] | None = None,
    moved: Moved = lambda done: None,
) -> Emulated:
    """Runs a bundle, whose files were checked, in an emulated processor.

    The archive that is run is this edgekit's: code that comes with a bundle is not run here. It is the same as the
    bundle's own where one edgekit made both.

    Args:
        told: its manifest; runtime: by default its own where it has a wheel there, else another that can run its files.
        pictures: uint8 (N, H, W, 3) RGB at its size, to be answered after the checks.
    Raises:
        UnavailableError: no runtime for it is there, or the emulated process failed; the message says how.
        InputError: no runtime can run its files.
    """
    _check_engine(told, emulator, runtime)
    archive = runtime_archive()
    path = bundle / NAME
    is_own = NAME in told.files and path.read_bytes() == archive
    with temporary_folder() as folder:
        work = folder
        (work / NAME).write_bytes(archive)
        call = [MODULE, str(bundle.absolute()), *(["--runtime", runtime] if runtime is not None else [])]
        if pictures is not None:
            np.save(work / "pictures.npy", pictures)
            call += ["--pictures", str(work / "pictures.npy"), "--outputs", str(work / "outputs.npy")]
        lines: list[str] = []

        def heard(now: list[str]) -> None:
            lines[:] = now
            moved(sum('"done"' in line for line in now))

        check_ended(run_module(emulator, processor.qemu, work / NAME, call, heard), emulator, "the device runtime")
        found = read_lines(lines)
        made = work / "outputs.npy"
        outputs = None if pictures is None or found.failed is not None else np.load(made, allow_pickle=False)
    return Emulated(processor, emulator.qemu_version, told.runtime, found, is_own, outputs)


def read_lines(lines: Sequence[str]) -> Heard:
    """What the lines of edgekit_runtime.emulated tell.

    Raises:
        UnavailableError: they are not whole, or are no JSON.
    """
    try:
        found = [_Line.model_validate_json(line) for line in lines]
    except ValidationError as error:
        raise UnavailableError(f"the emulated device runtime said what nobody understands: {error}") from error
    machine = next((each.machine for each in found if each.machine is not None), None)
    checks = next((each.checks for each in found if each.checks is not None), None)
    engine = next((each.runtime for each in found if each.runtime is not None), None)
    if machine is None or checks is None or engine is None:
        raise UnavailableError("the emulated device runtime ended before it had told everything")
    failed = next((each.failed for each in found if each.failed is not None), None)
    return Heard(machine, tuple(each for each in checks if each.name not in LOOKED_AT_HERE), engine, failed)


LOOKED_AT_HERE: Final = ("manifest", "files", "signature", "model signature")
"""Checks that need no emulation, and are made before it."""


def _check_engine(told: Checked, emulator: Emulator, runtime: str | None) -> None:
    """That what is to run the bundle is in the root.

    Raises:
        UnavailableError, InputError: see `emulate`.
    """
    if runtime is not None and runtime not in FILES:
        raise InputError(f"there is no runtime {runtime}", f"There are {', '.join(sorted(FILES))}.")
    fit = able(told.runtime, told.files) if runtime is None else [runtime]
    if not fit or not set(FILES[fit[0]]) <= set(told.files):
        raise InputError(f"the bundle is for {told.runtime}, and has nothing that {runtime or 'another'} can run")
    if not set(fit) & set(emulator.engines):
        possible = next((each for each in fit if each in ENGINES), None)
        hint = how_to_get(emulator.root, possible) if possible else "No emulator has the GPU that it needs."
        raise UnavailableError(f"the arm64 root {emulator.root} has no {' or '.join(fit)}", hint)


def exact(bundle: Path, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """float32 (N, classes) of the bundle's graph on this processor, by ONNX Runtime's kernels with exact INT8 sums.

    Float32 arithmetic on the graph's quantizers is no such measure: INT8 kernels round otherwise, on every processor.

    Raises:
        InputError: there is no such graph, or ONNX Runtime cannot run it.
    """
    from edgekit.backends import Compiled, backend

    path = bundle / "model.onnx"
    if not path.is_file():
        raise InputError("the bundle has no model.onnx to do exact arithmetic with", "Leave out --images.")
    graph = Compiled(EXACT, str(path), "int8", path.stat().st_size)
    with backend(EXACT).load(graph, "throughput") as session:
        return session.infer_many(pictures)


def compared(data: str, wanted: NDArray[np.float32], made: NDArray[np.float32]) -> Answers:
    """Exact outputs and emulated ones, both (N, classes), judged as those of an INT8 variant of a build are.

    Raises:
        InputError: they have not the same shape.
    """
    if wanted.shape != made.shape:
        raise InputError(f"the emulated outputs are {made.shape} where exact ones are {wanted.shape}")
    found = arithmetic("emulated", EXACT, made, wanted)
    return Answers(
        data=data,
        images=found.images,
        same=found.same,
        cosine=found.cosine,
        least_cosine=found.least_cosine,
        ok=found.ok,
    )
