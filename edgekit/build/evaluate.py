"""The stages that ask variants for answers: what each gets right and how far it is from FP32, and whether images are
normalised as the network wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from edgekit.backends import Compiled
from edgekit.build.compile import CompiledForm
from edgekit.build.executor import Executor
from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.data.image_set import ImageSet, spread
from edgekit.data.preprocessing import Preprocessing
from edgekit.recipe import PreprocessingRecipe
from edgekit.validate.question import Question
from edgekit.validate.sequential import Stopping

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.variant import Variant
    from edgekit.data.calibration import CalibrationData
    from edgekit.models.graph_facts import GraphFacts
    from edgekit.validate.evaluation import Evaluated
    from edgekit.validate.tasks import VariantResult

GOLDEN_IMAGES: Final = 4
FIDELITY_IMAGES: Final = 200
"""Images that outputs are compared on where accuracy has no meaning."""

NAMED: Final = 5
"""Classes that a warning names."""

FEW: Final = 2_500
"""Images that all variants are shown in any case."""

ORDER: Final = 2016
"""Seed of the order in which images are shown where variants may stop early."""

RESULTS: Final = "accuracy.json"
GOLDEN: Final = "golden.npz"


@dataclass(frozen=True)
class Executed:
    """A variant as it is executed: what is loaded, by content."""

    name: str
    form: CompiledForm


Others: TypeAlias = tuple[tuple[str, Preprocessing], ...]


@dataclass(frozen=True)
class EvaluateInput:
    """Variants, where they run, and the images that they are shown.

    Attributes:
        indices: positions in the images, in the order in which they are shown.
        labelled: whether the labels mean something to the network; question: how the outputs are read.
        others: how images are prepared for variants that take another size, by name.
        stopping: when enough is known of a variant; None: after all images.
    """

    variants: tuple[Executed, ...]
    executor: Executor
    images: ImageSet
    indices: tuple[int, ...]
    preprocessing: Preprocessing
    labelled: bool
    question: Question
    golden_images: int
    stopping: Stopping | None = None
    others: Others = ()


@dataclass(frozen=True)
class EvaluationResult:
    """What variants answered, and golden inputs ("inputs", "inputs-NAME" of one that takes another size) with the
    logits of each ("logits-NAME"); there is also which images each had right ("right-NAME", see
    edgekit.validate.evaluation).
    """

    evaluated: Evaluated
    golden: File


def _make(given: EvaluateInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.validate.evaluation import Evaluated, Views, evaluate

    views = Views(given.images, given.indices, given.preprocessing, given.labelled, given.question, dict(given.others))
    total = len(given.indices)
    with given.executor.sessions(networks(given.variants), progress) as loaded:
        found, golden = evaluate(
            loaded, views, given.golden_images, lambda done: progress(done, total, ""), given.stopping
        )
    (folder / RESULTS).write_bytes(TypeAdapter(Evaluated).dump_json(found))
    np.savez(folder / GOLDEN, **golden)  # type: ignore[arg-type]
    return tuple(_not_judged(found.variants["fp32"], given.images.classes))


def _not_judged(result: VariantResult, classes: Sequence[str]) -> Iterator[str]:
    """Which classes could not be judged, by name."""

    def named(labels: Sequence[int]) -> str:
        names = [classes[each] if each < len(classes) else str(each) for each in labels[:NAMED]]
        return ", ".join(names) + (", ..." if len(labels) > NAMED else "")

    if result.embedding is not None and result.embedding.unscored:
        alone = result.embedding.unscored
        yield f"{len(alone)} classes have one picture alone, which no other can be nearest to: {named(alone)}"
    if result.multilabel is not None and result.multilabel.classes_without_positive:
        without = result.multilabel.classes_without_positive
        yield f"{len(without)} classes are on no picture, and in no average: {named(without)}"


def networks(variants: Sequence[Executed]) -> Mapping[str, Compiled]:
    """What is loaded, by the names of variants."""
    return {each.name: each.form.compiled for each in variants}


def _read(folder: Path) -> EvaluationResult:
    from edgekit.validate.evaluation import Evaluated

    found = TypeAdapter(Evaluated).validate_json((folder / RESULTS).read_bytes())
    return EvaluationResult(found, kept_file(folder, GOLDEN))


EVALUATE: Final = Stage("validate", ("numpy", "Pillow", "openvino", "onnxruntime"), _make, _read)


@dataclass(frozen=True)
class NormalisationInput:
    """A float graph, labelled images and how they are prepared."""

    graph: File
    images: ImageSet
    preprocessing: Preprocessing


def _check(given: NormalisationInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.validate.normalisation import better_normalisation

    warning = better_normalisation(given.graph.path, given.images, given.preprocessing)
    return () if warning is None else (warning,)


CHECK_NORMALISATION: Final = Stage("normalisation", ("numpy", "Pillow", "onnxruntime"), _check, lambda folder: None)
"""Leaves a warning where another convention plainly scores better."""


def executed(plan: Plan, variants: Sequence[Variant], forms: Mapping[str, CompiledForm]) -> tuple[Executed, ...]:
    """What is executed of variants: the compiled forms, or the graphs where a reference backend runs those."""
    found = []
    for each in variants:
        form = forms[each.name]
        compiled = plan.executor.executed(form.compiled, each.graph.path)
        found.append(Executed(each.name, form if compiled == form.compiled else CompiledForm(compiled, (each.graph,))))
    return tuple(found)


def other_preprocessing(plan: Plan, variants: Sequence[Variant]) -> Others:
    """How images are prepared for those of some variants that take another size than the network as it came."""
    how = plan.source.preprocessing
    return tuple((each.name, replace(how, size=each.facts.size)) for each in variants if each.facts.size != how.size)


def evaluate_input(
    plan: Plan,
    variants: tuple[Executed, ...],
    images: ImageSet | None,
    calibration: CalibrationData,
    facts: GraphFacts,
    others: Others = (),
) -> EvaluateInput:
    """The evaluation images, or where there are none a few that were not calibrated with.

    Args:
        facts: of the network as it came; others: see `other_preprocessing`.
    """
    told = images is not None and (images.labels is not None or images.label_sets is not None)
    labelled = told and not plan.source.random
    if images is None:
        images, indices = calibration.pool, _not_calibrated_with(calibration)
    else:
        indices = spread(len(images), None if labelled else FIDELITY_IMAGES)
    stopping = _stopping(plan, labelled, len(indices))
    if stopping is not None:  # whoever stops early must not have seen the first classes of a folder alone
        indices = [indices[place] for place in np.random.Generator(np.random.PCG64(ORDER)).permutation(len(indices))]
    return EvaluateInput(
        variants, plan.executor, images, tuple(indices), plan.source.preprocessing, labelled, plan.question(facts),
        GOLDEN_IMAGES, stopping, others,
    )  # fmt: skip


def _stopping(plan: Plan, labelled: bool, count: int) -> Stopping | None:
    """Whether variants are looked at while images come in: first answers with labels, and more images than are cheap.

    With few of them all are shown, so that another budget later on needs no evaluation again.
    """
    all_images = plan.recipe.decide == "point" or plan.recipe.calibration.seeds > 1 or count <= FEW
    if all_images or not labelled or plan.task != "classify":
        return None
    return Stopping(plan.recipe.max_drop)


def _not_calibrated_with(calibration: CalibrationData) -> list[int]:
    """Images of the pool that were not calibrated with, spread evenly; all if none are left."""
    rest = calibration.left or range(len(calibration.pool))
    return [rest[place] for place in spread(len(rest), FIDELITY_IMAGES)]


def is_normalisation_checked(plan: Plan, images: ImageSet | None) -> bool:
    """Whether a user told of the preprocessing, and there are labels to check it with."""
    told = plan.source.kind != "registry" or plan.recipe.preprocessing != PreprocessingRecipe()
    labelled = images is not None and images.labels is not None
    return told and labelled and plan.task == "classify" and not plan.source.random


def normalisation_input(plan: Plan, graph: File, images: ImageSet | None) -> NormalisationInput | None:
    """What is checked; None where nothing is."""
    if images is None or not is_normalisation_checked(plan, images):
        return None
    return NormalisationInput(graph, images, plan.source.preprocessing)
