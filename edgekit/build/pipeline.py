"""The build, from a recipe to a bundle: the stages in order, the decision, and what is left in the directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.build import bundle_contents, check_labels, images
from edgekit.build.answers import answers_beside
from edgekit.build.assemble import assembled
from edgekit.build.calibrate import calibration_data
from edgekit.build.calibration_variance import calibration_variance
from edgekit.build.check_arithmetic import checked_arithmetic
from edgekit.build.compile import COMPILE, compile_input
from edgekit.build.course import course_of_build
from edgekit.build.decide import decided, variants_of
from edgekit.build.elect import elected, homes_of
from edgekit.build.evaluate import (
    CHECK_NORMALISATION,
    EVALUATE,
    evaluate_input,
    executed,
    normalisation_input,
    other_preprocessing,
)
from edgekit.build.explain import EXPLAIN, ExplainInput
from edgekit.build.export import EXPORT, ExportInput
from edgekit.build.findings import Findings
from edgekit.build.kernels import kernels_of
from edgekit.build.locking import check_calibration, locked
from edgekit.build.measure import measured_variants
from edgekit.build.plan import planned
from edgekit.build.profile import PROFILE, profile_input
from edgekit.build.provenance import provenance
from edgekit.build.prune import Origin, Pruned, pruned_network
from edgekit.build.quantize import QUANTIZE, quantize_input
from edgekit.build.quiet import look_first
from edgekit.build.referee import refereed
from edgekit.build.runner import Listener, Runner, nobody
from edgekit.build.search_precision import SEARCH_PRECISION, search_input
from edgekit.build.sizes import at_sizes
from edgekit.bundle.directory import claim_directory
from edgekit.recipe import Recipe
from edgekit.store import Store, Subject

if TYPE_CHECKING:
    from edgekit.build.lock import Lock
    from edgekit.build.quantize import Quantized
    from edgekit.data.calibration import CalibrationData
    from edgekit.models.graph_facts import GraphFacts
    from edgekit.report import Report


@dataclass(frozen=True)
class Built:
    """What a build left: its report, and the bundle's directory."""

    report: Report
    directory: Path

    @property
    def ok(self) -> bool:
        """Whether every budget was met."""
        return self.report.verdict.ok


def build(
    recipe: Recipe,
    out_dir: Path | None = None,
    store: Store | None = None,
    on_event: Listener = nobody,
    lock: Lock | None = None,
) -> Built:
    """Compresses a classifier for a target and proves what it cost: the whole way through the house.

    Args:
        out_dir: of the bundle; build/MODEL-TARGET by default.
        store: of finished stages; the user's own by default.
        lock: decisions of an earlier build that are followed instead of being measured.
    Raises:
        InputError: bad input; nothing is written.
        UnavailableError: the target or a package is not there.
    """
    run = Runner(store or Store(), on_event)
    plan = planned(recipe, run.store, on_event, lock)
    run.subject = Subject(plan.source.name, plan.target.name)
    run.warn(*plan.notes)
    out = out_dir or Path("build") / f"{plan.source.name}-{recipe.target}"
    claim_directory(out, bundle_contents.ALWAYS)
    first = look_first(plan, run)

    evaluation, aside = images.set_aside(plan, run, images.evaluation_images(plan, run))
    evaluation, held = images.held_back(plan, run, evaluation)
    run.foresee(course_of_build(plan, evaluation))
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    doubt = check_labels.checked(plan, run, exported, evaluation)
    calibration = calibration_data(plan, run, exported, evaluation, aside)
    check_calibration(plan, calibration)
    plan, exported, referee = refereed(plan, run, exported, evaluation, calibration)
    plan, dense = elected(plan, run, exported, calibration, evaluation)
    sizes = at_sizes(plan, run, Origin(exported, dense, calibration, evaluation))
    base = sizes.base
    origin = Origin(base.exported, base.dense, calibration, evaluation)
    pruned = pruned_network(base.plan, run, origin)
    narrow, core = None, base.exported
    if pruned.recovered is not None:
        core = pruned.recovered.exported
        narrow = run(QUANTIZE, quantize_input(base.plan, core, calibration, plan.narrow_precisions))
    looking = search_input(base.plan, origin, core.graph, held) if plan.wanted == "mixed" else None
    mixed = run(SEARCH_PRECISION, looking) if looking is not None else None

    homes = homes_of(plan, run, (exported, core), calibration, (dense, narrow))
    variants = variants_of(homes, exported, sizes, pruned, mixed)
    forms = run(COMPILE, compile_input(plan, variants))
    ready = executed(plan, variants, forms)
    others = other_preprocessing(plan, variants)
    shown = evaluate_input(plan, ready, evaluation, calibration, exported.facts, others)
    answers = run(EVALUATE, shown)
    checking = normalisation_input(plan, exported.graph, evaluation)
    if checking is not None:
        run(CHECK_NORMALISATION, checking)
    variance = calibration_variance(plan, run, exported, calibration, evaluation, answers.evaluated)
    measured = measured_variants(plan, run, ready, exported.facts, others)
    computed = checked_arithmetic(plan, run, variants, ready, shown)
    kernels = kernels_of(plan, run, ready)
    decision = decided(plan, variants, forms, answers.evaluated, measured, computed)
    chosen = next(each for each in variants if each.name == decision.chosen)
    plan, home = plan.on(chosen.backend), next(each for each in homes if each.plan.backend == chosen.backend)
    plan = plan.at(chosen.facts.size)
    profiling = profile_input(plan, ready, decision)
    profiles = run(PROFILE, profiling) if profiling is not None else {}

    found = Findings(
        exported, evaluation, shown.images, shown.indices, calibration, variance, variants, forms, sizes, pruned,
        (mixed, looking) if mixed is not None and looking is not None else None,
        answers.evaluated, measured, decision, referee, doubt, computed, kernels, profiles, first.asked,
    )  # fmt: skip
    report = assembled(plan, run, found, provenance(plan, forms, measured))
    graphs = next((each.dense for each in sizes.others if each.exported.facts == chosen.facts), home.dense)
    graphs = home.narrow if home.narrow is not None and chosen.facts == core.facts else graphs
    lock_of_it = locked(plan, calibration, sizes, pruned, mixed, decision)
    contents = bundle_contents.Contents(
        report, lock_of_it, calibration.chosen, chosen, forms[chosen.name], answers.golden, evaluation,
        bundle_contents.output_of(plan, exported.facts, answers.evaluated),
        {**bundle_contents.fp16_beside(plan, chosen, graphs, forms if graphs is home.dense else {}),
         **answers_beside(plan, shown, answers, chosen.name)},
    )  # fmt: skip
    return Built(report, bundle_contents.write(plan, out, contents))


@dataclass(frozen=True)
class QuantizedAlone:
    """An INT8 graph that was made by itself, the images that it was calibrated with, and what INT8 does to it."""

    quantized: Quantized
    calibration: CalibrationData
    explanation: dict[str, Any] | None


def quantize(
    recipe: Recipe, explain_images: int | None = None, store: Store | None = None, on_event: Listener = nobody
) -> tuple[QuantizedAlone, Runner]:
    """Quantizes a classifier to INT8, and no more.

    Args:
        explain_images: how many calibration images it is explained with; None explains nothing.
    Raises:
        InputError: bad input.
    """
    run = Runner(store or Store(), on_event)
    plan = planned(recipe, run.store, on_event, graphs_alone=True)
    run.subject = Subject(plan.source.name, plan.target.name)
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    calibration = calibration_data(plan, run, exported, None, None)
    made = run(QUANTIZE, quantize_input(plan, exported, calibration, ("int8",)))
    explanation = None
    if explain_images is not None and made.quantized is not None:
        how = plan.source.preprocessing
        explanation = run(EXPLAIN, ExplainInput(exported.graph, made.quantized, calibration, how, explain_images))
    return QuantizedAlone(made, calibration, explanation), run


def prune(recipe: Recipe, store: Store | None = None, on_event: Listener = nobody) -> tuple[Pruned, GraphFacts, Runner]:
    """Prunes and recovers a classifier for a target, and no more: what came of it, and the facts of the unpruned one.

    Raises:
        InputError: bad input, or a network that cannot be pruned.
        UnavailableError: the target or a package is not there.
    """
    run = Runner(store or Store(), on_event)
    plan = planned(recipe, run.store, on_event)
    run.subject = Subject(plan.source.name, plan.target.name)
    run.warn(*plan.notes)
    look_first(plan, run)
    evaluation = images.evaluation_images(plan, run) if recipe.data is not None else None
    evaluation, aside = images.set_aside(plan, run, evaluation)
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    calibration = calibration_data(plan, run, exported, evaluation, aside)
    plan, quantized = elected(plan, run, exported, calibration, evaluation)
    return pruned_network(plan, run, Origin(exported, quantized, calibration, evaluation)), exported.facts, run
