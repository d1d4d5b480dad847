"""Which output is taken, what shape it comes in, and what activation is taken off it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from written import CHANNELS, CLASSES, SIZE, F, Graph, picture, run

from edgekit.errors import InputError
from edgekit.models.activation import with_logits
from edgekit.models.answer import TOLD_NOTHING, Answer
from edgekit.models.canonical import Canonical, canonical_of
from edgekit.models.onnx_graph import to_proto


def made_of(model: ModelProto, answer: Answer = TOLD_NOTHING) -> Canonical:
    return canonical_of(model, answer, (SIZE, SIZE), "net.onnx")


def logits(made: Canonical) -> NDArray[np.float64]:
    return run(to_proto(made.model), picture()).astype(np.float64)


def softmax(x: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(x - x.max())
    return powers / powers.sum()


def sigmoid(x: NDArray[Any]) -> NDArray[Any]:
    return 1 / (1 + np.exp(-x))


def kinds(made: Canonical) -> list[str]:
    return [node.op_type for node in made.model.graph]


@pytest.mark.parametrize("shape", [(CLASSES,), (1, CLASSES), (1, CLASSES, 1, 1), (1, 1, CLASSES), (1, 1, 1, CLASSES)])
@pytest.mark.parametrize("ending", ["", "Softmax", "LogSoftmax", "Sigmoid"])
def test_any_shape_becomes_a_row_of_logits(shape: tuple[int, ...], ending: str) -> None:
    g = Graph()
    x = g.op("Reshape", g.head(g.stem()), g.ints(*shape))
    axis = {} if ending in ("", "Sigmoid") else {"axis": shape.index(CLASSES)}
    x = g.op(ending, x, **axis) if ending else x
    model = g.model(**{g.op("Identity", x): list(shape)})
    made, theirs = made_of(model), run(model, picture()).reshape(1, -1)
    ours = logits(made)
    undone = {"": ours, "Softmax": softmax(ours), "LogSoftmax": np.log(softmax(ours)), "Sigmoid": sigmoid(ours)}
    np.testing.assert_allclose(undone[ending], theirs, rtol=1e-4, atol=1e-6)
    found = {"": "none", "Sigmoid": "sigmoid"}.get(ending, "softmax")
    assert (made.facts.activation, made.facts.activation_found) == (found, ending != "")
    assert (made.facts.classes, made.model.graph.outputs[0].name) == (CLASSES, "logits")
    assert ending not in kinds(made)


@pytest.mark.parametrize("less", [False, True])
@pytest.mark.parametrize("opset", [11, 17])
def test_a_softmax_that_is_written_out_is_found(less: bool, opset: int) -> None:
    g = Graph(opset)
    x = g.head(g.stem())
    if less:
        x = g.op("Sub", x, g.op("ReduceMax", x, axes=[1], keepdims=1))
    power = g.op("Exp", x)
    total = g.op("ReduceSum", power, axes=[1]) if opset < 13 else g.op("ReduceSum", power, g.ints(-1))
    model = g.model(**{g.op("Div", power, total): [1, CLASSES]})
    made = made_of(model)
    np.testing.assert_allclose(softmax(logits(made)), run(model, picture()), rtol=1e-4)
    assert made.facts.activation == "softmax"
    assert not {"Exp", "Div", "ReduceMax"} & set(kinds(made))


def test_a_softmax_before_opset_13_is_over_all_axes_from_its_own_on() -> None:
    g = Graph(11)
    x = g.op("Softmax", g.op("Reshape", g.head(g.stem()), g.ints(1, CLASSES, 1, 1)), axis=1)
    model = g.model(**{x: [1, CLASSES, 1, 1]})
    made = made_of(model)
    np.testing.assert_allclose(softmax(logits(made)), run(model, picture()).reshape(1, -1), rtol=1e-4)
    assert made.facts.activation == "softmax"


def test_a_softmax_over_another_axis_stays() -> None:
    g = Graph()
    x = g.op("Softmax", g.op("Reshape", g.head(g.stem()), g.ints(1, CLASSES, 1, 1)), axis=3)
    made = made_of(g.model(**{x: [1, CLASSES, 1, 1]}))
    np.testing.assert_array_equal(logits(made), np.ones((1, CLASSES)))
    assert made.facts.activation == "none"


def test_one_sigmoid_is_two_classes() -> None:
    g = Graph()
    model = g.model(**{g.op("Sigmoid", g.head(g.stem(), 1)): [1, 1]})
    made, yes = made_of(model), run(model, picture())[0, 0]
    np.testing.assert_allclose(softmax(logits(made)), [[1 - yes, yes]], rtol=1e-4)
    assert (made.facts.activation, made.facts.activation_found, made.facts.classes) == ("softmax", True, 2)
    many = made_of(model, Answer("multilabel"))
    assert (many.facts.activation, many.facts.classes) == ("sigmoid", 1)


def test_one_number_alone_is_told_or_refused() -> None:
    g = Graph()
    model = g.model(**{g.head(g.stem(), 1): [1, 1]})
    with pytest.raises(InputError, match="one number") as told:
        made_of(model)
    assert "--activation sigmoid" in told.value.hint
    made, z = made_of(model, Answer(activation="sigmoid")), run(model, picture())[0, 0]
    np.testing.assert_allclose(logits(made), [[0, z]], rtol=1e-4)
    assert (made.facts.activation, made.facts.activation_found) == ("softmax", False)
    assert made_of(model, Answer("embed")).facts.classes == 1


def test_what_is_told_of_the_activation_is_kept_to() -> None:
    g = Graph()
    model = g.model(**{g.op("Softmax", g.head(g.stem()), axis=1): [1, CLASSES]})
    left = made_of(model, Answer(activation="none"))
    np.testing.assert_allclose(logits(left), run(model, picture()), rtol=1e-5)
    assert (left.facts.activation, left.facts.activation_found) == ("none", False)
    with pytest.raises(InputError, match="ends in Softmax, not in a sigmoid"):
        made_of(model, Answer(activation="sigmoid"))
    vector = made_of(model, Answer("embed"))
    assert kinds(vector)[-1] == "Softmax"


def test_a_vector_keeps_its_normalisation() -> None:
    g = Graph()
    x = g.op("Flatten", g.op("GlobalAveragePool", g.stem()))
    model = g.model(**{g.op("LpNormalization", x, axis=1): [1, CHANNELS]})
    made = made_of(model, Answer("embed"))
    np.testing.assert_allclose(logits(made), run(model, picture()), rtol=1e-5)
    assert np.linalg.norm(logits(made)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_probabilities_that_no_node_says_are_made_logits(activation: str) -> None:
    g = Graph()
    x = g.op("Softmax" if activation == "softmax" else "Sigmoid", g.head(g.stem()))
    model = g.model(**{g.op("Mul", x, g.keep(np.array(1, F))): [1, CLASSES]})
    made = made_of(model, Answer(activation=activation))
    assert (made.facts.activation, made.facts.activation_found) == (activation, False)
    inside = with_logits(made.model, activation)
    ours = run(to_proto(inside), picture()).astype(np.float64)
    again = softmax(ours) if activation == "softmax" else sigmoid(ours)
    np.testing.assert_allclose(again, run(model, picture()), rtol=1e-4, atol=1e-6)
    assert [value.name for value in inside.graph.outputs] == ["logits"]
    np.testing.assert_allclose(logits(made), run(model, picture()), rtol=1e-5)  # the graph given is left as it was


def test_one_probability_that_no_node_says_is_made_two_logits() -> None:
    g = Graph()
    model = g.model(**{g.op("Mul", g.op("Sigmoid", g.head(g.stem(), 1)), g.keep(np.array(1, F))): [1, 1]})
    made, yes = made_of(model, Answer(activation="sigmoid")), run(model, picture())[0, 0]
    ours = run(to_proto(with_logits(made.model, "sigmoid")), picture()).astype(np.float64)
    np.testing.assert_allclose(softmax(ours), [[1 - yes, yes]], rtol=1e-4)


def test_probabilities_of_nought_and_one_have_finite_logits() -> None:
    g = Graph()
    large = g.op("Mul", g.head(g.stem()), g.keep(np.array(1e6, F)))
    x = g.op("Clip", large, g.keep(np.array(0, F)), g.keep(np.array(1, F)))
    made = made_of(g.model(**{x: [1, CLASSES]}))
    for activation in ("softmax", "sigmoid"):
        assert np.isfinite(run(to_proto(with_logits(made.model, activation)), picture())).all()


def several(*names: str) -> ModelProto:
    """A network with outputs of those names: `map` a map, `features` what the classifiers read, others classifiers."""
    g = Graph()
    x = g.stem()
    features = g.op("Flatten", g.op("GlobalAveragePool", x))
    dims: dict[str, list[int | str] | None] = {}
    for name in names:
        if name == "map":
            g.op("Relu", x, out=name)
            dims[name] = [1, CHANNELS, 8, 8]
        elif name == "features":
            g.op("Identity", features, out=name)
            dims[name] = [1, CHANNELS]
        else:
            g.op("Gemm", features, g.keep(g.floats(CHANNELS, CLASSES)), out=name)
            dims[name] = [1, CLASSES]
    return g.model(**dims)


@pytest.mark.parametrize(
    ("names", "right"),
    [
        (("map", "a"), "a"),
        (("a", "map"), "a"),
        (("a", "features"), "a"),
        (("features", "logits"), "logits"),
        (("a", "output", "b"), "output"),
        (("probs", "logits"), "logits"),
        (("StatefulPartitionedCall/head/logits:0", "b"), "StatefulPartitionedCall/head/logits:0"),
        (("a", "b"), None),
    ],
)
def test_the_output_that_is_plainly_the_classes_is_taken(names: tuple[str, ...], right: str | None) -> None:
    model = several(*names)
    if right is None:
        with pytest.raises(InputError, match="cannot be told") as told:
            made_of(model)
        assert all(name in told.value.what for name in names)
        assert "--output" in told.value.hint
        return
    made = made_of(model)
    np.testing.assert_allclose(logits(made), run(model, picture(), right), rtol=1e-5)
    assert made.facts.output == right
    (note,) = made.facts.notes
    assert all(name in note for name in names)


def test_what_is_made_of_the_others_is_taken() -> None:
    g = Graph()
    features = g.op("Flatten", g.op("GlobalAveragePool", g.stem()), out="first")
    g.op("Gemm", features, g.keep(g.floats(CHANNELS, CLASSES)), out="second")
    model = g.model(first=[1, CHANNELS], second=[1, CLASSES])
    assert made_of(model).facts.output == "second"
    assert made_of(model, Answer(output="first")).facts.classes == CHANNELS
    with pytest.raises(InputError, match="no output 'third'") as told:
        made_of(model, Answer(output="third"))
    assert "first [1, 8]" in told.value.hint


def test_class_numbers_and_text_beside_the_scores_are_left() -> None:
    g = Graph()
    scores = g.head(g.stem())
    number = g.op("ArgMax", scores, axis=1)
    model = g.model(**{number: [1, 1], scores: [1, CLASSES]})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    made = made_of(model)
    assert (made.facts.output, made.facts.classes) == (scores, CLASSES)
    assert number in made.facts.notes[0]
    del model.graph.output[1]
    with pytest.raises(InputError, match="no scores of classes") as told:
        made_of(model)
    assert "ArgMax" in told.value.hint


def test_a_map_is_no_classifier() -> None:
    g = Graph()
    x = g.stem()
    with pytest.raises(InputError, match=r"\[1, 8, 8, 8\] is no vector"):
        made_of(g.model(**{x: [1, CHANNELS, 8, 8]}))


def test_outputs_keep_their_name_in_errors_where_it_is_one_of_edgekits() -> None:
    g = Graph()
    model = g.model(**{g.stem(): None})
    model.graph.node.append(helper.make_node("Relu", [model.graph.output[0].name], ["image"]))
    model.graph.output[0].name = "image"
    with pytest.raises(InputError, match="the output image "):
        made_of(model)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1, 1)])
def test_the_one_number_of_two_classes_may_have_any_shape(shape: tuple[int, ...]) -> None:
    g = Graph()
    x = g.op("Reshape", g.op("Sigmoid", g.head(g.stem(), 1)), g.ints(*shape))
    model = g.model(**{x: list(shape)})
    made, yes = made_of(model), float(run(model, picture()).reshape(()))
    np.testing.assert_allclose(softmax(logits(made)), [[1 - yes, yes]], rtol=1e-4)


def test_two_classes_of_one_number_become_a_torch_network() -> None:
    import torch

    from edgekit.models.from_onnx import to_torch

    g = Graph()
    made = made_of(g.model(**{g.op("Sigmoid", g.head(g.stem(), 1)): [1, 1]}))
    with torch.no_grad():
        ours = to_torch(made.model)(torch.from_numpy(picture())).numpy()
    np.testing.assert_allclose(ours, logits(made), rtol=1e-4, atol=1e-6)
