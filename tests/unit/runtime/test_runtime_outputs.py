"""What makes probabilities of outputs is what the manifest says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import LABELS, make_bundle

from edgekit.runtime import Bundle, BundleError
from edgekit.runtime.session import ACTIVATE

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def answered(folder: Path, output: dict[str, str]) -> tuple[Any, list[tuple[Any, float]]]:
    with Bundle.open(make_bundle(folder / "bundle", output=output)) as bundle:
        return bundle.logits(PIXELS)[0], bundle.classify(PIXELS, top=4)[0]


@pytest.mark.parametrize("activation", list(ACTIVATE))
def test_shares_are_by_the_activation_and_best_first(tmp_path: Path, activation: str) -> None:
    logits, answer = answered(tmp_path, {"activation": activation, "task": "multilabel"})
    wanted = {
        "softmax": np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum(),
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "none": logits,
    }[activation]
    assert [label for label, _ in answer] == [LABELS[i] for i in np.argsort(-logits, kind="stable")]
    assert dict(answer) == pytest.approx(dict(zip(LABELS, wanted.tolist(), strict=True)), rel=1e-5)


def test_a_sigmoid_of_far_outputs_does_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        made = ACTIVATE["sigmoid"](np.array([-1e4, -1, 0, 1, 1e4], np.float32))
    np.testing.assert_allclose(made, [0, 0.26894142, 0.5, 0.73105858, 1], atol=1e-8)


def test_vectors_are_no_classes(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", output={"task": "embed", "activation": "none"})
    with Bundle.open(bundle) as opened, opened.session() as session:
        assert session.logits(PIXELS).shape == (1, 4)
        for ask in (session.classify, session.submit, opened.classify):
            with pytest.raises(BundleError, match=r"vectors to compare, not classes: use logits\(\)"):
                ask(PIXELS)
