"""Error tables in the form of Szegedy et al. 2016 (Inception-v4, Inception-ResNet), and that paper's own figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypedDict

from edgekit.validate.accuracy import Accuracy, PairedDrop
from edgekit.validate.scores import Score, Scores

UNLISTED: Final = "the validation images of ILSVRC 2012 that are not blacklisted"
ALL: Final = "all 50,000 validation images"


@dataclass(frozen=True)
class PaperResult:
    """Errors that the paper reports, percent, and the images they are of."""

    top1: float
    top5: float
    images: str


Errors = tuple[float, float]


def _results(one: Errors, twelve: Errors, most: Errors) -> dict[int, PaperResult]:
    """Top-1 and top-5 errors with 1, 12 and 144 crops."""
    return {1: PaperResult(*one, UNLISTED), 12: PaperResult(*twelve, ALL), 144: PaperResult(*most, ALL)}


_RESNET_V2: Final = _results((19.9, 4.9), (18.7, 4.1), (17.8, 3.7))
PAPER_RESULTS: Final[Mapping[str, Mapping[int, PaperResult]]] = MappingProxyType(
    {
        "inception_v4": _results((20.0, 5.0), (18.7, 4.2), (17.7, 3.8)),
        "inception_resnet_v1": _results((21.3, 5.5), (19.8, 4.6), (18.8, 4.3)),
        "inception_resnet_v2": _RESNET_V2,
        "inception_resnet_v2_paper": _RESNET_V2,
    }
)
"""Tables 2 to 4, by network of the registry and number of crops; the paper's Inception-ResNet-v2 has 5/10/5 blocks."""
PAPER_ENSEMBLE: Final = PaperResult(16.5, 3.1, ALL)
"""Table 5: one Inception-v4 and three Inception-ResNet-v2, 144 crops."""


def paper_result(networks: Sequence[str | None], crops: int) -> PaperResult | None:
    """What the paper reports for one network, or for an ensemble of them; None where it reports nothing."""
    if len(networks) == 1:
        return PAPER_RESULTS.get(networks[0] or "", {}).get(crops)
    plain = sorted((name or "").removesuffix("_paper") for name in networks)
    is_theirs = plain == ["inception_resnet_v2"] * 3 + ["inception_v4"] and crops == 144
    return PAPER_ENSEMBLE if is_theirs else None


def table(
    scores: Scores, crops: int, networks: Sequence[str | None] | None
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles and rows, network by crops.

    Args:
        networks: names in the registry, of each member, to put the paper's figures beside them; None: leave them out.
    """
    titles = ("network", "crops", "top-1 error, % (95 %)", "top-5 error, %")
    rows = list(_rows(scores, crops, networks))
    if networks is None:
        return titles, [row[:-1] for row in rows]
    return (*titles, "paper, top-1 / top-5"), rows


def _rows(scores: Scores, crops: int, networks: Sequence[str | None] | None) -> Iterator[tuple[str, ...]]:
    rows: list[tuple[Score, Sequence[str | None]]] = [
        (score, [None] if networks is None else [networks[place]]) for place, score in enumerate(scores.members)
    ]
    if scores.best is not None:
        rows.append((scores.whole, networks or [None, None]))
    for score, names in rows:
        if score.single is not None:
            yield _row(score.name, 1, score.single, paper_result(names, 1))
        yield _row(score.name, crops, score.accuracy, paper_result(names, crops))


def _row(name: str, crops: int, found: Accuracy, paper: PaperResult | None) -> tuple[str, ...]:
    low, high = (100 - end for end in reversed(found.ci95))
    top1 = f"{100 - found.top1:.2f} ({max(0.0, low):.2f} to {high:.2f})"
    beside = "" if paper is None else f"{paper.top1:.1f} / {paper.top5:.1f}"
    return name, str(crops), top1, f"{100 - found.top5:.2f}", beside


def sentences(scores: Scores, crops: int, networks: Sequence[str | None] | None) -> list[str]:
    """What the crops and the ensemble changed, with paired intervals, and what the paper's figures are of."""
    said = []
    for score in scores.members if scores.best is None else (*scores.members, scores.whole):
        if score.gain is not None:
            who = "" if scores.best is None else f"{score.name}: "
            said.append(f"{who}{crops} crops against 1: {_change(score.gain)}")
    if scores.best is not None and scores.ensemble_gain is not None:
        said.append(f"the ensemble against its best member, {scores.best.name}: {_change(scores.ensemble_gain)}")
    if networks is not None:
        said.append(f"paper: Szegedy et al. 2016; 1 crop on {UNLISTED}, more on {ALL}")
    return said


def _change(gain: PairedDrop) -> str:
    low, high = (-end + 0.0 for end in reversed(gain.ci95))
    return f"{-gain.drop + 0.0:+.2f} points of top-1 error (95 % {low:.2f} to {high:.2f})"


class AccuracyValues(TypedDict):
    """Percent of the images, and the 95 % interval of top-1."""

    top1: float
    top5: float
    images: int
    ci95: list[float]


class GainValues(TypedDict):
    """Points of top-1 (positive: errors less), their 95 % interval and McNemar's p."""

    points: float
    ci95: list[float]
    p_value: float


class _WithOneCrop(TypedDict):
    accuracy: AccuracyValues


class ScoreValues(_WithOneCrop, total=False):
    """A score; `single_crop` and `gain` only with several crops."""

    single_crop: AccuracyValues
    gain: GainValues


def score_values(score: Score) -> ScoreValues:
    """A score as plain values."""
    accuracy = accuracy_values(score.accuracy)
    if score.single is None or score.gain is None:
        return {"accuracy": accuracy}
    return {"accuracy": accuracy, "single_crop": accuracy_values(score.single), "gain": gain_values(score.gain)}


def gain_values(gain: PairedDrop) -> GainValues:
    """A gain as plain values."""
    return {"points": gain.drop, "ci95": list(gain.ci95), "p_value": gain.p_value}


def accuracy_values(found: Accuracy) -> AccuracyValues:
    """An accuracy as plain values."""
    return {"top1": found.top1, "top5": found.top5, "images": found.images, "ci95": list(found.ci95)}
