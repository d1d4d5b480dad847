"""Whether images are normalised as the network wants: conventions tried on pictures, with OpenVINO."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.data.folder import open_images
from edgekit.data.image_set import ImageSet
from edgekit.data.preprocessing import Preprocessing
from edgekit.validate import normalisation
from edgekit.validate.normalisation import better_normalisation, explained_by_normalisation, fp32_answers, rivals
from tests.colours import SIDE, knows_colours, paint_folders

RIGHT = Preprocessing(SIDE, 1.0, "bicubic", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "rgb")
CLASSES = "abcdefghijkl"


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return knows_colours(tmp_path / "net.onnx", len(CLASSES))


@pytest.fixture
def pictures(tmp_path: Path) -> ImageSet:
    return open_images(paint_folders(tmp_path / "photos", list(CLASSES), each=10))


def test_the_conventions_in_use_are_tried() -> None:
    told = replace(RIGHT, mean=(0.4, 0.4, 0.4))
    names = [name for name, _ in rivals(told)]
    assert "mean 0.485,0.456,0.406 std 0.229,0.224,0.225" in names
    assert "mean 0.5 std 0.5" in names
    assert "mean 0 std 1 scale 255" in names
    assert "mean 103.939,116.779,123.68 std 1 scale 255 color bgr" in names
    assert "color bgr" in names
    caffe = dict(rivals(told))["mean 103.939,116.779,123.68 std 1 scale 255 color bgr"]
    assert (caffe.color, caffe.std[0]) == ("bgr", 1 / 255)
    assert caffe.mean[0] == pytest.approx(103.939 / 255)
    assert "mean 0 std 1" not in [name for name, _ in rivals(RIGHT)], "what is told is no rival of itself"
    grey = replace(RIGHT, color="grey")
    assert all(rival.color == "grey" for _, rival in rivals(grey))


def test_answers_are_those_of_the_network(network: Path, pictures: ImageSet) -> None:
    answers = fp32_answers(network, pictures, RIGHT, range(0, 120, 7))
    assert answers.shape == (18, 12)
    assert pictures.labels is not None
    assert (answers.argmax(1) == pictures.labels[::7]).all()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (replace(RIGHT, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)), "with mean 0 std 1 the"),
        (replace(RIGHT, color="bgr"), "with color rgb the"),
    ],
)
def test_a_wrong_normalisation_is_named(network: Path, pictures: ImageSet, told: Preprocessing, words: str) -> None:
    seen: list[int] = []
    warning = better_normalisation(network, pictures, told, seen.append)
    assert warning is not None
    assert warning.startswith("the normalisation looks wrong: ")
    assert words in warning
    assert "% of 120 images" in warning
    assert seen == sorted(seen)
    assert seen[-1] == 120


def test_the_right_one_is_asked_of_a_part_alone(
    network: Path, pictures: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    plain = normalisation._answers_by
    monkeypatch.setattr(normalisation, "_answers_by", lambda *given: asked.append(len(given[4])) or plain(*given))
    assert better_normalisation(network, pictures, RIGHT) is None
    assert asked == [24]


def test_a_normalisation_explains_answers_of_chance(network: Path, pictures: ImageSet) -> None:
    found = explained_by_normalisation(network, pictures, replace(RIGHT, color="bgr", mean=(0.5, 0.5, 0.5)))
    assert found is not None
    assert found.advice == "Give --mean 0 --std 1 --color rgb"
    assert found.top1 > 95


def test_nothing_is_said_without_labels(network: Path, tmp_path: Path) -> None:
    paint_folders(tmp_path / "flat", ["a"], each=3)
    flat = open_images(tmp_path / "flat" / "a")
    assert better_normalisation(network, flat, RIGHT) is None
    assert explained_by_normalisation(network, flat, RIGHT) is None
