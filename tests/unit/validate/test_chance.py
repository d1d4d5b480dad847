"""Whether answers have anything to do with the labels, and what explains them where they have not."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.validate.chance import SHUFFLES, first_answers, near_chance, of_first
from edgekit.validate.label_orders import Explanation, Told, assignment, doubt, explained


def answers_of(first: NDArray[np.int64], outputs: int) -> NDArray[np.float32]:
    made: NDArray[np.float32] = np.eye(outputs, dtype=np.float32)[first]
    return made


def spread_labels(classes: int, each: int) -> NDArray[np.int64]:
    return np.repeat(np.arange(classes), each)


def test_the_right_answers_are_no_chance() -> None:
    labels = spread_labels(10, 12)
    found = near_chance(answers_of(labels, 10), labels)
    assert (found.top1, found.images, found.classes) == (100.0, 120, 10)
    assert found.expected == pytest.approx(10, abs=1)
    assert found.p_value == 1 / (SHUFFLES + 1)
    assert not found.doubtful


@pytest.mark.parametrize("shift", [1, 3])
def test_shifted_labels_are_chance_and_refused(shift: int) -> None:
    labels = spread_labels(10, 12)
    found = near_chance(answers_of((labels + shift) % 10, 10), labels)
    assert (found.top1, found.p_value) == (0.0, 1.0)
    assert found.refused
    assert "is no better than chance: 0.0 % top-1 on 120 images of 10 classes" in found.said


def test_random_answers_are_mostly_chance() -> None:
    dice = np.random.Generator(np.random.PCG64(1))
    found = [of_first(dice.integers(0, 5, 100), dice.integers(0, 5, 100)).doubtful for _ in range(200)]
    assert sum(found) >= 190, "a test at one percent"


def test_a_weak_network_is_no_chance() -> None:
    """Four of a hundred classes right on 300 images: far from good, and far from chance."""
    labels = spread_labels(100, 3)
    first = (labels + 50) % 100
    first[:12] = labels[:12]
    assert not of_first(first, labels).doubtful


def test_one_answer_for_all_is_chance_however_often_it_is_right() -> None:
    labels = np.array([0] * 95 + [1] * 25)
    found = of_first(np.zeros(120, np.int64), labels)
    assert (found.p_value, found.refused) == (1.0, True)
    assert found.expected == pytest.approx(100 * 95 / 120), "as often with any order of the labels"
    many = of_first(np.zeros(3000, np.int64), np.arange(3000) % 2)
    assert many.p_value == 1.0, "though not all shuffles fit in memory at once, there are SHUFFLES"


def test_a_fixed_seed_gives_the_same_again() -> None:
    dice = np.random.Generator(np.random.PCG64(3))
    first, labels = dice.integers(0, 5, 100), dice.integers(0, 5, 100)
    assert of_first(first, labels) == of_first(first, labels)


def test_five_labels_of_their_own_have_enough_orders_and_four_have_not() -> None:
    assert of_first(np.arange(5), np.arange(5)).testable, "120 orders"
    assert not of_first(np.arange(4), np.arange(4)).testable, "24 orders"


def test_few_images_are_doubted_and_not_refused() -> None:
    labels = spread_labels(4, 5)
    found = of_first((labels + 1) % 4, labels)
    assert found.doubtful
    assert not found.refused


def test_what_cannot_be_tested_is_not_doubted() -> None:
    """With three images of each of two classes, the right answers have a p-value of one in twenty."""
    labels = spread_labels(2, 3)
    found = of_first(labels, labels)
    assert found.p_value > 0.01
    assert not found.testable
    assert not found.doubtful
    assert of_first(1 - labels, labels).doubtful, "none right is less than chance"
    one = of_first(np.zeros(8, np.int64), np.zeros(8, np.int64))
    assert (one.classes, one.doubtful) == (1, False)


def test_the_p_value_is_that_of_all_orders() -> None:
    labels, first = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 0])
    orders = [np.array(each) for each in itertools.permutations(labels.tolist())]
    exact = np.mean([(order == first).sum() >= (labels == first).sum() for order in orders])
    assert of_first(first, labels).p_value == pytest.approx(exact, abs=4 * math.sqrt(exact / SHUFFLES))


def test_answers_that_are_not_finite_are_wrong() -> None:
    answers = answers_of(np.array([0, 1, 0]), 2)
    answers[1, 0] = np.nan
    assert first_answers(answers).tolist() == [0, -1, 0]
    assert near_chance(answers, np.array([0, 1, 1])).top1 == pytest.approx(100 / 3)


def test_sets_of_labels() -> None:
    dice = np.random.Generator(np.random.PCG64(2))
    sets = dice.random((120, 8)) < 0.25
    sets[:, 0] |= ~sets.any(1)
    good = near_chance(sets + 0.1 * dice.random((120, 8)), sets)
    assert (good.top1, good.doubtful, good.classes) == (100.0, False, 8)
    whole = np.ones((6, 2), np.bool_)
    assert of_first(np.full(6, -1), whole).top1 == 0, "no answer is none of the labels"
    assert of_first(np.full(6, 2), whole).top1 == 0, "nor is one beyond them"
    assert of_first(np.array([0, -1]), np.ones((2, 1), np.bool_)).top1 == 50
    assert near_chance(dice.random((120, 8)), sets).doubtful


@given(st.integers(1, 5), st.integers(0, 3), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_an_assignment_costs_least(rows: int, more: int, seed: int) -> None:
    cost = np.random.Generator(np.random.PCG64(seed)).integers(0, 5, (rows, rows + more)).astype(np.float64)
    found = assignment(cost)
    assert len(set(found.tolist())) == rows
    least = min(cost[range(rows), list(each)].sum() for each in itertools.permutations(range(rows + more), rows))
    assert cost[range(rows), found].sum() == least


def told(labels: NDArray[np.int64], folders: list[str], offset: int = 0) -> Told:
    pairs = tuple((name, at + offset) for at, name in enumerate(folders))
    names = {at: name for name, at in pairs}
    return Told(labels, [f"{names[int(label)]}/{at}.png" for at, label in enumerate(labels)], pairs, offset, "photos")


@pytest.mark.parametrize(("shift", "words"), [(1, "the next one"), (-1, "the one before")])
def test_a_shift_is_named_with_its_flag(shift: int, words: str) -> None:
    labels = spread_labels(12, 6) + 1
    found = explained(labels + shift, 14, told(labels, list("abcdefghijkl"), offset=1))
    assert found is not None
    assert words in found.what
    assert found.advice == f"Give --label-offset {1 + shift}"
    assert found.top1 == 100.0


def test_folders_in_the_order_of_numbers_in_their_names() -> None:
    """As text class10 stands before class2; the network counts 0, 1, 2, ... and 12."""
    names = sorted(f"class{n}" for n in range(12))
    labels = spread_labels(12, 6)
    first = np.array([int(names[label].removeprefix("class")) for label in labels])
    found = explained(first, 12, told(labels, names))
    assert found is not None
    assert "numbers in names taken as numbers" in found.what
    assert "class0, class1, class2, class3, class4" in found.advice
    shifted = explained(first + 1, 13, told(labels, names))
    assert shifted is not None
    assert "--label-offset 1" in shifted.advice


def test_numbers_that_the_network_counts_as_text() -> None:
    numbers = sorted(map(str, range(12)))
    labels = spread_labels(12, 6)
    pairs = tuple((name, int(name)) for name in numbers)
    first = np.array([numbers.index(str(label)) for label in labels])
    found = explained(first, 12, Told(labels, ["x"] * 72, pairs))
    assert found is not None
    assert "sorted as text" in found.what
    assert "0, 1, 10, 11, 2" in found.advice


def test_the_folders_inside_are_the_classes() -> None:
    inner = spread_labels(6, 12)
    outer = np.tile([0, 1], 36)
    names = [f"{'xy'[o]}/{'abcdef'[i]}/{n}.png" for n, (o, i) in enumerate(zip(outer, inner, strict=True))]
    found = explained(inner, 6, Told(outer, names, (("x", 0), ("y", 1)), 0, "photos"))
    assert found is not None
    assert "(a, b, c, ...) are the classes" in found.what
    assert "--data photos/x" in found.advice


def test_any_other_order_is_found_on_one_half_and_proved_on_the_other() -> None:
    dice = np.random.Generator(np.random.PCG64(4))
    labels, order = spread_labels(8, 10), dice.permutation(8)
    first = order[labels]
    first[::7] = 0  # it need not be right everywhere
    found = explained(first, 8, told(labels, list("abcdefgh")))
    assert found is not None
    assert "in another order" in found.what
    assert "--labels FILE" in found.advice
    assert 75 < found.top1 < 100


def test_noise_is_explained_by_nothing() -> None:
    dice = np.random.Generator(np.random.PCG64(5))
    found = [
        explained(dice.integers(0, 10, 200), 10, told(np.sort(dice.integers(0, 10, 200)), list("abcdefghij")))
        for _ in range(100)
    ]
    assert sum(each is not None for each in found) <= 2


def test_what_is_right_needs_no_explanation() -> None:
    labels = spread_labels(8, 10)
    assert explained(labels, 8, told(labels, list("abcdefgh"))) is None


@pytest.mark.parametrize(
    ("right", "better", "said"),
    [(12, None, None), (11, 100.0, None), (6, 100.0, "the labels look wrong: 50.0 % of the answers of it are right"),
     (6, 55.0, None), (6, None, None), (0, None, "it is no better than chance")],
)  # fmt: skip
def test_labels_that_are_right_in_part_are_doubted_where_another_way_is_plainly_better(
    right: int, better: float | None, said: str | None
) -> None:
    labels = spread_labels(12, 9)
    answers = answers_of(np.where(labels < right, labels, (labels + 1) % 12), 12)
    found = None if better is None else Explanation("another order", "Give it.", better)
    what = doubt(near_chance(answers, labels), found, "it")
    assert what == said if said is None else what is not None and what.startswith(said)
