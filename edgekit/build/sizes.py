"""Other input sizes than the network's own: variants for each of them, and the size that pruning begins with.

A smaller picture costs less in every layer and no training. What it loses is measured as that of any other variant. The
size that widths are narrowed at is chosen before, by images that nobody is evaluated on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgekit.build.compile import COMPILE, compile_input
from edgekit.build.elect import first_look
from edgekit.build.evaluate import executed, other_preprocessing
from edgekit.build.export import EXPORT, Exported, ExportInput
from edgekit.build.measure import MEASURE, MeasureInput, shapes_of
from edgekit.build.prune import NOISE, PAYS, Origin, why_not
from edgekit.build.quantize import QUANTIZE, quantize_input
from edgekit.build.show import SHOW, ShowInput
from edgekit.build.training_images import training_images
from edgekit.build.variant import Variant
from edgekit.data.image_set import Selection, spread
from edgekit.errors import InputError
from edgekit.size import Size, shown

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.quantize import Quantized
    from edgekit.build.runner import Runner
    from edgekit.data.image_set import ImageSet
    from edgekit.prune.sources import PruningImages
    from edgekit.recipe import Recipe

LOOKED_AT: Final = 600
"""Tuning images that sizes are compared on: enough to see a point."""

STEP: Final = "a smaller input"


@dataclass(frozen=True)
class AtSize:
    """The network at an input size: the plan for images of it, and its graphs for the plan's own runtime."""

    plan: Plan
    exported: Exported
    dense: Quantized

    @property
    def size(self) -> Size:
        """Height and width, pixels."""
        return self.plan.source.preprocessing.size

    @property
    def suffix(self) -> str:
        """What names of its variants end in."""
        return f"-{shown(self.size)}{self.plan.suffix}"

    def variant(self, parent: str | None) -> Variant:
        """The network as it came, at this size and in the precision that single steps are made in."""
        base = self.plan.base_precision
        graph, beside = self.dense.of(base), self.dense.dla if base == "int8" else ()
        name = f"{base}{self.suffix}"
        return Variant(name, base, self.plan.backend, graph, self.exported.facts, STEP, parent, beside=beside)


@dataclass(frozen=True)
class Tried:
    """What is told of a size.

    Attributes:
        variant: name of the one that is the network at that size; None where there is none, and `why` says so.
        drop: points that it lost on the images to choose by, `images` of them; None where nobody looked.
        begun: whether pruning, or the search for a mix of precisions, began with it.
    """

    size: Size
    variant: str | None
    why: str | None = None
    drop: float | None = None
    images: int | None = None
    begun: bool = False


@dataclass(frozen=True)
class Sizes:
    """The network at the sizes that were asked for, the largest first, and at the one that the next steps begin with.

    Attributes:
        base: that one; it may be the network's own.
    """

    others: tuple[AtSize, ...]
    base: AtSize
    tried: tuple[Tried, ...]

    def variants(self) -> tuple[Variant, ...]:
        """One for each other size."""
        return tuple(each.variant(f"{each.plan.base_precision}{each.plan.suffix}") for each in self.others)


def at_sizes(plan: Plan, run: Runner, origin: Origin) -> Sizes:
    """The network at the sizes that the recipe names. One that it cannot take is told of, and left out.

    Args:
        origin: the network at its own size.
    Raises:
        InputError: a lock names a size that the network cannot take.
    """
    own = AtSize(plan, origin.exported, origin.quantized)
    found, tried = list[AtSize](), list[Tried]()
    for size in plan.sizes:
        there = plan.at(size)
        try:
            exported = run(EXPORT, ExportInput(there.source, size))
        except InputError as error:
            run.warn(f"input size {shown(size)} is left out: {error.what}")
            tried.append(Tried(size, None, error.what))
            continue
        dense = run(QUANTIZE, quantize_input(there, exported, origin.calibration, plan.narrow_precisions))
        found.append(AtSize(there, exported, dense))
        tried.append(Tried(size, found[-1].variant(None).name))
    if plan.lock is not None:
        return _begun(own, found, tried, plan.lock.size)
    if not found or not goes_on(plan):
        return Sizes(tuple(found), own, tuple(tried))
    return _chosen(run, origin, own, found, tried)


def goes_on(plan: Plan) -> bool:
    """Whether something follows that begins with one size: pruning, or the search for a mix of precisions."""
    return plan.wanted == "mixed" or why_not(plan) is None


def _begun(own: AtSize, found: Sequence[AtSize], tried: Sequence[Tried], size: Size | None) -> Sizes:
    """The same with the size that the next steps begin with; None: the network's own."""
    base = next((each for each in (own, *found) if each.size == (size or own.size)), None)
    if base is None:
        raise InputError(
            f"the lock's network takes images of {shown(size or own.size)}, and this one cannot",
            "Give the network that it was made of.",
        )
    return Sizes(tuple(found), base, tuple(replace(each, begun=each.size == size) for each in tried))


def _chosen(run: Runner, origin: Origin, own: AtSize, found: Sequence[AtSize], tried: Sequence[Tried]) -> Sizes:
    images = _images_to_choose_by(own.plan, origin)
    if images is None or own.plan.executor.untimed is not None:
        why = "there are no labelled training images" if images is None else "no latency is measured"
        run.warn(f"{why} to choose an input size by: what follows begins with {shown(own.size)}")
        return _begun(own, found, tried, None)
    fp32 = Variant("fp32", "fp32", own.plan.backend, own.dense.of("fp32"), own.exported.facts, "", None)
    there = [own.variant(None), *(each.variant(None) for each in found)]
    ready = executed(own.plan, (fp32, *there), run(COMPILE, compile_input(own.plan, (fp32, *there))))
    others = other_preprocessing(own.plan, there)
    how = own.plan.source.preprocessing
    right = {
        each.name: run(SHOW, ShowInput(each, own.plan.executor, images, dict(others).get(each.name, how)))
        for each in ready
    }
    timing = first_look(own.plan, (1, *own.size, 3), shapes_of(others))
    timed = run(MEASURE, MeasureInput(ready[1:], own.plan.executor, timing, None))
    drops = {name: 100 * float(right["fp32"].mean() - each.mean()) for name, each in right.items()}
    latencies = {name: each.p50 for name, each in timed.latency.items()}
    names = [each.name for each in there]
    best = chosen_size(names, drops, latencies, own.plan.recipe)
    tried = [replace(each, drop=drops.get(each.variant or ""), images=len(images)) for each in tried]
    size = None if best == 0 else found[best - 1].size
    began = _begun(own, found, tried, size)
    return replace(began, base=_same_goal(began.base, latencies[names[0]] / latencies[names[best]]))


def chosen_size(names: Sequence[str], drops: dict[str, float], latencies: dict[str, float], recipe: Recipe) -> int:
    """Which size the next steps begin with, by its place: 0 is the network's own.

    Of those that lose no more than recovery may win back: the largest within the latency budget, where there is one;
    else the fastest, if it is plainly faster than the network at its own size.

    Args:
        names: of the network at its own size, and at others, the largest first; drops: points that each lost on images
            to choose by; latencies: milliseconds of each, timed side by side.
    """
    allowed = [place for place, name in enumerate(names) if place and drops[name] <= recipe.max_drop + NOISE]
    allowed = [place for place in allowed if latencies[names[place]] <= PAYS * latencies[names[0]]]
    budget = recipe.latency_budget_ms
    if recipe.pruning.latency_share is not None:
        budget = recipe.pruning.latency_share * latencies[names[0]]
    within = [place for place in (0, *allowed) if budget is not None and latencies[names[place]] <= budget]
    return within[0] if within else min((0, *allowed), key=lambda place: latencies[names[place]])


def _same_goal(base: AtSize, times_faster: float) -> AtSize:
    """A share of the latency is meant of the network at its own size."""
    told = base.plan.recipe.pruning.latency_share
    if told is None or times_faster == 1.0:
        return base
    pruning = base.plan.recipe.pruning.model_copy(update={"latency_share": min(1.0, told * times_faster)})
    recipe = base.plan.recipe.model_copy(update={"pruning": pruning})
    return replace(base, plan=replace(base.plan, recipe=recipe))


def _images_to_choose_by(plan: Plan, origin: Origin) -> ImageSet | None:
    """Labelled images that are neither trained nor evaluated on; None where there are none."""
    images: PruningImages | None = training_images(plan, origin.calibration, origin.evaluated)
    if images is None or not images.tells_accuracy or plan.task != "classify":
        return None
    assert images.tuning is not None
    held, indices = images.tuning
    return Selection(held, tuple(int(indices[place]) for place in spread(len(indices), LOOKED_AT)))
