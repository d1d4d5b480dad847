"""What several crops, and several networks together, are worth: accuracies and paired gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.accuracy import Accuracy, Labels, PairedDrop, accuracy, paired_drop
from edgekit.validate.activation import probabilities
from edgekit.validate.protocols import Outcome


@dataclass(frozen=True)
class Score:
    """How right a network, or an ensemble, is.

    Attributes:
        accuracy: under the protocol that was asked for.
        single: with the own centre crop of each network, and `gain` from it to the protocol; None with one crop.
    """

    name: str
    accuracy: Accuracy
    single: Accuracy | None
    gain: PairedDrop | None


@dataclass(frozen=True)
class Scores:
    """Of each member, of all together (a single network: itself), and the gain of all over the best member.

    The best member has the highest top-1 of these very images, the first of equals; None without an ensemble. A gain is
    a PairedDrop from what came of it back to what it began with: positive points are errors less.
    """

    members: tuple[Score, ...]
    whole: Score
    best: Score | None
    ensemble_gain: PairedDrop | None


def scored(outcome: Outcome, names: Sequence[str], labels: Labels) -> Scores:
    """The scores of networks by name, on labels (N,)."""
    several = outcome.crops > 1
    answers = outcome.probabilities if several else outcome.single
    singles: Sequence[NDArray[np.float32] | None] = outcome.single if several else [None] * len(names)
    members = tuple(_score(*each, labels) for each in zip(names, answers, singles, strict=True))
    if len(members) == 1:
        return Scores(members, members[0], None, None)
    together = averaged(outcome.probabilities)
    single = averaged(list(map(probabilities, outcome.single, outcome.activations))) if several else None
    best = max(range(len(members)), key=lambda place: members[place].accuracy.top1)
    gain = paired_drop(together, answers[best], labels)
    return Scores(members, _score("ensemble", together, single, labels), members[best], gain)


def averaged(probabilities: Sequence[NDArray[np.float32] | NDArray[np.float64]]) -> NDArray[np.float32]:
    """The mean of several networks' probabilities (N, classes), of equal weight."""
    total = np.zeros(probabilities[0].shape, np.float64)
    for each in probabilities:
        total += each
    return (total / len(probabilities)).astype(np.float32)


def _score(name: str, answers: NDArray[np.float32], single: NDArray[np.float32] | None, labels: Labels) -> Score:
    if single is None:
        return Score(name, accuracy(answers, labels), None, None)
    return Score(name, accuracy(answers, labels), accuracy(single, labels), paired_drop(answers, single, labels))
