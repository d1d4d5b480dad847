"""Pruning: widths are chosen on the target, accuracy is won back, and what was found out is told."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.build.choose_widths import CHOOSE_WIDTHS, ChooseWidthsInput, LayerTable
from edgekit.build.code import source_digest
from edgekit.build.look_at_sensitivity import SENSITIVITY, SensitivityInput
from edgekit.build.recover import RECOVER, Recovered, RecoverInput
from edgekit.build.training_images import training_images
from edgekit.build.weigh import WEIGH, WeighInput
from edgekit.errors import BudgetError, InputError
from edgekit.prune.choice import ChosenBlocks, ChosenWidths, Want, Width
from edgekit.store.keys import canonical
from edgekit.targets import this_machine
from edgekit.training.failure import TrainingFailed

if TYPE_CHECKING:
    from edgekit.build.export import Exported
    from edgekit.build.lock import LockedPruning
    from edgekit.build.plan import Plan
    from edgekit.build.quantize import Quantized
    from edgekit.build.runner import Runner
    from edgekit.data.calibration import CalibrationData
    from edgekit.data.image_set import ImageSet
    from edgekit.prune.choice import Sensitivity
    from edgekit.prune.sources import PruningImages

NOISE: Final = 0.7
"""Points that the tuning images may be wrong by: a drop over the budget by less is left to the verdict."""

FIRST_SHARE: Final = 0.65
"""Of the minutes of recovery that the first attempt is planned to take, where there may be a second one."""

MINUTES: Final = 4.0
"""Of recovery unless others are asked for: 2.6 of a first attempt, and what a second one needs."""

BETWEEN: Final = 0.85
"""Of the latency that a second attempt is fitted to: what takes at least this part is near enough to it."""

PAYS: Final = 0.95
"""Of the unpruned network's latency: what is not narrowed below that is not worth its recovery."""


@dataclass(frozen=True)
class Pruned:
    """What pruning came to.

    Attributes:
        asked: auto, none, or the ratio.
        reason: why nothing was pruned; None where something was.
        over_budget: whether that is because no width reaches the latency budget; hint: what to do.
        importance, chosen, recovered: None where nothing was pruned; attempts: how often accuracy was won back.
        sensitivity: None where there were no labelled images, or nobody wants to know.
    """

    asked: str
    reason: str | None
    over_budget: bool = False
    hint: str = ""
    importance: str | None = None
    chosen: ChosenWidths | None = None
    recovered: Recovered | None = None
    attempts: int = 0
    sensitivity: Sensitivity | None = None


@dataclass(frozen=True)
class Origin:
    """What is pruned: the float network and its graphs, and images to calibrate, to train and to evaluate with."""

    exported: Exported
    quantized: Quantized
    calibration: CalibrationData
    evaluated: ImageSet | None


def pruned_network(plan: Plan, run: Runner, origin: Origin) -> Pruned:
    """Prunes as the recipe or the lock says, and recovers; or says why not.

    Raises:
        InputError: the network cannot be pruned, though a ratio was asked for; or bad training images.
    """
    asked = str(plan.recipe.prune)
    if plan.lock is not None:
        return _replayed(plan, run, origin, plan.lock.pruning)
    reason = why_not(plan)
    if reason is not None:
        return Pruned(asked, reason, hint="Give --prune a ratio, or what is missing.")
    images = training_images(plan, origin.calibration, origin.evaluated)
    try:
        chosen_by = choosing(plan, run, origin, images)
        found = _tried(plan, run, origin.exported, chosen_by, images)
        return replace(found, sensitivity=_sensitivity(plan, run, chosen_by, images) if found.recovered else None)
    except BudgetError as error:
        run.warn(error.what)
        return Pruned(asked, error.what, True, error.hint)
    except InputError as error:
        if asked != "auto" and not isinstance(error, TrainingFailed):
            raise
        run.warn(f"{error.what}; built without pruning")
        return Pruned(asked, error.what, hint=error.hint)


def choosing(plan: Plan, run: Runner, origin: Origin, images: PruningImages | None) -> ChooseWidthsInput:
    """What widths are chosen by at first.

    Raises:
        InputError: a network that ends in more than logits.
    """
    importance = plan.recipe.pruning.importance or ("fisher" if images is not None else "magnitude")
    _check_logits(plan, origin)
    want = _first_want(plan)
    precision, seed = plan.base_precision, plan.recipe.seed
    blocks = _may_remove_blocks(plan, run, importance, want)
    scores = run(WEIGH, WeighInput(plan.source, images, importance, plan.source.preprocessing, seed, blocks))
    return ChooseWidthsInput(
        plan.source,
        origin.quantized.of(precision),
        precision,
        want,
        scores,
        importance,
        plan.target.channel_granularity,
        plan.source.preprocessing,
        blocks,
        seed,
        plan.executor,
        None if want.kind == "ratio" else LayerTable(plan.backend, _table(plan, run, precision)),
    )


def _may_remove_blocks(plan: Plan, run: Runner, importance: str, want: Want) -> bool:
    """Whether whole blocks may go: where images say what they are worth, and a latency how many."""
    if not plan.recipe.pruning.blocks:
        return False
    if want.kind == "ratio":
        run.warn("--prune-blocks: a ratio removes channels alone; give a latency for blocks to go")
        return False
    if importance == "magnitude":
        run.warn("--prune-blocks: magnitude says nothing of what blocks are worth; only channels are removed")
        return False
    return True


def _table(plan: Plan, run: Runner, precision: str) -> Path:
    """The file of layer times: of one machine, one backend and its version, and one way to time."""
    parts = [canonical(this_machine()), canonical(plan.compiler.identity(plan.executor.machine))]
    parts += [source_digest("edgekit.prune.probes"), source_digest("edgekit.prune.timing")]
    who = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return run.store.root / "latency" / f"{who}-{precision}.json"


def _sensitivity(
    plan: Plan, run: Runner, choosing: ChooseWidthsInput, images: PruningImages | None
) -> Sensitivity | None:
    """How sensitive parts of the network are, where there are labels to tell."""
    if images is None or not images.tells_accuracy or not plan.recipe.pruning.sensitivity:
        return None
    how = choosing.preprocessing
    return run(SENSITIVITY, SensitivityInput(choosing.source, choosing.scores, images, how, choosing.blocks))


def _tried(
    plan: Plan, run: Runner, dense: Exported, choosing: ChooseWidthsInput, images: PruningImages | None
) -> Pruned:
    """Chooses widths and recovers; once more, less narrow, if that cost too much and no budget says how fast."""
    asked = str(plan.recipe.prune)
    chosen = run(CHOOSE_WIDTHS, choosing)
    if chosen.kept == chosen.units:
        why = f"{choosing.precision} alone meets the latency budget"
        if choosing.want.kind != "budget":
            why = "no narrower widths were found that would be faster and keep what matters"
        return Pruned(asked, why, hint="There is no need.")
    may_try_again = choosing.want.kind == "knee"
    if may_try_again and not pays(chosen):
        return Pruned(asked, too_little(chosen), hint="--latency-budget or a ratio prunes all the same.")
    ceiling, share = ceiling_s(plan)
    recovered = run(RECOVER, replace(recovering(plan, dense, images, chosen), seconds=ceiling, first_share=share))
    found = Pruned(asked, None, False, "", choosing.importance, chosen, recovered, 1)
    tuning, fit = recovered.recovery.tuning, chosen.latency
    if not may_try_again or tuning is None or tuning.recovered_top1 is None or fit is None:
        return found
    drop, left = tuning.dense_top1 - tuning.recovered_top1, ceiling - recovered.recovery.seconds
    if drop <= plan.recipe.max_drop + NOISE:
        return found
    cost = f"pruning to {fit.measured_ms:.2f} ms cost {drop:.2f} points on the tuning images"
    if left < 0.1 * ceiling:
        run.warn(f"{cost}, and the minutes of recovery are over: it was not tried again")
        return found
    middle = (1 + fit.share) / 2
    run.warn(f"{cost}: tried again with {middle * fit.dense_ms:.2f} ms")
    try:
        chosen = run(
            CHOOSE_WIDTHS, replace(choosing, want=Want("budget", budget_share=middle, known=fit.known, enough=BETWEEN))
        )
    except BudgetError as error:  # on a noisy machine the two may be too near: the first attempt is judged
        run.warn(error.what)
        return found
    if chosen.kept == chosen.units or not pays(chosen):
        run.warn(f"{too_little(chosen)}; the first attempt stays")
        return found
    try:
        recovered = run(RECOVER, replace(recovering(plan, dense, images, chosen), seconds=left))
    except TrainingFailed as error:
        run.warn(f"{error.what}; the first attempt stays")
        return found
    second = recovered.recovery.tuning
    if second is None or second.recovered_top1 is None or second.recovered_top1 <= tuning.recovered_top1:
        run.warn("the second attempt won back no more than the first one, which stays")
        return replace(found, attempts=2)
    return replace(found, chosen=chosen, recovered=recovered, attempts=2)


def pays(chosen: ChosenWidths) -> bool:
    """Whether widths are so much faster that it is worth to win back their accuracy; untimed ones may be."""
    return chosen.latency is None or chosen.latency.share <= PAYS


def too_little(chosen: ChosenWidths) -> str:
    """Why widths are not trained for, where they do not pay."""
    fit = chosen.latency
    assert fit is not None
    found = f"the widths that were found take {fit.measured_ms:.2f} of {fit.dense_ms:.2f} ms"
    return f"{found}, too little to train for"


def recovering(plan: Plan, dense: Exported, images: PruningImages | None, chosen: ChosenWidths) -> RecoverInput:
    """How accuracy is won back at some widths, but for how long."""
    how = plan.recipe.pruning
    return RecoverInput(
        plan.source,
        dense,
        chosen.keep,
        chosen.units,
        chosen.blocks is not None,
        images,
        plan.source.preprocessing,
        how.images,
        0.0,
        1.0,
        how.learning_rate,
        plan.recipe.seed,
        this_machine(),
        plan.recipe.max_drop if how.minutes is None and how.images is None else None,
        None,
    )


def _replayed(plan: Plan, run: Runner, origin: Origin, locked: LockedPruning | None) -> Pruned:
    """The pruning of a lock: nothing is timed, and training is done again as it was."""
    asked = str(plan.recipe.prune)
    if locked is None:
        return Pruned(asked, "the lock has no pruning")
    wanted = locked.recovery is not None or locked.refit_images or locked.norm_images
    images = training_images(plan, origin.calibration, origin.evaluated) if wanted else None
    if wanted and images is None:
        raise InputError("the lock's recovery needs the images that it was trained with", "Give --train-data.")
    widths = tuple(Width(each.layer, each.before, each.after) for each in locked.widths)
    kept = bin(int(locked.keep, 16)).count("1")
    blocks = None if locked.blocks is None else ChosenBlocks(locked.blocks.there, locked.blocks.removed)
    chosen = ChosenWidths(locked.keep, locked.units, kept, widths, None, blocks)
    again = replace(
        recovering(plan, origin.exported, images, chosen),
        seconds=0.0,
        replay=locked.recovery,
        refit=locked.refit_images > 0,
        train=locked.recovery is not None,
    )
    recovered = run(RECOVER, again)
    return Pruned(asked, None, False, "", locked.importance, chosen, recovered, 1)


def why_not(plan: Plan) -> str | None:
    """Why nothing is pruned, as far as the plan tells; None where it is tried."""
    recipe = plan.recipe
    if recipe.prune == "none":
        return "not asked for (--prune none)"
    if recipe.prune != "auto":
        return None
    if not plan.target.can.layers:
        return "its single layers are not timed: give a ratio (--prune 0.3) to prune for this target"
    if plan.task != "classify":
        return "accuracy is won back by classes, not by sets of labels or vectors: only a ratio is pruned all the same"
    if plan.source.random and recipe.latency_budget_ms is None and recipe.pruning.latency_share is None:
        return "the weights are random: only a --latency-budget says how much to prune"
    if recipe.pruning.train_data is None and plan.source.default_data != "signs" and not plan.source.random:
        return "there are no training images to recover with (--train-data)"
    return None


def ceiling_s(plan: Plan) -> tuple[float, float]:
    """Seconds that winning back accuracy may take in all, and the share of them that a first attempt is planned to."""
    may_try_again, minutes = _first_want(plan).kind == "knee", plan.recipe.pruning.minutes
    share = FIRST_SHARE if may_try_again else 1.0
    return 60 * ((MINUTES if may_try_again else FIRST_SHARE * MINUTES) if minutes is None else minutes), share


def _check_logits(plan: Plan, origin: Origin) -> None:
    """Refuses a torch network that puts the activation on its answers itself: it would be trained through two of them.

    Raises:
        InputError: it does; the graph of an ONNX file ends in logits in any case.
    """
    inside = origin.exported.facts.inside
    if plan.source.kind in ("factory", "timm") and inside != "none":
        raise InputError(
            f"{plan.source.name} cannot be pruned: it puts a {inside} on its answers itself, where logits are trained",
            f"Let it return what it has before the {inside}, which edgekit applies.",
        )


def _first_want(plan: Plan) -> Want:
    if plan.recipe.prune not in ("auto", "none"):
        return Want("ratio", ratio=float(plan.recipe.prune))
    if plan.recipe.latency_budget_ms is not None:
        return Want("budget", budget_ms=plan.recipe.latency_budget_ms)
    if plan.recipe.pruning.latency_share is not None:
        return Want("budget", budget_share=plan.recipe.pruning.latency_share)
    return Want("knee")
