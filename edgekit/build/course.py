"""Which stages a build will run, in the order of edgekit.build.pipeline, and what is known of them beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Final

from edgekit.build import check_labels, prune
from edgekit.build.calibrate import CALIBRATE
from edgekit.build.calibration_variance import TOP1_OF_CALIBRATION
from edgekit.build.check_arithmetic import CHECK_ARITHMETIC, is_compared
from edgekit.build.check_labels import CHECK_LABELS
from edgekit.build.choose_widths import CHOOSE_WIDTHS
from edgekit.build.compile import COMPILE
from edgekit.build.evaluate import CHECK_NORMALISATION, EVALUATE, is_normalisation_checked
from edgekit.build.executor import Here
from edgekit.build.export import EXPORT
from edgekit.build.kernels import KERNELS
from edgekit.build.look_at_sensitivity import SENSITIVITY
from edgekit.build.measure import LONGER, MEASURE
from edgekit.build.profile import PROFILE
from edgekit.build.quantize import QUANTIZE
from edgekit.build.recover import RECOVER
from edgekit.build.referee import REFEREE
from edgekit.build.search_precision import SEARCH_PRECISION
from edgekit.build.show import SHOW
from edgekit.build.sizes import goes_on
from edgekit.build.time_left import Expected
from edgekit.build.weigh import WEIGH
from edgekit.build.with_pixels import WITH_PIXELS
from edgekit.runtime.kernels import JUDGED

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.stage import Stage
    from edgekit.data.image_set import ImageSet

BRIEF_S: Final = 2.0
"""What stages take that are soon over whatever the network is, where none was ever run here."""


@dataclass(frozen=True)
class Facts:
    """What a build is known by before its first stage: its plan, and the images that it evaluates on."""

    plan: Plan
    images: ImageSet | None


@dataclass(frozen=True)
class Step:
    """Stages that come one after the other, as one line of the pipeline runs them.

    Attributes:
        times: how often they come; may: how often more, if something turns out so.
    """

    stages: tuple[Stage[Any, Any], ...]
    times: Callable[[Facts], int] = lambda facts: 1
    may: Callable[[Facts], int] = lambda facts: 0


def _others(facts: Facts) -> int:
    """Runtimes that are timed beside the first one, where none is chosen yet."""
    return len(facts.plan.beside)


def _elections(facts: Facts) -> int:
    return int(bool(facts.plan.beside) and facts.plan.lock is None)


def _prunings(facts: Facts) -> int:
    return int(facts.plan.lock is None and prune.why_not(facts.plan) is None)


def _size_choices(facts: Facts) -> int:
    """Whether the size that the next steps begin with is chosen; without labelled images for that it is not."""
    return int(bool(facts.plan.sizes) and facts.plan.lock is None and goes_on(facts.plan))


def _recoveries(facts: Facts) -> int:
    lock = facts.plan.lock
    return int(lock.pruning is not None) if lock is not None else _prunings(facts)


def _spreads(facts: Facts) -> int:
    """Other calibration sets; few images may leave fewer of them, so none is sure."""
    return facts.plan.recipe.calibration.seeds - 1


def _compared(facts: Facts) -> int:
    plan = facts.plan
    names = (plan.backend, *plan.beside)
    return int(plan.has_int8 and any(is_compared(plan, name) for name in names))


def _judged(facts: Facts) -> int:
    plan = facts.plan
    return int(isinstance(plan.executor, Here) and any(each in JUDGED for each in plan.precisions))


BUILD: Final = (
    Step((EXPORT,)),
    Step((CHECK_LABELS,), lambda facts: int(check_labels.is_asked(facts.plan, facts.images))),
    Step((CALIBRATE,)),
    Step((WITH_PIXELS, REFEREE), may=lambda facts: len(facts.plan.alternatives())),
    Step((EXPORT, WITH_PIXELS, REFEREE), lambda facts: 0, lambda facts: 1),
    Step((WITH_PIXELS, REFEREE), _others),
    Step((QUANTIZE,), may=_others),
    Step((COMPILE,), _elections),
    Step((CHECK_ARITHMETIC,), lambda facts: 0, _elections),
    Step((MEASURE,), _elections),
    Step((EXPORT, QUANTIZE), lambda facts: 0, lambda facts: len(facts.plan.sizes)),
    Step((COMPILE, SHOW, SHOW), lambda facts: 0, _size_choices),
    Step((SHOW,), lambda facts: 0, lambda facts: _size_choices(facts) * len(facts.plan.sizes)),
    Step((MEASURE,), lambda facts: 0, _size_choices),
    Step((WEIGH,), _prunings),
    Step((CHOOSE_WIDTHS, RECOVER), _prunings, _prunings),
    Step((RECOVER,), lambda facts: _recoveries(facts) if facts.plan.lock is not None else 0),
    Step((SENSITIVITY,), lambda facts: 0, lambda facts: _prunings(facts) * int(facts.plan.recipe.pruning.sensitivity)),
    Step((QUANTIZE,), _recoveries),
    Step((SEARCH_PRECISION,), lambda facts: int(facts.plan.wanted == "mixed")),
    Step((QUANTIZE,), lambda facts: 0, lambda facts: 2 * _others(facts)),
    Step((COMPILE,)),
    Step((EVALUATE,)),
    Step((CHECK_NORMALISATION,), lambda facts: int(is_normalisation_checked(facts.plan, facts.images))),
    Step((QUANTIZE, TOP1_OF_CALIBRATION), lambda facts: 0, _spreads),
    Step(
        (MEASURE,),
        lambda facts: int(facts.plan.executor.untimed is None),
        lambda facts: LONGER if facts.plan.recipe.latency_budget_ms is not None else 0,
    ),
    Step((CHECK_ARITHMETIC,), _compared),
    Step((KERNELS,), _judged),
    Step((PROFILE,), lambda facts: int(isinstance(facts.plan.executor, Here))),
)
"""The lines of edgekit.build.pipeline.build that run stages, once its images are open."""

CEILINGS: Final[Mapping[str, Callable[[Plan], float]]] = {
    RECOVER.name: lambda plan: prune.ceiling_s(plan)[0] * prune.ceiling_s(plan)[1],
    SEARCH_PRECISION.name: lambda plan: 60 * plan.recipe.tuning.minutes,
}
"""Seconds that a stage may take, as the recipe says."""

WHOLE: Final = frozenset(
    each.name for each in (RECOVER, SENSITIVITY, SEARCH_PRECISION, EVALUATE, TOP1_OF_CALIBRATION, CHECK_LABELS)
)
"""Stages whose progress is of all that they do, so that their pace tells when they end."""

IN_SECONDS: Final = frozenset(each.name for each in (RECOVER, SEARCH_PRECISION))
"""Stages whose progress counts seconds."""

BRIEF: Final = frozenset(each.name for each in (CALIBRATE, WITH_PIXELS, KERNELS, PROFILE, CHECK_NORMALISATION))


def course_of_build(plan: Plan, images: ImageSet | None) -> tuple[Expected, ...]:
    """The stages that a build will run from its export on, in order.

    Args:
        images: that it evaluates on.
    """
    facts = Facts(plan, images)
    return tuple(
        _expected(plan, stage.name, may)
        for step in BUILD
        for may in chain(repeat(False, step.times(facts)), repeat(True, step.may(facts)))
        for stage in step.stages
    )


def _expected(plan: Plan, name: str, may: bool) -> Expected:
    ceiling = CEILINGS[name](plan) if name in CEILINGS else None
    seconds = BRIEF_S if name in BRIEF else ceiling
    return Expected(name, seconds, ceiling is not None, may, name in WHOLE, name in IN_SECONDS)


def certain(ahead: Iterable[Expected]) -> tuple[str, ...]:
    """Names of the stages that come in any case."""
    return tuple(each.stage for each in ahead if not each.may)
