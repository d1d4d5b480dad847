"""Error tables: their form, and the paper's figures in them."""

from __future__ import annotations

import pytest

from edgekit.report.protocols import PAPER_RESULTS, paper_result, score_values, sentences, table
from edgekit.validate.accuracy import Accuracy, PairedDrop
from edgekit.validate.scores import Score, Scores


def score(name: str, top1: float, single: float | None = None) -> Score:
    def found(value: float) -> Accuracy:
        return Accuracy(value, value + 4, 1000, (value - 2, value + 1.5))

    if single is None:
        return Score(name, found(top1), None, None)
    gain = PairedDrop(top1 - single, (top1 - single - 0.4, top1 - single + 0.5), 0.25, 5, 3, 1000)
    return Score(name, found(top1), found(single), gain)


V4 = score("inception_v4.tf_in1k", 82.3, 80.1)
ENSEMBLE = Scores(
    (V4, score("net", 70, 69)), score("ensemble", 83, 82), V4, PairedDrop(0.7, (-0.1, 1.5), 0.1, 9, 2, 1000)
)


def test_rows_are_network_by_crops() -> None:
    titles, rows = table(Scores((V4,), V4, None, None), 144, None)
    assert titles == ("network", "crops", "top-1 error, % (95 %)", "top-5 error, %")
    assert rows == [
        ("inception_v4.tf_in1k", "1", "19.90 (18.40 to 21.90)", "15.90"),
        ("inception_v4.tf_in1k", "144", "17.70 (16.20 to 19.70)", "13.70"),
    ]
    _, several = table(ENSEMBLE, 144, None)
    assert [row[:2] for row in several[2:]] == [("net", "1"), ("net", "144"), ("ensemble", "1"), ("ensemble", "144")]


def test_the_papers_figures_stand_beside() -> None:
    titles, rows = table(Scores((V4,), V4, None, None), 144, ["inception_v4"])
    assert titles[-1] == "paper, top-1 / top-5"
    assert [row[-1] for row in rows] == ["20.0 / 5.0", "17.7 / 3.8"]
    _, several = table(ENSEMBLE, 144, ["inception_v4", None])
    assert [row[-1] for row in several] == ["20.0 / 5.0", "17.7 / 3.8", "", "", "", ""]


@pytest.mark.parametrize(
    ("network", "crops", "told"),
    [
        ("inception_v4", 1, (20.0, 5.0)),
        ("inception_v4", 12, (18.7, 4.2)),
        ("inception_v4", 144, (17.7, 3.8)),
        ("inception_resnet_v1", 1, (21.3, 5.5)),
        ("inception_resnet_v1", 12, (19.8, 4.6)),
        ("inception_resnet_v1", 144, (18.8, 4.3)),
        ("inception_resnet_v2", 1, (19.9, 4.9)),
        ("inception_resnet_v2", 12, (18.7, 4.1)),
        ("inception_resnet_v2_paper", 144, (17.8, 3.7)),
    ],
)
def test_what_the_paper_reports(network: str, crops: int, told: tuple[float, float]) -> None:
    found = paper_result([network], crops)
    assert found is not None
    assert (found.top1, found.top5) == told
    assert found.images.startswith("all 50,000" if crops > 1 else "the validation images")


def test_the_papers_ensemble_is_one_and_three_with_144_crops() -> None:
    theirs = ["inception_resnet_v2", "inception_v4", "inception_resnet_v2_paper", "inception_resnet_v2"]
    found = paper_result(theirs, 144)
    assert found is not None
    assert (found.top1, found.top5) == (16.5, 3.1)
    for networks, crops in ((theirs, 12), (theirs[:3], 144), ([None, *theirs[1:]], 144), ([None], 1)):
        assert paper_result(networks, crops) is None
    assert paper_result(["inception_v4"], 10) is None
    assert set(PAPER_RESULTS) >= {"inception_v4", "inception_resnet_v1", "inception_resnet_v2"}


def test_sentences_tell_errors_and_values_tell_gains() -> None:
    assert sentences(Scores((V4,), V4, None, None), 144, None) == [
        "144 crops against 1: -2.20 points of top-1 error (95 % -2.70 to -1.80)"
    ]
    said = sentences(ENSEMBLE, 144, ["inception_v4", None])
    assert said[2:4] == [
        "ensemble: 144 crops against 1: -1.00 points of top-1 error (95 % -1.50 to -0.60)",
        "the ensemble against its best member, inception_v4.tf_in1k: -0.70 points of top-1 error (95 % -1.50 to 0.10)",
    ]
    assert said[4].startswith("paper: ")
    values = score_values(V4)
    assert values["gain"]["points"] == pytest.approx(2.2)
    assert values["single_crop"]["top1"] == 80.1
    assert set(score_values(score("x", 50))) == {"accuracy"}
