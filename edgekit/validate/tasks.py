"""What a variant's answers are worth, by task: the table of metrics that a build decides by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.accuracy import Accuracy, Logits, PairedDrop, accuracy, decides, paired_drop
from edgekit.validate.activation import probabilities
from edgekit.validate.blocks import blocks
from edgekit.validate.embedding import EmbeddingScore, nearest, reference
from edgekit.validate.fidelity import Fidelity, fidelity
from edgekit.validate.flips import ClassChanges, Flips, class_changes, flips
from edgekit.validate.multilabel import MultilabelScore, score_multilabel
from edgekit.validate.question import THRESHOLD, Question
from edgekit.validate.sequential import Outcome


@dataclass(frozen=True)
class VariantResult:
    """What a variant answers; the score of its task, and its drop from `fp32`, are None without labels.

    Attributes:
        flips: images whose first answer is not FP32's; classes: that lost or won images. None of `fp32` itself, and
            where answers are no classes.
        outcome: what a test that looked while images came in tells of the drop; None where none did.
    """

    accuracy: Accuracy | None
    drop: PairedDrop | None
    fidelity: Fidelity
    flips: Flips | None
    classes: ClassChanges | None
    embedding: EmbeddingScore | None = None
    multilabel: MultilabelScore | None = None
    outcome: Outcome | None = None

    def decided(self, budget: float) -> bool | None:
        """Whether its drop is known to be within a budget or beyond it; None without a drop."""
        if self.drop is None:
            return None
        return decides(self.drop, budget) if self.outcome is None else self.outcome != "undecided"


Truth = NDArray[Any] | None
"""Labels (N,) of pictures, or of multilabel which labels each has (N, C); None where there are none."""

Judge = Callable[[Logits, bool], VariantResult]
"""Judges a variant's outputs; told whether they are `fp32`'s own."""


def judge(question: Question, base: Logits, truth: Truth) -> Judge:
    """Who judges variants against `fp32`'s outputs, both (N, C).

    Raises:
        InputError: what is true of the pictures cannot be judged by.
    """
    return JUDGES[question.task](question, base, truth)


def _of_classes(question: Question, base: Logits, labels: Truth) -> Judge:
    def judged(made: Logits, is_base: bool) -> VariantResult:
        return VariantResult(
            None if labels is None else accuracy(made, labels),
            None if labels is None else paired_drop(base, made, labels),
            fidelity(base, made, question.activation),
            None if is_base else flips(base, made, labels, question.activation),
            None if is_base or labels is None else class_changes(base, made, labels),
        )

    return judged


def _of_vectors(question: Question, base: Logits, labels: Truth) -> Judge:
    """Without labels a picture keeps its answer where its nearest other picture stays the same."""
    known = None if labels is None else reference(base, labels, question.threshold)
    neighbours = nearest(base)

    def judged(made: Logits, is_base: bool) -> VariantResult:
        near = fidelity(base, made, "none")
        kept = 100 * float(np.mean(nearest(made) == neighbours))
        score, drop = (None, None) if known is None else known.score(base if is_base else made)
        return VariantResult(None, drop, replace(near, agreement=kept), None, None, embedding=score)

    return judged


def _of_sets(question: Question, base: Logits, sets: Truth) -> Judge:
    """A picture keeps its answer where it keeps its whole set of labels."""
    threshold = THRESHOLD if question.threshold is None else question.threshold

    def judged(made: Logits, is_base: bool) -> VariantResult:
        near = fidelity(base, made, question.activation)
        same = _same_sets(base, made, question.activation, threshold)
        score, drop = None, None
        if sets is not None:
            activation: Any = question.activation
            score, drop = score_multilabel(base, base if is_base else made, sets, threshold, activation)
        told = replace(near, agreement=100 * same)
        return VariantResult(None, drop, told, None, None, multilabel=score)

    return judged


def _same_sets(base: Logits, made: Logits, activation: str, threshold: float) -> float:
    """Share of the pictures that are given the same set of labels; outputs that are not finite give none."""
    same = 0
    for part in blocks(base.shape):
        ours, theirs = (probabilities(each[part], activation) for each in (base, made))
        alike = ((ours >= threshold) == (theirs >= threshold)).all(1)
        same += int((alike & (np.isfinite(ours).all(1) == np.isfinite(theirs).all(1))).sum())
    return same / len(base)


JUDGES: Final[Mapping[str, Callable[[Question, Logits, Truth], Judge]]] = MappingProxyType(
    {"classify": _of_classes, "multilabel": _of_sets, "embed": _of_vectors}
)
"""Task: what judges its answers."""
