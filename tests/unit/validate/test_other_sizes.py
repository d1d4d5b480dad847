"""Networks that take other sizes are shown the same images at theirs, and golden inputs are of that size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.backends import Session
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.validate.evaluation import Views, evaluate, predict
from edgekit.validate.question import Question
from edgekit.validate.sequential import Stopping

OWN, WIDE = Preprocessing(size=(16, 16)), Preprocessing(size=(8, 12))


class Brightness:
    """Answers with the means of parts of the pictures; keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[NDArray[np.uint8]] = []

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, 24) logits."""
        self.shown.append(pictures)
        return np.resize(pictures.reshape(len(pictures), -1).astype(np.float32), (len(pictures), 24))

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of one picture."""
        return self.infer_many(picture)

    def close(self) -> None:
        """Holds nothing."""

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """All that it was shown."""
        return np.concatenate(self.shown)


@pytest.mark.parametrize("stopping", [None, Stopping(100.0, least=10)])
def test_each_is_shown_the_same_images_at_its_size(stopping: Stopping | None) -> None:
    images, indices = SignsSet("validation", 40), [7, 3, *range(10, 40)]
    sessions = {"fp32": Brightness(), "int8": Brightness(), "int8-8x12": Brightness()}
    views = Views(images, indices, OWN, True, Question(), {"int8-8x12": WIDE})
    _, golden = evaluate(dict[str, Session](sessions), views, 3, stopping=stopping)
    for name, how in (("fp32", OWN), ("int8", OWN), ("int8-8x12", WIDE)):
        made = sessions[name].pictures
        assert (made == np.stack([images.load(place, how) for place in indices[: len(made)]])).all()
    assert golden["inputs"].shape == (3, 16, 16, 3)
    assert golden["inputs-int8-8x12"].shape == (3, 8, 12, 3)
    assert (golden["inputs-int8-8x12"] == sessions["int8-8x12"].pictures[:3]).all()
    assert "inputs-int8" not in golden


def test_a_network_of_another_size_alone_has_images_prepared_once() -> None:
    images, session = SignsSet("validation", 5), Brightness()
    made = predict({"small": session}, images, OWN, range(5), others={"small": WIDE})
    assert made["small"].shape == (5, 24)
    assert session.pictures.shape == (5, 8, 12, 3)
