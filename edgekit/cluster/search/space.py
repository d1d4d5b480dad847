"""What a search may vary, and what one trial is set to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from edgekit.errors import InputError
from edgekit.input_recipe import ImageSize, Width
from edgekit.recipe import Precision, Recipe, checked, read_yaml
from edgekit.size import shown

if TYPE_CHECKING:
    from edgekit.build.plan import Plan

Importance = Literal["fisher", "taylor", "magnitude"]
Strategy = Literal["random", "stratified", "coverage"]


def _pruning(told: object) -> object:
    if told in ("none", "auto") or (isinstance(told, float | int) and not isinstance(told, bool) and 0 < told < 1):
        return told
    raise ValueError("give none, auto, or a share above 0 and below 1")


Pruning = Annotated[Literal["none", "auto"] | float, BeforeValidator(_pruning)]
"""Not at all, as much as pays, or the share of the unpruned network's latency that is to be reached."""

Choice: TypeAlias = str | int | float | tuple[int, int]
"""A value of a field of a setting."""

One = TypeVar("One")


def _once(told: tuple[One, ...]) -> tuple[One, ...]:
    return tuple(dict.fromkeys(told))


Choices = Annotated[tuple[One, ...], Field(min_length=1), AfterValidator(_once)]
"""What may be chosen from; what is there twice counts once."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Space(_Part):
    """What a search may vary; what has one choice is no question. None leaves it to the recipe."""

    models: Choices[str] | None = Field(default=None, description="as --model takes them")
    widths: Choices[Width] | None = Field(default=None, description="of registry models")
    sizes: Choices[ImageSize] | None = Field(default=None, description="of the network's input")
    precisions: Choices[Precision] | None = Field(default=None, description="what is built")
    runtimes: Choices[str] | None = Field(default=None, description="of those that the target has")
    pruning: Choices[Pruning] = Field(
        default=("none",), description="none, auto, or shares of the unpruned network's latency to reach"
    )
    importances: Choices[Importance] | None = Field(default=None, description="what channels are worth by")
    blocks: Choices[bool] | None = Field(default=None, description="whether whole residual blocks may go too")
    calibration_images: Choices[Annotated[int, Field(ge=1)]] | None = Field(default=None, description="how many")
    calibration_strategies: Choices[Strategy] | None = Field(default=None, description="how they are chosen")


class Setting(_Part):
    """What one trial is set to; None leaves it to the recipe."""

    model: str | None = None
    width: float | None = None
    size: ImageSize | None = None
    precision: Precision | None = None
    runtime: str | None = None
    pruning: Pruning = "none"
    importance: Importance | None = None
    blocks: bool | None = None
    calibration_images: int | None = None
    calibration_strategy: Strategy | None = None

    @property
    def words(self) -> str:
        """For people: what is set, in the order of a build."""
        pruned = "unpruned" if self.pruning == "none" else f"pruned {_amount(self.pruning)}"
        calibrated = " ".join(str(e) for e in (self.calibration_images, self.calibration_strategy) if e is not None)
        parts = (
            self.model,
            None if self.width is None else f"width {self.width:g}",
            None if self.size is None else f"{shown(self.size)} px",
            self.runtime,
            self.precision,
            pruned,
            self.importance,
            "with blocks" if self.blocks else None,
            f"calibrated {calibrated}" if calibrated else None,
        )
        return ", ".join(part for part in parts if part)

    def recipe(self, base: Recipe) -> Recipe:
        """A recipe with what is set laid over it."""
        given = {"model": self.model, "width": self.width, "precision": self.precision, "runtime": self.runtime}
        changed = {key: value for key, value in given.items() if value is not None}
        told = {"importance": self.importance, "blocks": self.blocks}
        how = {key: value for key, value in told.items() if value is not None}
        calibration = {"images": self.calibration_images, "strategy": self.calibration_strategy}
        shared = self.pruning if isinstance(self.pruning, float) else None
        return base.model_copy(
            update={
                **changed,
                "prune": "none" if self.pruning == "none" else "auto",
                "latency_budget_ms": None,
                "pruning": base.pruning.model_copy(update={**how, "latency_share": shared}),
                "preprocessing": base.preprocessing.model_copy(update={} if self.size is None else {"size": self.size}),
                "calibration": base.calibration.model_copy(
                    update={key: value for key, value in calibration.items() if value is not None}
                ),
            }
        )


def _amount(told: Pruning) -> str:
    return f"to {100 * told:g} % of the latency" if isinstance(told, float) else f"({told})"


@dataclass(frozen=True)
class Question:
    """One thing that is varied.

    Attributes:
        field: of a setting; choices: values of it; ordered: whether neighbours are alike.
    """

    field: str
    choices: tuple[Choice, ...]
    ordered: bool


ORDERED: Final = frozenset({"width", "size", "pruning", "calibration_images"})

QUESTIONS: Final[Mapping[str, str]] = {
    "model": "models",
    "width": "widths",
    "size": "sizes",
    "runtime": "runtimes",
    "precision": "precisions",
    "pruning": "pruning",
    "importance": "importances",
    "blocks": "blocks",
    "calibration_images": "calibration_images",
    "calibration_strategy": "calibration_strategies",
}
"""Field of a setting: that of the space which has its choices, in the order in which they are asked for."""


def questions(space: Space) -> tuple[Question, ...]:
    """What the space leaves open or settles; what it leaves to the recipe is no question."""
    found = []
    for field, name in QUESTIONS.items():
        choices = getattr(space, name)
        if choices is not None:
            kept = sorted(choices, key=_rank) if field in ORDERED else choices
            found.append(Question(field, tuple(kept), field in ORDERED))
    return tuple(found)


def _rank(choice: Choice) -> tuple[float, ...]:
    """Where a choice stands among ordered ones: from no pruning over as much as pays to the smallest share."""
    if isinstance(choice, tuple):
        return (-float(choice[0]) * choice[1], float(choice[0]))
    if isinstance(choice, str):
        return (-2.0,) if choice == "none" else (-1.0,)
    assert isinstance(choice, int | float)
    return (-float(choice),)


def applies(question: Question, told: Mapping[str, Choice | None]) -> bool:
    """Whether a question makes a difference after what was settled before it."""
    if question.field == "blocks":
        return told.get("pruning", "none") != "none" and told.get("importance") != "magnitude"
    if question.field == "importance":
        return told.get("pruning", "none") != "none"
    if question.field in ("calibration_images", "calibration_strategy"):
        return told.get("precision", "int8") in ("int8", "mixed")
    return True


def digest(space: Space) -> str:
    """SHA-256 of what may be varied."""
    return hashlib.sha256(json.dumps(space.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


SHARES: Final = (0.85, 0.7, 0.55, 0.45, 0.35)
SIZES: Final = (1.0, 0.86, 0.72)
"""Of the network's own latency and input size, what is looked at unless a space says otherwise."""

LEAST_SIDE: Final = 75
"""Pixels: what the networks at home here take at least."""

CALIBRATION_IMAGES: Final = (100, 300)


def usual_space(plan: Plan) -> Space:
    """The space that fits a model and a target: what is sure to be of no use is not asked for.

    Args:
        plan: of the build that nobody has changed.
    """
    from edgekit.build.prune import why_not

    recipe, own = plan.recipe, plan.source.preprocessing.size
    prunes = why_not(plan) is None
    flexible = plan.source.kind in ("registry", "timm") and plan.device is None
    sides = [(round(part * own[0]), round(part * own[1])) for part in SIZES] if flexible else []
    sizes = _once(tuple(each for each in sides if min(each) >= LEAST_SIDE or each == own))
    half = [each for each in ("bf16", "fp16") if each in plan.precisions]
    calibrated = plan.has_int8 and recipe.calibration.file is None
    return Space(
        sizes=sizes if len(sizes) > 1 else None,
        precisions=(plan.wanted, *(each for each in half if each != plan.wanted)),
        pruning=("none", "auto", *SHARES) if prunes else ("none",),
        importances=("fisher", "taylor", "magnitude") if prunes else None,
        calibration_images=_once((recipe.calibration.images, *CALIBRATION_IMAGES)) if calibrated else None,
        calibration_strategies=("stratified", "random") if calibrated else None,
    )


def read_space(path: Path, usual: Space) -> Space:
    """A file's space laid over the usual one: what it does not name stays as it is.

    Raises:
        InputError: the file cannot be read, names what there is not (the nearest key is told), or asks nothing.
    """
    told = read_yaml(path, "space")
    return checked(Space, {**usual.model_dump(mode="python"), **told}, "space")


def check(space: Space, plan: Plan) -> None:
    """Refuses before the first trial what no trial could do.

    Raises:
        InputError: a precision or a runtime that the target has not, or nothing to vary.
    """
    for name in space.runtimes or ():
        if name not in plan.target.backends:
            known = ", ".join(plan.target.backends)
            raise InputError(f"'runtimes' in the space: --target {plan.target.name} has no {name}", f"It has: {known}.")
    fast = set(plan.target.precisions) | {"fp32", "mixed"}
    for precision in space.precisions or ():
        if precision not in fast:
            able = ", ".join(plan.target.precisions)
            raise InputError(
                f"'precisions' in the space: {plan.target.name} has no fast {precision}", f"It has: {able}."
            )
    if all(len(each.choices) == 1 for each in questions(space)):
        raise InputError("the space has one choice of everything: there is nothing to search", "Give more of one.")


def usual_setting(space: Space, plan: Plan) -> Setting:
    """What the build is set to that nobody has changed, in the words of the space.

    Raises:
        InputError: the recipe prunes to a share of the channels, which is no share of the latency.
    """
    from edgekit.build.prune import why_not

    recipe = plan.recipe
    if isinstance(recipe.prune, float):
        raise InputError(
            "a search prunes to shares of the latency, and the recipe to one of the channels",
            "Set prune to auto in the recipe.",
        )
    told: dict[str, Choice | None] = {
        "model": recipe.model,
        "width": recipe.width or 1.0,
        "size": plan.source.preprocessing.size,
        "precision": plan.wanted,
        "runtime": plan.compiler.RUNTIME,
        "pruning": "auto" if why_not(plan) is None else "none",
        "importance": recipe.pruning.importance or "fisher",
        "blocks": recipe.pruning.blocks,
        "calibration_images": recipe.calibration.images,
        "calibration_strategy": recipe.calibration.strategy,
    }
    kept: Sequence[str] = [each.field for each in questions(space) if applies(each, told)]
    return Setting.model_validate({key: value for key, value in told.items() if key in (*kept, "pruning")})
