"""INT8 outputs beside those of exact integer arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.validate.arithmetic import arithmetic

RNG = np.random.default_rng(0)
WANTED = RNG.normal(0, 3, (100, 10)).astype(np.float32)


def test_the_same_outputs_are_right() -> None:
    found = arithmetic("openvino", "onnxruntime", WANTED, WANTED)
    assert (found.images, found.same, found.ok, found.refusal) == (100, 100.0, True, None)
    assert found.cosine == pytest.approx(1.0)


def test_rounding_is_no_fault() -> None:
    assert arithmetic("openvino", "onnxruntime", WANTED * (1 + 1e-4), WANTED).ok


def test_two_other_answers_of_a_hundred_are_too_many_and_one_is_not() -> None:
    for others, right in ((1, True), (2, False)):
        made = WANTED.copy()
        for row in range(others):
            first, second = np.argsort(-made[row])[:2]
            made[row, [first, second]] = made[row, [second, first]]
        assert arithmetic("openvino", "onnxruntime", made, WANTED).same == 100 - others
        assert (arithmetic("openvino", "onnxruntime", made, WANTED).same >= 99) is right


@pytest.mark.parametrize(("others", "right"), [(1, True), (2, False)])
def test_of_few_pictures_one_may_change_places_by_rounding(others: int, right: bool) -> None:
    """Of forty pictures one is more than a hundredth; one rounding of INT8 may do that."""
    wanted = WANTED[:40].copy()
    for row in range(others):
        first, second = np.argsort(-wanted[row])[:2]
        wanted[row, second] = wanted[row, first] - 0.3
    made = wanted.copy()
    for row in range(others):
        first, second = np.argsort(-made[row])[:2]
        made[row, second] += 0.6
    found = arithmetic("openvino", "onnxruntime", made, wanted)
    assert found.same == pytest.approx(100 - 2.5 * others)
    assert found.ok is right


def test_noise_as_reference_kernels_make_it_is_told_with_its_figures() -> None:
    found = arithmetic("openvino", "onnxruntime", WANTED + RNG.normal(0, 0.6, WANTED.shape).astype(np.float32), WANTED)
    assert found.cosine < 0.99
    assert found.refusal is not None
    assert found.refusal.startswith("openvino computes it otherwise than its graph says (")
    assert f"mean cosine {found.cosine:.4f}" in found.refusal


def test_outputs_that_are_no_numbers_are_wrong() -> None:
    assert not arithmetic("openvino", "onnxruntime", np.full_like(WANTED, np.nan), WANTED).ok
