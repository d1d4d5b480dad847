"""The stage that times the layers of variants, where they run on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.backends import LayerTime, backend
from edgekit.build.evaluate import Executed
from edgekit.build.executor import Here
from edgekit.build.stage import Progress, Stage
from edgekit.errors import UnavailableError
from edgekit.targets import Machine

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.validate.decision import Decision

RUNS: Final = 20
LAYERS: Final = "layers.json"


@dataclass(frozen=True)
class ProfileInput:
    """Variants whose layers are timed, on which machine, and over how many runs."""

    variants: tuple[Executed, ...]
    machine: Machine
    runs: int = RUNS


@dataclass(frozen=True)
class Profiled:
    """The layers of a variant, the slowest first; None where the runtime cannot time them, and `why` says so."""

    runs: int | None
    layers: tuple[LayerTime, ...] | None
    why: str | None = None


Profiles = dict[str, Profiled]
"""By the names of variants."""


def _make(given: ProfileInput, folder: Path, progress: Progress) -> Sequence[str]:
    found: Profiles = {}
    for done, each in enumerate(given.variants):
        progress(done, len(given.variants), each.name)
        found[each.name] = _profiled(each, given.runs)
    (folder / LAYERS).write_bytes(TypeAdapter(Profiles).dump_json(found))
    return ()


def _profiled(variant: Executed, runs: int) -> Profiled:
    compiled = variant.form.compiled
    try:
        layers = backend(compiled.backend).profile(compiled, runs)
    except UnavailableError as error:
        return Profiled(None, None, error.what)
    if not layers:
        return Profiled(None, None, f"{compiled.backend} told of no layer")
    return Profiled(runs, tuple(replace(each, by_run=()) for each in layers))  # a report shows medians alone


def _read(folder: Path) -> Profiles:
    return TypeAdapter(Profiles).validate_json((folder / LAYERS).read_bytes())


PROFILE: Final = Stage("profile", ("numpy", "openvino", "onnxruntime"), _make, _read)


def profile_input(plan: Plan, variants: Sequence[Executed], decision: Decision) -> ProfileInput | None:
    """The baseline and the chosen variant; None where they do not run on this machine.

    Args:
        variants: the baseline first.
    """
    if not isinstance(plan.executor, Here):
        return None
    looked_at = (variants[0], *(each for each in variants[1:] if each.name == decision.chosen))
    return ProfileInput(looked_at, plan.executor.machine)
