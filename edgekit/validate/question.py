"""How a network's outputs are read; light, so that a cached build reads it without numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

USUAL: Final[Mapping[str, str]] = MappingProxyType({"classify": "softmax", "multilabel": "sigmoid", "embed": "none"})
"""Task: what makes probabilities of the outputs, where neither the network nor the user says so."""

THRESHOLD: Final = 0.5
"""Probability from which a label of a set is given, where nobody says otherwise."""


@dataclass(frozen=True)
class Question:
    """How outputs are read.

    Attributes:
        task: a key of JUDGES (edgekit.validate.tasks).
        activation: what makes probabilities of them, see edgekit.validate.activation.
        threshold: cosine (embed) or probability (multilabel) that answers are cut at; None takes the task's own.
    """

    task: str = "classify"
    activation: str = "softmax"
    threshold: float | None = None


def question_of(task: str, told: str | None, found: str, threshold: float | None) -> Question:
    """How outputs are read.

    Args:
        told: the activation that the user names; found: that of the network itself, "none" where it has none.
    """
    activation = told or (found if found != "none" else USUAL[task])
    return Question(task, activation, threshold)
