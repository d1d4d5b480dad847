"""Variants of which enough is known are shown no more images; FP32 and what may be chosen are judged on enough."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Session
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.validate.evaluation import Views, evaluate
from edgekit.validate.question import Question
from edgekit.validate.sequential import Stopping


class Answers:
    """Answers given beforehand, in the order of the pictures."""

    def __init__(self, answers: NDArray[np.int64], classes: int) -> None:
        self._answers, self._classes, self.shown = answers, classes, 0

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of the next pictures."""
        given = self._answers[self.shown : self.shown + len(pictures)]
        self.shown += len(pictures)
        return np.eye(self._classes, dtype=np.float32)[given]

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of the next picture."""
        return self.infer_many(picture)

    def close(self) -> None:
        """Holds nothing."""


class Counted(SignsSet):
    """Counts how often an image is prepared for each size."""

    def __init__(self, total: int) -> None:
        super().__init__("validation", total)
        self.prepared = Counter[tuple[int, int]]()

    def load(self, index: int, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """As before, and counted."""
        self.prepared[preprocessing.size] += 1
        return super().load(index, preprocessing)


def judged(
    total: int, wrong: dict[str, float], stopping: Stopping | None, images: SignsSet | None = None
) -> tuple[dict[str, Answers], object]:
    """Answers of sessions to images, one wrong as often as told; names that end in "-small" take another size."""
    images = images or SignsSet("validation", total)
    labels, classes = images.labels, len(images.classes)
    assert labels is not None
    order = np.random.Generator(np.random.PCG64(0)).permutation(total)
    truth = labels[order]
    sessions: dict[str, Session] = {}
    for seed, (name, share) in enumerate(wrong.items()):
        miss = np.random.Generator(np.random.PCG64(seed)).random(total) < share
        sessions[name] = Answers(np.where(miss, (truth + 1) % classes, truth), classes)
    others = {name: Preprocessing(size=(4, 4)) for name in wrong if name.endswith("-small")}
    views = Views(images, [int(each) for each in order], Preprocessing(size=(8, 8)), True, Question(), others)
    return sessions, evaluate(sessions, views, 4, stopping=stopping)[0]  # type: ignore[return-value]


def test_a_loser_stops_first_and_what_is_within_the_budget_goes_on_to_the_least() -> None:
    sessions, found = judged(1_600, {"fp32": 0.0, "bf16": 0.0, "int8": 0.08}, Stopping(1.0, least=1_000))
    shown = {name: each.shown for name, each in sessions.items()}
    assert shown["int8"] < 600
    assert shown["bf16"] == shown["fp32"]
    assert 1_000 <= shown["fp32"] < 1_100
    results = found.variants  # type: ignore[attr-defined]
    assert (results["int8"].outcome, results["bf16"].outcome, results["fp32"].outcome) == ("missed", "met", None)
    assert results["int8"].accuracy.images == shown["int8"] == results["int8"].drop.images
    assert found.images == shown["fp32"] == results["bf16"].accuracy.images  # type: ignore[attr-defined]


def test_nothing_is_prepared_for_a_size_whose_networks_have_stopped() -> None:
    images = Counted(1_600)
    wrong = {"fp32": 0.0, "int8": 0.0, "int8-small": 0.5}
    sessions, _ = judged(1_600, wrong, Stopping(1.0, least=1_000), images)
    assert sessions["int8-small"].shown < 600
    assert images.prepared[(4, 4)] < sessions["int8-small"].shown + 300  # what was prepared ahead, and golden inputs
    assert images.prepared[(8, 8)] >= sessions["fp32"].shown >= 1_000


def test_without_a_rule_all_are_shown_everything() -> None:
    sessions, found = judged(600, {"fp32": 0.0, "int8": 0.08}, None)
    assert {each.shown for each in sessions.values()} == {600}
    assert found.variants["int8"].outcome is None  # type: ignore[attr-defined]


def test_what_cannot_be_decided_sees_all_images_and_says_so() -> None:
    sessions, found = judged(700, {"fp32": 0.01, "int8": 0.02}, Stopping(1.0))
    assert {each.shown for each in sessions.values()} == {700}
    assert found.variants["int8"].outcome == "undecided"  # type: ignore[attr-defined]
    assert found.variants["int8"].decided(1.0) is False  # type: ignore[attr-defined]
