"""Networks on several views and several networks together, against doing it one view at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgekit.backends import Compiled, Session, backend
from edgekit.build.runnable import graph_for
from edgekit.data.crops import scales, views
from edgekit.data.folder import FolderSet, open_images
from edgekit.data.image_set import ImageSet
from edgekit.data.loading import made_ahead
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs import draw
from edgekit.errors import InputError
from edgekit.quantize.graph_format import format_for
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.validate.accuracy import accuracy
from edgekit.validate.activation import softmax
from edgekit.validate.evaluation import predict
from edgekit.validate.protocols import Member, evaluate
from edgekit.validate.scores import averaged, scored

Photos = Callable[..., Path]
Tiny = Callable[..., Path]


@pytest.fixture
def loaded(tiny_onnx: Tiny, tmp_path: Path) -> Iterator[Callable[..., Member]]:
    """Makes a small real network on a real runtime."""
    made: list[Path] = []
    opened = ExitStack()

    def make(runtime: str = "onnxruntime", crop_fraction: float = 0.875, **told: Any) -> Member:
        size = told.get("size", 32)
        recipe = Recipe.model_validate({"model": str(tiny_onnx(**told)), "preprocessing": {"size": size}})
        graph = graph_for(recipe, None, format_for(None), Store())[0]
        if runtime == "openvino":
            from edgekit.backends.openvino import compile

            made.append(tmp_path / f"compiled{len(made)}")
            made[-1].mkdir()
            compiled = compile(graph, made[-1], "fp32")
        else:
            compiled = Compiled("onnxruntime", str(graph), "fp32", graph.stat().st_size)
        session = opened.enter_context(backend(compiled.backend).load(compiled, "throughput"))
        return Member("tiny", session, Preprocessing(size, crop_fraction))

    with opened:
        yield make


def mixed(folder: Path) -> ImageSet:
    """Pictures of all shapes, two classes; more than one batch of every protocol."""
    dice = np.random.Generator(np.random.PCG64(2))
    for place in range(17):
        shape = ((40, 60), (60, 40), (50, 50), (33, 90))[place % 4]
        (folder / "ab"[place % 2]).mkdir(parents=True, exist_ok=True)
        noise = dice.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "ab"[place % 2] / f"{place}.png")
    return open_images(folder)


def one_by_one(member: Member, images: ImageSet, crops: int) -> NDArray[np.float64]:
    """The mean softmax of every view that the protocol has, one view a run."""
    rows = []
    for index in range(len(images)):
        image = images.decoded(index, max(scales(member.preprocessing.size[0], crops)))
        made, weights = views(image, member.preprocessing, crops)
        logits = np.concatenate([member.session.infer(view[None]) for view in made]).astype(np.float64)
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        rows.append(np.repeat(chances, weights, 0).mean(0))
    return np.stack(rows)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("crops", [10, 12, 144])
def test_crops_are_averaged(loaded: Callable[..., Member], tmp_path: Path, runtime: str, crops: int) -> None:
    member, images, done = loaded(runtime), mixed(tmp_path / "photos"), []
    outcome = evaluate([member], images, crops, done.append)
    assert outcome.probabilities[0].dtype == np.float32
    np.testing.assert_allclose(outcome.probabilities[0], one_by_one(member, images, crops), rtol=1e-4, atol=1e-6)
    own = predict({"it": member.session}, images, member.preprocessing, range(len(images)))["it"]
    np.testing.assert_allclose(outcome.single[0], own, rtol=1e-5, atol=1e-6)
    shown = [crops if shape % 4 != 2 or crops != 144 else 48 for shape in range(17)]
    assert outcome.views == sum(shown) + 17
    assert outcome.views_per_image == pytest.approx(outcome.views / 17)
    assert done == sorted(done)
    assert done[-1] == 17


def test_one_crop_is_what_the_build_judges_by(loaded: Callable[..., Member], tmp_path: Path) -> None:
    member, images = loaded(), mixed(tmp_path / "photos")
    outcome = evaluate([member], images)
    assert outcome.views == 17
    own = predict({"it": member.session}, images, member.preprocessing, range(17))["it"]
    assert np.array_equal(outcome.single[0], own)
    np.testing.assert_allclose(outcome.probabilities[0], softmax(own), rtol=1e-6)


def test_views_of_the_smallest_networks_coincide_and_still_count(tmp_path: Path) -> None:
    """A network of 3 pixels sees squares of 3: all views of a picture are one and its mirror, and share a batch."""
    member = Member("pixels", _Means(), Preprocessing(3))
    images = mixed(tmp_path / "photos")
    outcome = evaluate([member], images, 12)
    assert outcome.views == 17 * 3
    np.testing.assert_allclose(outcome.probabilities[0], one_by_one(member, images, 12), rtol=1e-5)


def test_signs_are_drawn_at_the_largest_scale_and_for_the_own_crop_at_the_networks(
    loaded: Callable[..., Member],
) -> None:
    member, images = loaded(classes=24), open_images("signs", limit=2)
    outcome = evaluate([member], images, 144)
    assert outcome.views == 2 * 49
    largest = images.decoded(1, 50)
    assert largest.size == (50, 50)
    assert max(scales(32, 144)) == 50
    made, weights = views(largest, member.preprocessing, 144)
    wanted = weights @ softmax(member.session.infer_many(made)) / 144
    np.testing.assert_allclose(outcome.probabilities[0][1], wanted, rtol=1e-5)
    np.testing.assert_allclose(outcome.single[0][1], member.session.infer(draw("validation", 1, 32)[None])[0])


def test_members_share_decoding_and_get_what_they_would_alone(
    loaded: Callable[..., Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [loaded(), loaded(seed=1), loaded(seed=2, size=24), loaded(seed=3, crop_fraction=1.0)]
    images = mixed(tmp_path / "photos")
    alone = [evaluate([member], images, 12) for member in members]
    decoded: list[int] = []
    plain = FolderSet.decoded
    monkeypatch.setattr(
        FolderSet, "decoded", lambda self, index, *more: (decoded.append(index), plain(self, index, *more))[1]
    )
    outcome = evaluate(members, images, 12)
    assert sorted(decoded) == list(range(17))
    for place, each in enumerate(alone):
        assert np.array_equal(outcome.single[place], each.single[0])
        assert np.array_equal(outcome.probabilities[place], each.probabilities[0])


def test_an_image_that_went_away_is_told_and_ends_the_run(
    loaded: Callable[..., Member], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, images = loaded(), mixed(tmp_path / "photos")
    (tmp_path / "photos" / "a" / "6.png").write_bytes(b"gone")
    before = set(threading.enumerate())  # other tests may have left some
    with pytest.raises(InputError, match=r"6\.png"):
        evaluate([member], images, 144)
    mine = set(threading.enumerate()) - before
    assert not [thread for thread in mine if thread.name.startswith("ThreadPoolExecutor")]


class _Means:
    """A session whose three logits are the means of the colours."""

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.infer_many(picture)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (pictures.mean((1, 2)) / 64).astype(np.float32)


@dataclass
class _Says:
    """A session that says the same rows over and over."""

    rows: NDArray[np.float32]
    said: int = field(default=0)

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.infer_many(picture)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        places = (self.said + np.arange(len(pictures))) % len(self.rows)
        self.said += len(pictures)
        return self.rows[places]


def member_saying(*rows: list[float]) -> Member:
    session: Session = _Says(np.array(rows, np.float32))
    return Member("says", session, Preprocessing(32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_view_that_is_not_finite_makes_its_image_wrong(tmp_path: Path, bad: float) -> None:
    images = mixed(tmp_path / "photos")
    rows = [[0.0, 5.0]] * (17 * 13)
    rows[13 + 4] = [0.0, bad]  # a view of the second image
    outcome = evaluate([member_saying(*rows)], images, 12)
    assert np.isnan(outcome.probabilities[0][1]).all()
    assert np.isfinite(outcome.probabilities[0][[0, *range(2, 17)]]).all()
    told = scored(outcome, ["it"], np.ones(17, np.int64)).whole
    assert told.accuracy.top1 == pytest.approx(100 * 16 / 17)
    assert told.single is not None
    assert told.single.top1 == 100.0


def test_networks_of_other_classes_are_refused(tmp_path: Path) -> None:
    images = mixed(tmp_path / "photos")
    with pytest.raises(InputError, match=r"has 2 classes and says has 3"):
        evaluate([member_saying([0, 1]), member_saying([0, 1, 2])], images)


def test_scores_by_hand(tmp_path: Path) -> None:
    images = mixed(tmp_path / "photos")
    sure, unsure = member_saying([0.0, 3.0]), member_saying([1.0, 0.0])
    labels = np.array([1] * 10 + [0] * 7)
    told = scored(evaluate([unsure, sure], images), ["unsure", "sure"], labels)
    assert [each.accuracy.top1 for each in told.members] == pytest.approx([700 / 17, 1000 / 17])
    assert told.whole.accuracy == told.members[1].accuracy
    assert told.best is told.members[1]
    assert told.whole.gain is None
    assert told.ensemble_gain is not None
    assert told.ensemble_gain.drop == 0
    both = averaged([softmax(np.array([[0, 3]], np.float32)), softmax(np.array([[1, 0]], np.float32))])
    assert both == pytest.approx(np.array([[(0.0474 + 0.7311) / 2, (0.9526 + 0.2689) / 2]]), abs=1e-4)


def test_a_gain_is_errors_less(tmp_path: Path) -> None:
    """The own crop says 0, the other views 1, and 1 is right for 12 of 17."""
    images = mixed(tmp_path / "photos")
    rows = ([[3.0, 0.0]] + [[0.0, 3.0]] * 12) * 17
    labels = np.array([1] * 12 + [0] * 5)
    told = scored(evaluate([member_saying(*rows)], images, 12), ["it"], labels).whole
    assert told.single is not None
    assert told.gain is not None
    assert (told.single.top1, told.accuracy.top1) == pytest.approx((500 / 17, 1200 / 17))
    assert told.gain.drop == pytest.approx(700 / 17)
    assert told.gain.ci95[0] < told.gain.drop < told.gain.ci95[1]


def test_softmax_of_large_logits() -> None:
    logits = np.array([[1000, 999, -1000], [0, 0, 0]], np.float32)
    made = softmax(logits)
    np.testing.assert_allclose(made, [[0.731058, 0.268941, 0], [1 / 3] * 3], atol=1e-6)
    assert accuracy(made.astype(np.float32), np.array([0, 0])).top1 == 100.0


def test_no_more_is_made_than_wanted_ahead() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            begun.append(item)
            yield item

    made = made_ahead(lambda item: item * item, items(), 5)
    assert [next(made) for _ in range(3)] == [0, 1, 4]
    assert len(begun) <= 3 + 5
    made.close()
    assert len(begun) <= 3 + 5
    assert list(made_ahead(str, range(7), 20, workers=3)) == [str(item) for item in range(7)]


def test_what_cannot_be_made_is_told_in_its_turn() -> None:
    def make(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    made = made_ahead(make, range(9), 4)
    assert [next(made) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(made)
