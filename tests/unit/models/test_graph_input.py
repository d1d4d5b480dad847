"""The image input of a file: its type, layout, size and channels, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from written import CLASSES, Graph, picture, run

from edgekit.errors import InputError
from edgekit.models.answer import TOLD_NOTHING, Answer
from edgekit.models.canonical import Canonical, canonical_of
from edgekit.models.graph_input import peek
from edgekit.models.onnx_graph import dims_of, takes_pixels, to_proto
from edgekit.models.source import resolve
from edgekit.recipe import OutputRecipe, Recipe

SIZE = (12, 20)


def made_of(model: ModelProto, answer: Answer = TOLD_NOTHING, size: tuple[int, int] = SIZE) -> Canonical:
    return canonical_of(model, answer, size, "net.onnx")


def kinds(made: Canonical) -> list[str]:
    return [node.op_type for node in made.model.graph]


def network(dims: list[int | str], kind: int = TensorProto.FLOAT, turn: bool = False) -> ModelProto:
    """A classifier of an input of those dimensions; one that is `turn`ed is NHWC."""
    g = Graph()
    x = g.input(dims, kind)
    if kind != TensorProto.FLOAT:
        x = g.op("Cast", x, to=TensorProto.FLOAT)
    channels = next(each for each in dims[::-1] if each in (1, 3)) if turn else dims[1]
    x = g.op("Transpose", x, perm=[0, 3, 1, 2]) if turn else x
    return g.model(**{g.head(g.stem(x, int(channels)) if channels != "c" else g.stem(x)): [1, CLASSES]})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_every_type_and_layout_is_one_float_image(channels: int, layout: str, kind: int) -> None:
    dims: list[int | str] = ["n", channels, *SIZE] if layout == "NCHW" else ["n", *SIZE, channels]
    model = network(dims, kind, layout == "NHWC")
    shown = np.round(np.abs(picture(1, channels, *SIZE)) * 60)
    made = made_of(model)
    turned = shown if layout == "NCHW" else shown.transpose(0, 2, 3, 1)
    theirs = run(model, turned.astype(helper.tensor_dtype_to_np_dtype(kind)))
    np.testing.assert_allclose(run(to_proto(made.model), shown), theirs, rtol=1e-3, atol=1e-3)
    facts = made.facts
    assert (facts.layout, facts.channels, facts.height, facts.width) == ("NCHW", channels, *SIZE)
    assert not {"Cast", "Transpose"} & set(kinds(made))


def test_uint8_that_is_computed_with_stays_whole_numbers() -> None:
    g = Graph()
    x = g.op("Cast", g.op("Max", g.input([1, 3, *SIZE], TensorProto.UINT8), g.keep(np.array(9, np.uint8))), to=1)
    model = g.model(**{g.head(g.stem(x)): [1, CLASSES]})
    shown = np.round(np.abs(picture(1, 3, *SIZE)) * 60)
    made = made_of(model)
    theirs = run(model, shown.astype(np.uint8))
    # what comes of 255 * (x / 255) is a little less than x, and would be cut off
    np.testing.assert_allclose(run(to_proto(made.model), shown * np.float32(0.9999999)), theirs, rtol=1e-4)


def test_normalisation_before_the_turn_is_kept() -> None:
    g = Graph()
    x = g.op("Sub", g.input([1, *SIZE, 3]), g.keep(np.array([0.1, 0.2, 0.3], np.float32)))
    model = g.model(**{g.head(g.stem(g.op("Transpose", x, perm=[0, 3, 1, 2]))): [1, CLASSES]})
    made, shown = made_of(model), picture(1, 3, *SIZE)
    theirs = run(model, np.ascontiguousarray(shown.transpose(0, 2, 3, 1)))
    np.testing.assert_allclose(run(to_proto(made.model), shown), theirs, rtol=1e-4, atol=1e-5)
    assert kinds(made)[:2] == ["Sub", "Conv"]


def test_an_image_without_a_batch_is_taken() -> None:
    g = Graph()
    model = g.model(**{g.head(g.stem(g.op("Unsqueeze", g.input([3, *SIZE]), g.ints(0)))): [1, CLASSES]})
    model.opset_import[0].version = 13
    made, shown = made_of(model), picture(1, 3, *SIZE)
    np.testing.assert_allclose(run(to_proto(made.model), shown), run(model, shown[0]), rtol=1e-4, atol=1e-5)


def test_open_sizes_are_filled_in_and_fixed_ones_are_kept_to() -> None:
    made = made_of(network(["n", 3, "h", "w"]))
    assert dims_of(made.model.graph.inputs[0]) == (1, 3, *SIZE)
    assert dims_of(made_of(network(["n", "c", "h", "w"])).model.graph.inputs[0]) == (1, 3, *SIZE)
    with pytest.raises(InputError, match="12x20 pixels, not 12x12"):
        made_of(network([1, 3, *SIZE]), size=(12, 12))


def test_a_layout_that_cannot_be_told_is_asked_for() -> None:
    g = Graph()
    x = g.op("Relu", g.input([1, 3, 12, 3]))
    model = g.model(**{g.op("Reshape", x, g.ints(1, 108)): [1, 108]})
    with pytest.raises(InputError, match="layout of the input x") as told:
        made_of(model, size=(12, 3))
    assert "--layout nchw or nhwc" in told.value.hint
    assert made_of(model, Answer(layout="nchw"), (12, 3)).facts.height == 12
    assert made_of(model, Answer(layout="nhwc"), (3, 12)).facts.height == 3


@pytest.mark.parametrize(
    ("dims", "kind", "words"),
    [
        ([1, 4, 12, 20], TensorProto.FLOAT, "no dimension of three channels"),
        ([1, 3], TensorProto.FLOAT, "no picture of four dimensions"),
        ([1, 3, 12, 20], TensorProto.INT64, "is int64, no picture"),
    ],
)
def test_what_is_no_picture_is_refused(dims: list[int | str], kind: int, words: str) -> None:
    g = Graph()
    x = g.op("Cast", g.input(dims, kind), to=TensorProto.FLOAT)
    with pytest.raises(InputError, match=words):
        made_of(g.model(**{g.op("Flatten", x): None}))


def test_a_second_input_is_named_unless_it_has_a_value_or_no_reader() -> None:
    g = Graph()
    x = g.op("Mul", g.stem(), "scale")
    model = g.model(**{g.head(x): [1, CLASSES]})
    model.graph.input.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]))
    model.graph.input.append(helper.make_tensor_value_info("nobody", TensorProto.FLOAT, [1]))
    with pytest.raises(InputError, match=r"2 inputs: x \[1, 3, 16, 16\]; scale \[1\]"):
        made_of(model, size=(16, 16))
    g.keep(np.array([2], np.float32), "scale")
    model.graph.initializer.append(g.constants[-1])
    made = made_of(model, size=(16, 16))
    assert [value.name for value in made.model.graph.inputs] == ["input"]


def test_a_source_has_the_preprocessing_that_the_input_asks_for(tmp_path: Path) -> None:
    onnx.save(network(["n", 12, 12, 1], TensorProto.UINT8, turn=True), str(tmp_path / "net.onnx"))
    found = peek(tmp_path / "net.onnx", TOLD_NOTHING)
    assert (found.dtype, found.layout, found.channels, found.height) == ("uint8", "NHWC", 1, 12)
    told = Recipe(model=str(tmp_path / "net.onnx"), task="multilabel", output=OutputRecipe(name="y", layout="nhwc"))
    source = resolve(told)
    how = source.preprocessing
    assert (how.mean[0], how.std[0], how.color) == (0, pytest.approx(1 / 255), "grey")
    assert source.answer == Answer("multilabel", "y", None, "nhwc")


@pytest.mark.parametrize(
    ("told", "notes"),
    [({}, 0), ({"mean": 0, "std": 1, "scale": 255}, 0), ({"mean": 0, "std": 1}, 1), ({"std": [1, 1, 1], "mean": 0}, 1)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_uint8_is_given_pixels_as_they_are(channels: int, told: dict[str, Any], notes: int, tmp_path: Path) -> None:
    """No normalisation, in whichever words it is told, leaves 0 to 255: from 0 to 1 all pictures would be black."""
    onnx.save(network(["n", channels, 12, 20], TensorProto.UINT8), str(tmp_path / "net.onnx"))
    source = resolve(Recipe(model=str(tmp_path / "net.onnx"), preprocessing=told))
    assert source.preprocessing.mean == (0,) * channels
    assert source.preprocessing.std == pytest.approx((1 / 255,) * channels)
    assert len(source.notes) == notes


def test_uint8_and_a_mean_beside_it_are_refused(tmp_path: Path) -> None:
    onnx.save(network(["n", 3, 12, 20], TensorProto.UINT8), str(tmp_path / "net.onnx"))
    for told in ({"mean": 0.5, "std": 0.5}, {"preset": "torchvision"}, {"std": 0.5, "mean": 0}):
        with pytest.raises(InputError, match="scales them itself"):
            resolve(Recipe(model=str(tmp_path / "net.onnx"), preprocessing=told))


def test_a_file_that_takes_uint8_is_a_network_and_no_graph_of_edgekits(tmp_path: Path) -> None:
    onnx.save(network([1, 12, 20, 3], TensorProto.UINT8, turn=True), str(tmp_path / "net.onnx"))
    assert not takes_pixels(tmp_path / "net.onnx")
