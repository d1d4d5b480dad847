"""A trial: a build that is cut short. Its network is made as in a build, with few minutes and few images, in steps that
can be run at different places and times: what is timed must be alone on its machine, and the rest need not.

All that is made comes from stages, so that trials which begin alike share what they begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.build import images
from edgekit.build.calibrate import CALIBRATE, CalibrateInput, Choice, Features, calibration_data
from edgekit.build.choose_widths import CHOOSE_WIDTHS
from edgekit.build.compile import COMPILE, compile_input
from edgekit.build.evaluate import Executed, executed, networks
from edgekit.build.executor import Shape, Timing
from edgekit.build.export import EXPORT, Exported, ExportInput
from edgekit.build.plan import Plan, planned
from edgekit.build.prune import Origin, choosing, pays, recovering, too_little, why_not
from edgekit.build.quantize import QUANTIZE, Quantized, quantize_input
from edgekit.build.recover import RECOVER
from edgekit.build.runner import Listener, Runner, nobody
from edgekit.build.search_precision import SEARCH_PRECISION, search_input
from edgekit.build.show import SHOW, Right, ShowInput
from edgekit.build.training_images import training_images
from edgekit.build.variant import Variant
from edgekit.data.calibration import CalibrationData
from edgekit.data.folder import FolderSet
from edgekit.data.image_set import ImageSet, Selection
from edgekit.errors import InputError, UnavailableError
from edgekit.store import Store, Subject

if TYPE_CHECKING:
    from edgekit.models.graph_facts import GraphFacts
    from edgekit.prune.choice import ChosenWidths
    from edgekit.recipe import Recipe
    from edgekit.validate.latency import Measured

ORDER: Final = 1517
"""Seed of the order in which images are shown: the first few must be of all classes."""


@dataclass(frozen=True)
class Opened:
    """A trial whose unpruned network is there, in the precisions of its plan.

    Attributes:
        evaluation: the images that it is judged by, in the order in which they are shown.
    """

    plan: Plan
    run: Runner
    exported: Exported
    calibration: CalibrationData
    dense: Quantized
    evaluation: ImageSet

    @property
    def origin(self) -> Origin:
        """What is pruned."""
        return Origin(self.exported, self.dense, self.calibration, self.evaluation)


def opened(recipe: Recipe, most: int, store: Store, on_event: Listener = nobody) -> Opened:
    """Makes what a trial begins with.

    Args:
        recipe: of the trial; the images are as many as it is judged by.
        most: how many of the evaluation images any trial calibrates with, where no others were given: they are set
            aside for all trials, which so are judged by the same images; 0 where none is quantized.
    Raises:
        InputError: bad input, images without labels, or another task than to classify.
        UnavailableError: the target is not here to be timed, or a package is not.
    """
    run = Runner(store, on_event)
    plan = planned(recipe, store, on_event)
    run.subject = Subject(plan.source.name, plan.target.name)
    check(plan)
    evaluation = images.evaluation_images(plan, run)
    if evaluation is None or evaluation.labels is None:
        raise InputError("a search compares networks by top-1, which needs labelled images", "Give --data.")
    evaluation, aside = _set_aside(plan, run, evaluation, most)
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    calibration = (
        calibration_data(plan, run, exported, evaluation, None)
        if aside is None
        else _calibration_of(aside, plan, run, exported)
    )
    dense = run(QUANTIZE, quantize_input(plan, exported, calibration, plan.precisions))
    order = np.random.Generator(np.random.PCG64(ORDER)).permutation(len(evaluation))
    shown = Selection(evaluation, tuple(int(place) for place in order))
    return Opened(plan, run, exported, calibration, dense, shown)


def _set_aside(plan: Plan, run: Runner, evaluation: ImageSet, most: int) -> tuple[ImageSet, CalibrationData | None]:
    """What is left to evaluate on, and what is set aside, whether this very trial quantizes or not."""
    if most == 0:
        return evaluation, None
    wide = plan.recipe.calibration.model_copy(update={"images": most, "strategy": "stratified"})
    precisions = plan.precisions if plan.has_int8 else (*plan.precisions, "int8")
    recipe = plan.recipe.model_copy(update={"calibration": wide})
    left, aside = images.set_aside(replace(plan, recipe=recipe, precisions=precisions), run, evaluation)
    assert left is not None
    return left, aside


def check(plan: Plan) -> None:
    """Refuses what trials cannot compare.

    Raises:
        UnavailableError: nothing here runs the target. InputError: another task than to classify, or random weights.
    """
    if plan.executor.untimed is not None:
        raise UnavailableError(
            f"a search times networks, and nothing here runs {plan.target.name}: {plan.executor.untimed}",
            "Name a device (--device), or search for --target cpu.",
        )
    if plan.task != "classify":
        raise InputError(f"a search compares networks by top-1, not by --task {plan.task}", "Build each by itself.")
    if plan.sizes:
        raise InputError("the recipe of a search names input sizes to try in each build", "Put them into its space.")
    if plan.source.random:
        raise InputError("a search compares networks by top-1, and the weights are random", "Give trained ones.")


def _calibration_of(aside: CalibrationData, plan: Plan, run: Runner, exported: Exported) -> CalibrationData:
    """As many as a trial asks for of the images that were set aside, chosen as it asks."""
    asked, pool = plan.recipe.calibration, aside.pool
    assert isinstance(pool, FolderSet)
    part = FolderSet(pool.name, pool.classes, tuple(pool.files[place] for place in aside.indices))
    features = Features(exported.graph, plan.source.preprocessing) if asked.strategy == "coverage" else None
    count, data = min(asked.images, len(part)), plan.recipe.data or ""
    choice = Choice(part, data, count, asked.strategy, plan.recipe.seed, features)
    return CalibrationData(run(CALIBRATE, CalibrateInput(None, choice)), part)


def widths_of(trial: Opened) -> ChosenWidths | None:
    """Which channels stay; None where the trial does not prune. Times layers and networks: to be run alone.

    Raises:
        InputError: the network cannot be pruned. BudgetError: not to the latency that is asked for.
    """
    plan = trial.plan
    if plan.recipe.prune == "none":
        return None
    reason = why_not(plan)
    if reason is not None:
        raise InputError(f"it cannot be pruned: {reason}", "Leave pruning out of the space.")
    pictures = training_images(plan, trial.calibration, trial.evaluation)
    return trial.run(CHOOSE_WIDTHS, choosing(plan, trial.run, trial.origin, pictures))


def network_of(trial: Opened, widths: ChosenWidths | None) -> Variant:
    """The network that the trial asks for: pruned and recovered, quantized, with a mix of precisions where asked.

    Args:
        widths: those of `widths_of`; see `unpruned` for those which are not pruned to.
    Raises:
        TrainingFailed: recovery diverged.
    """
    plan, core, graphs = trial.plan, trial.exported, trial.dense
    if widths is not None and unpruned(trial, widths) is None:
        pictures = training_images(plan, trial.calibration, trial.evaluation)
        minutes = plan.recipe.pruning.minutes
        given = replace(recovering(plan, trial.exported, pictures, widths), seconds=60 * (minutes or 0.0))
        core = trial.run(RECOVER, given).exported
        graphs = trial.run(QUANTIZE, quantize_input(plan, core, trial.calibration, (plan.base_precision,)))
    if plan.wanted == "mixed":
        looking = search_input(plan, trial.origin, core.graph, None)
        graph = trial.run(SEARCH_PRECISION, looking).graph
        return Variant("trial", "mixed", plan.backend, graph, core.facts, "the mix of precisions", None)
    return dense_of(trial, plan.base_precision, core, graphs)


def unpruned(trial: Opened, widths: ChosenWidths) -> str | None:
    """Why a network is not pruned to the widths that were chosen, as a build does not either; None where it is."""
    if widths.kept == widths.units:
        return "no narrower widths were found that would be faster and keep what matters"
    told = trial.plan.recipe
    asked = told.pruning.latency_share is not None or told.latency_budget_ms is not None or told.prune != "auto"
    return None if asked or pays(widths) else too_little(widths)


def dense_of(
    trial: Opened, precision: str, core: Exported | None = None, graphs: Quantized | None = None, name: str = "trial"
) -> Variant:
    """The network in one precision: as it came, unless another one and its graphs are given."""
    graphs, facts = graphs or trial.dense, (core or trial.exported).facts
    beside = graphs.dla if precision == "int8" else ()
    return Variant(name, precision, trial.plan.backend, graphs.of(precision), facts, "", None, beside=beside)


def compiled(trial: Opened, variants: Sequence[Variant]) -> tuple[Executed, ...]:
    """Variants as they are executed."""
    forms = trial.run(COMPILE, compile_input(trial.plan, variants))
    return executed(trial.plan, variants, forms)


def shape_of(facts: GraphFacts) -> Shape:
    """Of one picture, as networks are timed with."""
    return (1, facts.height, facts.width, 3)


def right_of(trial: Opened, variant: Executed, first: int, last: int) -> Right:
    """(last - first,) which images of the evaluation, from `first` on and before `last`, a network has right."""
    part = Selection(trial.evaluation, tuple(range(first, last)))
    return trial.run(SHOW, ShowInput(variant, trial.plan.executor, part, trial.plan.source.preprocessing))


def timed(
    recipe: Recipe,
    store: Store,
    ready: Sequence[tuple[Executed, Shape]],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Latencies of networks side by side, the first one's input size being the usual one. To be run alone.

    Args:
        recipe: that says where they run, and how long each is timed.
    """
    plan, asked = planned(recipe, store), recipe.latency
    shape = ready[0][1]
    others = tuple((each.name, other) for each, other in ready if other != shape)

    def tell(done: float, total: float | None, what: str) -> None:
        on_progress(int(done), int(total or 0))

    return plan.executor.timed(
        networks([each for each, _ in ready]), Timing(asked.runs, asked.max_seconds, shape, others), tell
    )
