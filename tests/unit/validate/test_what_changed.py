"""What compression changed, against counting by hand: classes, images, pictures."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.validate.accuracy import paired_drop
from edgekit.validate.evaluation import Evaluated, Views, evaluate
from edgekit.validate.flips import class_changes, first_probability, flips
from edgekit.validate.question import Question
from edgekit.validate.thumbnails import MOST_BYTES, thumbnail

CLASSES = 5


def logits_of(answers: list[int], sure: list[float] | None = None) -> np.ndarray:
    """Logits with these first answers, each by a margin."""
    out = np.zeros((len(answers), CLASSES), np.float32)
    out[np.arange(len(answers)), answers] = 3 if sure is None else sure
    return out


def test_flips_by_hand() -> None:
    labels = np.array([0, 1, 2, 3, 4, 0])
    before = logits_of([0, 1, 2, 0, 0, 0], [1, 4, 2, 5, 3, 9])
    after = logits_of([1, 0, 2, 3, 1, 0])  # lost, lost less surely, same, won, other, same
    told = flips(before, after, labels)
    assert (told.changed, told.lost, told.won) == (4, 2, 1)
    assert [(each.index, each.outcome) for each in told.shown] == [(1, "lost"), (0, "lost"), (3, "won"), (4, "other")]
    first = told.shown[0]
    assert (first.label, first.before, first.after) == (1, 1, 0)
    assert first.before_probability == pytest.approx(np.exp(4) / (np.exp(4) + 4))
    assert first.after_probability == pytest.approx(np.exp(3) / (np.exp(3) + 4))
    assert [each.index for each in flips(before, after, labels, most=2).shown] == [1, 0]


def test_flips_without_labels_are_only_other_answers() -> None:
    told = flips(logits_of([0, 1, 2], [1, 2, 3]), logits_of([1, 1, 0]), None)
    assert (told.changed, told.lost, told.won) == (2, 0, 0)
    assert [(each.index, each.label, each.outcome) for each in told.shown] == [(2, None, "other"), (0, None, "other")]


def test_outputs_that_are_not_finite_are_no_answer() -> None:
    before, after = logits_of([0, 1, 2]), logits_of([0, 1, 2])
    after[0, 3], before[1, 0], after[1, 0], before[2, 1] = np.nan, np.inf, np.inf, np.nan
    told = flips(before, after, np.array([0, 1, 2]))
    assert [(each.index, each.before, each.after, each.outcome) for each in told.shown] == [
        (0, 0, None, "lost"),
        (2, None, 2, "won"),
    ]
    assert (told.shown[0].after_probability, told.shown[1].before_probability) == (None, None)


def test_classes_by_net_loss() -> None:
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 3])
    before = logits_of([0, 0, 1, 1, 0, 0, 2, 3])
    after = logits_of([1, 0, 0, 0, 1, 2, 2, 3])
    told = class_changes(before, after, labels)
    assert [(c.label, c.images, c.right_before, c.right_after, c.lost, c.won) for c in told.shown] == [
        (1, 3, 2, 1, 2, 1),  # net 1, and more lost
        (0, 2, 2, 1, 1, 0),
        (2, 2, 1, 2, 0, 1),
    ]
    assert told.left_out == 0
    fewer = class_changes(before, after, labels, most=1)
    assert ([each.label for each in fewer.shown], fewer.left_out) == ([1], 2)


@given(st.lists(st.tuples(*[st.integers(0, CLASSES - 1)] * 3), min_size=1, max_size=60))
def test_what_is_shown_adds_up_to_the_drop(rows: list[tuple[int, int, int]]) -> None:
    answers, others, labels = ([row[place] for row in rows] for place in range(3))
    before, after, truth = logits_of(answers), logits_of(others), np.array(labels)
    drop = paired_drop(before, after, truth)
    told, classes = flips(before, after, truth, most=60), class_changes(before, after, truth)
    assert told.changed == len(told.shown) == sum(a != b for a, b in zip(answers, others, strict=True))
    assert (told.lost, told.won) == (drop.lost, drop.won)
    assert (sum(c.lost for c in classes.shown), sum(c.won for c in classes.shown)) == (drop.lost, drop.won)
    assert all(c.right_before - c.lost + c.won == c.right_after for c in classes.shown)
    ranks = [each.outcome != "lost" for each in told.shown]
    assert ranks == sorted(ranks)


def test_probabilities_are_taken_as_they_are() -> None:
    logits = np.random.Generator(np.random.PCG64(0)).normal(0, 2, (20, CLASSES)).astype(np.float32)
    soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(first_probability(logits), soft.max(1), rtol=1e-5)
    np.testing.assert_allclose(first_probability(soft, "none"), soft.max(1), rtol=1e-5)
    assert np.isnan(first_probability(np.full((2, CLASSES), np.inf, np.float32))).all()


@pytest.mark.parametrize("shape", [(32, 32), (299, 299), (96, 200)])
def test_a_thumbnail_is_a_small_picture_of_the_pixels(shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, shape[1]).astype(np.uint8)
    picture = np.broadcast_to(ramp[None, :, None], (*shape, 3)).copy()
    content = base64.b64decode(thumbnail(picture), validate=True)
    made = Image.open(io.BytesIO(content))
    assert made.format == "JPEG"
    assert max(made.size) == min(96, max(shape))
    small = np.asarray(made.convert("RGB"), np.int16)
    assert small[:, 0].mean() < 12
    assert small[:, -1].mean() > 243


def test_a_thumbnail_of_noise_stays_small() -> None:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (299, 299, 3), dtype=np.uint8)
    assert len(base64.b64decode(thumbnail(noise))) <= MOST_BYTES


@dataclass(frozen=True)
class Counted(SignsSet):
    """Signs that note which pictures were asked for."""

    asked: Any = None

    def load(self, index: int, preprocessing: Preprocessing) -> Any:
        self.asked.append(index)
        return super().load(index, preprocessing)


@dataclass(frozen=True)
class Answering:
    """A network that gives these logits, whatever it is shown."""

    logits: np.ndarray

    def infer(self, picture: np.ndarray) -> np.ndarray:
        return self.infer_many(picture)

    def infer_many(self, pictures: np.ndarray) -> np.ndarray:
        assert len(pictures) == len(self.logits)
        return self.logits


def test_pictures_are_made_once_for_all_variants() -> None:
    images = Counted("validation", 24, [])
    labels = images.labels[10:14]
    before, after = np.eye(24, dtype=np.float32)[labels], np.eye(24, dtype=np.float32)[labels]
    after[[1, 3]] = after[[3, 1]]
    views = Views(images, range(10, 14), Preprocessing(32), True, Question())
    sessions = {"fp32": Answering(before), "first": Answering(after), "second": Answering(after.copy())}
    told, golden = evaluate(sessions, views, 1)
    first, second = told.variants["first"], told.variants["second"]
    assert (first.flips, first.classes) == (second.flips, second.classes)
    assert Counter(images.asked) == {10: 2, 11: 2, 12: 1, 13: 2}  # each for an answer, two to show, one golden
    assert sorted(told.thumbnails) == [1, 3]
    assert told.thumbnails[3] == thumbnail(SignsSet().load(13, Preprocessing(32)))
    assert first.flips is not None
    assert first.classes is not None
    assert sorted(each.index for each in first.flips.shown) == [1, 3]
    assert {each.label for each in first.flips.shown} == {labels[1], labels[3]}
    assert (first.flips.lost, first.classes.left_out) == (2, 0)
    assert (told.variants["fp32"].flips, told.variants["fp32"].classes) == (None, None)
    names = ("first", "fp32", "second")
    assert sorted(golden) == ["inputs", *(f"logits-{each}" for each in names), *(f"right-{each}" for each in names)]


def test_what_was_evaluated_comes_back_from_json_as_it_was() -> None:
    images = SignsSet("validation", 24)
    logits = np.eye(24, dtype=np.float32)
    views = Views(images, range(24), Preprocessing(32), True, Question())
    told, _ = evaluate({"fp32": Answering(logits), "int8": Answering(np.roll(logits, 1, 1))}, views, 1)
    kept = TypeAdapter(Evaluated)
    assert kept.validate_json(kept.dump_json(told)) == told
