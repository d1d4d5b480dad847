"""What network of the registry a state dict is of, told by its names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from edgekit.models.registry import MODELS

if TYPE_CHECKING:
    from torch import Tensor

ALIKE: Final = 0.9
"""Part of the names of two state dicts that must be the same for one to look like the other."""
SLIM_CLASSES: Final = 1001
"""ImageNet as TF-slim has it: a background class first."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Likeness:
    """A network that a state dict looks like.

    Attributes:
        width: channel multiplier; None where the shapes are those of no width: a pruned network, or another's blocks.
        classes: None where there is no classifier.
    """

    name: str
    width: float | None
    classes: int | None

    def __str__(self) -> str:
        width = "with widths of its own" if self.width is None else f"at width {self.width}"
        classes = "without a classifier" if self.classes is None else f"with {self.classes} classes"
        slim = ", the first of them TF-slim's background" if self.classes == SLIM_CLASSES else ""
        return f"{self.name} {width} {classes}{slim}"


def looks_like(state: Mapping[str, Tensor]) -> Likeness | None:
    """The network of the registry whose names a state dict has; None if it has those of none."""
    given = _shapes(state)
    alike = {name: _same_names(given, _made(name)) for name in MODELS}
    name = max(alike, key=lambda each: alike[each])
    if alike[name] < ALIKE:
        return None
    known = _made(name)  # a classifier on top of a network that makes vectors is not of it
    classes = next((shape[0] for key, shape in reversed(list(given.items())) if len(shape) == 2 and key in known), None)
    return Likeness(name, _width(name, given), classes)


def _width(name: str, given: Shapes) -> float | None:
    """The width at which the network has the convolutions that were given, a round one if there are several."""
    whole = _made(name)
    shared = [key for key, shape in whole.items() if len(shape) == 4 and key in given]
    largest = max(shared, key=lambda key: whole[key][0])
    ratio = given[largest][0] / whole[largest][0]
    near = round(ratio, 2)
    # Channels are multiples of 8, so that the ratio of one layer is only near the width.
    for width in (round(ratio * 8) / 8, near, round(near + 0.01, 2), round(near - 0.01, 2)):
        if width > 0:
            made = _made(name, width)
            if all(given[key] == made[key] for key in shared):
                return width
    return None


def _same_names(one: Shapes, other: Shapes) -> float:
    """Shared names as a part of all, those of counters left out: older files have none."""
    ours, theirs = ({key for key in each if not key.endswith("num_batches_tracked")} for each in (one, other))
    return len(ours & theirs) / max(1, len(ours | theirs))


@cache
def _made(name: str, width: float = 1.0) -> Shapes:
    """Shapes of a network of the registry; nothing is allocated."""
    import torch

    from edgekit.models import create

    with torch.device("meta"):
        return _shapes(create(name, width=width).state_dict())


def _shapes(state: Mapping[str, Tensor]) -> Shapes:
    return {key: tuple(value.shape) for key, value in state.items()}
