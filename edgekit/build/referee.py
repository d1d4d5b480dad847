"""The referee: whether the network that is compressed is the one that came, asked before anything is compressed.

The network as it came is run where it is at home (an ONNX file in ONNX Runtime, a torch network in torch) on some
pictures. The canonical graph, and what the chosen runtime makes of it in FP32, must give the same answers. Where the
runtime does not, another one of the target's is taken.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.backends import DEFAULTS, backend
from edgekit.build.executor import Executor, Here
from edgekit.build.export import EXPORT, Exported, ExportInput
from edgekit.build.stage import File, Progress, Stage
from edgekit.build.with_pixels import WITH_PIXELS, PixelsInput
from edgekit.data.image_set import ImageSet, spread
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError, UnavailableError
from edgekit.models.answer import TOLD_NOTHING
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source
from edgekit.quantize.graph_format import GraphFormat
from edgekit.targets import this_machine
from edgekit.temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner
    from edgekit.data.calibration import CalibrationData
    from edgekit.validate.referee import Agreement

IMAGES: Final = 24
RESULT: Final = "referee.json"


@dataclass(frozen=True)
class RefereeInput:
    """A network as it came, its canonical graph, the FP32 graph for a runtime, and the pictures that all are shown."""

    source: Source
    facts: GraphFacts
    core: File
    graph: File
    executor: Executor
    runtime: str
    images: ImageSet
    indices: tuple[int, ...]
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Refereed:
    """What the referee found.

    Attributes:
        reference: the runtime that ran the network as it came; runtime: the one that was compared with it.
        agreement: percent of the pictures with the same answer; max_logit_difference: the largest, and tolerance: what
            is allowed of it; None where shapes or numbers do not compare.
        operator: the first one that is computed otherwise, where answers differ and one was found.
        by_reading: whether the canonical graph itself differs, whoever runs it.
        looks_like: the kind of probabilities that its answers seem to be, where no operator of the graph says so.
    """

    reference: str
    runtime: str
    images: int
    agreement: float
    max_logit_difference: float | None
    tolerance: float
    ok: bool
    operator: str | None
    by_reading: bool
    looks_like: str | None = None


def _make(given: RefereeInput, folder: Path, progress: Progress) -> Sequence[str]:
    import numpy as np

    from edgekit.models.activation import LOGITS
    from edgekit.models.reference import of_file, reference_of
    from edgekit.quantize.ptq import normalised
    from edgekit.validate.first_difference import first_difference
    from edgekit.validate.referee import looks_like

    pictures = np.stack([given.images.load(index, given.preprocessing) for index in given.indices])
    shown = [normalised(each[None], given.preprocessing, given.facts.layout) for each in pictures]
    progress(0, None, "the network as it came")
    name, ask = reference_of(given.source, given.facts)
    reference = np.stack([ask(each) for each in shown])
    progress(0, None, "its canonical graph")
    canonical = of_file(given.core.path, TOLD_NOTHING, LOGITS)
    compared = _compared(reference, np.stack([canonical(each) for each in shown]), given.facts)
    operator, by_reading = None, not compared.ok
    if not by_reading:
        progress(0, None, f"the same with {given.runtime}")
        try:
            compared = _compared(reference, _answers(given, pictures, folder, progress), given.facts)
            operator = None if compared.ok else first_difference(given.core.path, given.runtime, shown[0])
        except InputError as error:  # the runtime refuses the graph
            compared, operator = replace(compared, agreement=0.0, max_difference=math.inf), error.what
    finite = compared.max_difference if math.isfinite(compared.max_difference) else None
    found = Refereed(
        name, given.runtime, compared.images, compared.agreement, finite, compared.tolerance, compared.ok, operator,
        by_reading, None if given.facts.activation_found else looks_like(reference),
    )  # fmt: skip
    (folder / RESULT).write_text(json.dumps(asdict(found)), encoding="utf-8")
    return ()


def _answers(given: RefereeInput, pictures: NDArray[np.uint8], folder: Path, progress: Progress) -> NDArray[np.float32]:
    """What the runtime gives in FP32, preprocessing inside: just what later variants are compared with."""
    with temporary_folder() as inside:
        compiled = given.executor.prepared(given.graph.path, "fp32", inside)
        with given.executor.sessions({"fp32": compiled}, progress) as sessions:
            return sessions["fp32"].infer_many(pictures)


def _compared(reference: NDArray[np.float32], other: NDArray[np.float32], facts: GraphFacts) -> Agreement:
    """A single score of two classes is two logits in the canonical graph: 0 and its own."""
    import numpy as np

    from edgekit.validate.referee import agreement

    if reference.shape[1] == 1 and other.shape[1] == 2:
        of_first = reference * 0 if facts.inside == "none" else 1 - reference
        reference = np.concatenate([of_first, reference], 1)
    return agreement(reference, other, facts.inside, facts.narrow)


def _read(folder: Path) -> Refereed:
    return Refereed(**json.loads((folder / RESULT).read_text(encoding="utf-8")))


REFEREE: Final = Stage("referee", ("torch", "numpy", "Pillow", "onnxruntime", "openvino"), _make, _read)
"""Whether the canonical graph, and a runtime in FP32, answer as the network that came."""


def refereed(
    plan: Plan, run: Runner, exported: Exported, evaluation: ImageSet | None, calibration: CalibrationData
) -> tuple[Plan, Exported, Refereed]:
    """The plan with a runtime that computes the network right, its graph, and what the referee found of it.

    Args:
        evaluation: the images that are shown; those of the calibration set where there are none.
    Raises:
        UnavailableError: no runtime of the target computes the network as it came.
    """
    if evaluation is not None:
        images, indices = evaluation, spread(len(evaluation), IMAGES)
    else:
        images, every = calibration.pool, calibration.indices
        indices = [every[place] for place in spread(len(every), IMAGES)]
    candidates = (plan, *plan.alternatives())
    courts = tuple(Court(each.executor, each.runtime_of_answers, each.graph_format) for each in candidates)
    others = tuple(name for name in plan.target.backends if all(each.runtime != name for each in courts))
    found = judged(plan.source, exported, courts, (images, tuple(indices)), run, others)
    chosen = replace(candidates[found.court], source=found.source)
    chosen = replace(chosen, usual=chosen.backend)
    return _right_beside(chosen, found.exported, (images, tuple(indices)), run), found.exported, found.refereed


def _right_beside(plan: Plan, exported: Exported, shown: tuple[ImageSet, tuple[int, ...]], run: Runner) -> Plan:
    """The plan with those of the runtimes beside its own that compute the network as it came."""
    right = []
    for each in map(plan.on, plan.beside):
        court = Court(each.executor, each.runtime_of_answers, each.graph_format)
        found = _asked(plan.source, exported, court, shown, run)
        if found.ok:
            right.append(each.backend)
        else:
            run.warn(f"{court.runtime} is left out, it computes the network otherwise: {_difference(found)}")
    return replace(plan, beside=tuple(right))


def checked_runtime(
    source: Source, exported: Exported, backends: Sequence[str], images: ImageSet, run: Runner
) -> tuple[Source, Exported, str]:
    """The same for a network that is only run here: of some backends the first that computes it as it came.

    Raises:
        UnavailableError: none does.
    """
    machine = this_machine()
    courts = tuple(
        Court(Here(name, backend(name).identity(machine), DEFAULTS, machine), name, backend(name).graph_format(None))
        for name in backends
    )
    found = judged(source, exported, courts, (images, tuple(range(len(images)))), run, ())
    return found.source, found.exported, backends[found.court]


@dataclass(frozen=True)
class Court:
    """Where a network is compared: what executes it, that runtime's name, and the form of graph that it wants."""

    executor: Executor
    runtime: str
    graph_format: GraphFormat


@dataclass(frozen=True)
class Judged:
    """A network with all that pictures have shown of it, its graph, the place of the court that computes it right, and
    what the referee found there.
    """

    source: Source
    exported: Exported
    court: int
    refereed: Refereed


def judged(
    source: Source,
    exported: Exported,
    courts: Sequence[Court],
    shown: tuple[ImageSet, tuple[int, ...]],
    run: Runner,
    others: Sequence[str],
) -> Judged:
    """Asks the referee in one court after the other.

    Args:
        shown: images, and which of them are looked at; others: runtimes that a user could still ask for.
    Raises:
        UnavailableError: the network is computed as it came in none of them.
    """
    refused: list[Refereed] = []
    for place, court in enumerate(courts):
        found = _asked(source, exported, court, shown, run)
        if found.ok:
            already = _already(source, run, found)
            if already is not None:
                known = replace(source, answers_are=already)
                again = run(EXPORT, ExportInput(known, known.preprocessing.size))
                return judged(known, again, courts, shown, run, others)
            run.warn(*(_taken_instead(found, each) for each in refused))
            return Judged(source, exported, place, found)
        refused.append(found)
        if found.by_reading:
            break
    raise _refusal(source, refused, others)


def _asked(
    source: Source, exported: Exported, court: Court, shown: tuple[ImageSet, tuple[int, ...]], run: Runner
) -> Refereed:
    graph = run(WITH_PIXELS, PixelsInput(exported.graph, "fp32", source.preprocessing, court.graph_format))
    given = RefereeInput(
        source, exported.facts, exported.graph, graph, court.executor, court.runtime, *shown, source.preprocessing
    )
    return run(REFEREE, given)


def _already(source: Source, run: Runner, found: Refereed) -> str | None:
    """The activation that the answers have gone through already, as the pictures show; None for none."""
    told, task, kind = source.answer.activation, source.answer.task, found.looks_like
    if kind is None or told == "none" or task == "embed":
        return None
    if kind == "softmax" and task == "classify" and told in (None, "softmax"):
        run.warn("the answers to all pictures are probabilities that add up to 1: no softmax is put on them again")
        return "softmax"
    if task == "multilabel" or told == "sigmoid":
        run.warn("the answers to all pictures lie between 0 and 1: they are taken for probabilities as they are")
        return "sigmoid"
    run.warn(
        "the answers to all pictures lie between 0 and 1, but do not add up to 1: if they are probabilities, say"
        " --activation sigmoid or none, since a softmax is put on them"
    )
    return None


def _taken_instead(taken: Refereed, refused: Refereed) -> str:
    return (
        f"{refused.runtime} computes this network otherwise than {refused.reference}: {_difference(refused)};"
        f" {taken.runtime} is taken instead"
    )


def _difference(found: Refereed) -> str:
    operator = "" if found.operator is None else f", first in {found.operator}"
    largest = found.max_logit_difference
    apart = "numbers that do not compare" if largest is None else f"logits up to {largest:.3g} apart"
    return f"{found.agreement:.0f} % of {found.images} pictures have the same answer, {apart}{operator}"


def _refusal(source: Source, refused: Sequence[Refereed], others: Sequence[str]) -> UnavailableError:
    first = refused[0]
    if first.by_reading:
        return UnavailableError(
            f"{source.name} cannot be read right: its canonical graph answers otherwise than the network in"
            f" {first.reference} ({_difference(first)})",
            "Export it again with a fixed batch of 1 and float32 inputs; plain operators are read best.",
        )
    tried = "; ".join(f"{each.runtime}: {_difference(each)}" for each in refused)
    hint = f"Try --runtime {' or '.join(others)}." if others else "Export the network without that operator."
    return UnavailableError(f"no runtime here computes {source.name} as {first.reference} does ({tried})", hint)
