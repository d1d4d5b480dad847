"""The stage that reads which kernels the runtime really took for variants that promise kernels of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.backends import backend
from edgekit.build.evaluate import Executed
from edgekit.build.executor import Here
from edgekit.build.stage import Progress, Stage
from edgekit.runtime.kernels import JUDGED, Kernel, KernelFindings, findings_of, with_times
from edgekit.targets import Machine

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner

RESULTS: Final = "kernels.json"
RUNS: Final = 5
"""Of the layers, where some are not on the kernels that they should be on: whether they matter shows in their time."""


@dataclass(frozen=True)
class KernelsInput:
    """Variants as they run on this machine."""

    variants: tuple[Executed, ...]
    machine: Machine


def _make(given: KernelsInput, folder: Path, progress: Progress) -> Sequence[str]:
    found: dict[str, tuple[Kernel, ...]] = {}
    for done, each in enumerate(given.variants):
        progress(done, len(given.variants), each.name)
        compiled = each.form.compiled
        home = backend(compiled.backend)
        kernels = home.kernels(compiled)
        told = findings_of(kernels, compiled.precision)
        if told.reference or told.floating:
            times: dict[str, float] = {}
            for layer in home.profile(compiled, RUNS):
                times[layer.name] = times.get(layer.name, 0.0) + layer.microseconds
            kernels = with_times(kernels, times)
        found[each.name] = tuple(kernels)
    (folder / RESULTS).write_bytes(_KIND.dump_json(found))
    return ()


_KIND: Final = TypeAdapter(dict[str, tuple[Kernel, ...]])


def _read(folder: Path) -> dict[str, tuple[Kernel, ...]]:
    return _KIND.validate_json((folder / RESULTS).read_bytes())


KERNELS: Final = Stage("kernels", ("openvino", "onnxruntime"), _make, _read)


def kernels_of(plan: Plan, run: Runner, ready: Sequence[Executed]) -> Mapping[str, KernelFindings]:
    """What is to be said of the kernels of variants that run on this machine, by name; of others nothing is known."""
    judged = tuple(each for each in ready if each.form.compiled.precision in JUDGED)
    if not isinstance(plan.executor, Here) or not judged:
        return {}
    found = run(KERNELS, KernelsInput(judged, plan.executor.machine))
    precisions = {each.name: each.form.compiled.precision for each in judged}
    return {name: findings_of(kernels, precisions[name]) for name, kernels in found.items() if kernels}
