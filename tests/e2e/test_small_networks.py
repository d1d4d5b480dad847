"""Small networks in the forms that files come in, each through a whole build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto
from PIL import Image
from written import Graph, run

from edgekit.build.pipeline import Built, build
from edgekit.recipe import Recipe
from edgekit.report import Report
from edgekit.runtime import Bundle
from edgekit.store import Store

CLASSES, WIDTH, SHOWN = 10, 32, 45
Outputs = dict[str, list[int | str] | None]
Pixels = NDArray[np.uint8]


def logits_alone(g: Graph, features: str, logits: str) -> Outputs:
    return {logits: ["n", CLASSES]}


def shaped(*dims: int) -> Callable[[Graph, str, str], Outputs]:
    def finish(g: Graph, features: str, logits: str) -> Outputs:
        return {g.op("Reshape", logits, g.ints(*dims)): list(dims)}

    return finish


def softmax_inside(g: Graph, features: str, logits: str) -> Outputs:
    return {g.op("Softmax", logits, axis=1): ["n", CLASSES]}


def features_first(g: Graph, features: str, logits: str) -> Outputs:
    return {features: ["n", WIDTH], logits: ["n", CLASSES]}


def one_sigmoid(g: Graph, features: str, logits: str) -> Outputs:
    return {g.op("Sigmoid", logits): ["n", 1]}


def computed(g: Graph, array: NDArray[Any]) -> str:
    """A weight that the file computes: a constant that is filled in, times numbers."""
    ones = g.op("ConstantOfShape", g.ints(*array.shape), value=onnx.numpy_helper.from_array(np.ones(1, np.float32)))
    return g.op("Mul", ones, g.keep(array))


def kept(g: Graph, array: NDArray[Any]) -> str:
    return g.keep(array)


@dataclass(frozen=True)
class Small:
    """A kind of file.

    Attributes:
        finish: adds what comes after features and logits, and gives the outputs.
        output: which of them holds the answers; weight: how a weight is kept; batch: of the input, "n" where open.
    """

    finish: Callable[[Graph, str, str], Outputs] = logits_alone
    output: int = 0
    classes: int = CLASSES
    size: tuple[int, int] = (32, 32)
    channels: int = 3
    batch: int | str = "n"
    kind: int = TensorProto.FLOAT
    opset: int = 17
    weight: Callable[[Graph, NDArray[Any]], str] = kept
    likely: str = "softmax"

    def model(self, bias: NDArray[Any] | None = None) -> ModelProto:
        """The file, its last bias as given."""
        g = Graph(self.opset)
        x = g.input([self.batch, self.channels, *self.size], self.kind)
        if self.kind == TensorProto.UINT8:
            x = g.op("Div", g.op("Cast", x, to=TensorProto.FLOAT), g.keep(np.float32(255)))
        for inside, outside in ((self.channels, WIDTH), (WIDTH, WIDTH)):
            weight = 2 * g.floats(outside, inside, 3, 3)
            x = g.op("Relu", g.op("Conv", x, self.weight(g, weight), pads=[1] * 4, strides=[2, 2]))
        features = g.op("Flatten", g.op("GlobalAveragePool", x))
        last = np.zeros(self.classes, np.float32) if bias is None else bias
        weight = 20 * g.floats(self.classes, WIDTH)
        logits = g.op("Gemm", features, self.weight(g, weight), g.keep(last), out="y", transB=1)
        return g.model(**self.finish(g, features, logits))

    def answers(self, model: ModelProto, pictures: Pixels) -> NDArray[Any]:
        """What the file says of pictures in ONNX Runtime, its numbers flat."""
        pixels = pictures[..., : self.channels].transpose(0, 3, 1, 2)
        ready = pixels if self.kind == TensorProto.UINT8 else (pixels / np.float32(255)).astype(np.float32)
        many, output = self.batch if isinstance(self.batch, int) else 1, model.graph.output[self.output].name
        made = [run(model, np.ascontiguousarray(np.repeat(each[None], many, 0)), output) for each in ready]
        return np.stack([each.reshape(-1)[: self.classes] for each in made])

    def balanced(self, pictures: Pixels) -> ModelProto:
        """The file with a bias by which no class is answered to everything."""
        plain = replace(self, finish=logits_alone, output=0, batch="n")
        return self.model(-plain.answers(plain.model(), pictures).mean(0).astype(np.float32))


KINDS: dict[str, Small] = {
    "plain": Small(),
    "softmax inside": Small(softmax_inside),
    "logits (N, C, 1, 1)": Small(shaped(1, CLASSES, 1, 1), batch=1),
    "logits (N, 1, C)": Small(shaped(1, 1, CLASSES), batch=1),
    "logits without a batch": Small(shaped(CLASSES), batch=1),
    "features, then logits": Small(features_first, output=1),
    "one number through a sigmoid": Small(one_sigmoid, classes=1, likely="sigmoid"),
    "uint8": Small(kind=TensorProto.UINT8),
    "opset 11": Small(opset=11),
    "not square": Small(size=(32, 96)),
    "grey": Small(channels=1),
    "a batch of 4 in a reshape": Small(shaped(4, CLASSES), batch=4),
    "weights that are computed": Small(weight=computed),
}


def patches(small: Small) -> Pixels:
    """Coarse patches, (45, height, width, 3); grey ones for a network of one channel."""
    dice = np.random.Generator(np.random.PCG64(3))
    high, wide = small.size
    coarse = dice.integers(0, 256, (SHOWN, 4, 4, small.channels))
    return coarse.repeat(high // 4, 1).repeat(wide // 4, 2).repeat(3 // small.channels, 3).astype(np.uint8)


def expected(small: Small, answers: NDArray[Any]) -> NDArray[Any]:
    """Probabilities of the classes: as the file gives them, or as they follow from its logits."""
    if small.likely == "sigmoid":
        return np.concatenate([1 - answers, answers], 1)
    if small.finish is softmax_inside:
        return answers
    powers = np.exp(answers - answers.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("small-store"))


def built(model: Path, data: Path, store: Store, **told: Any) -> Built:
    """A build with its timing kept short, the pixels from 0 to 1."""
    settings = {"prune": "none", "latency": {"runs": 10, "max_seconds": 0.1}, "preprocessing": PLAIN, "max_drop": 100}
    recipe = Recipe.model_validate({"model": str(model), "data": str(data), **settings, **told})
    return build(recipe, model.parent / "out", store)


PLAIN = {"mean": 0, "std": 1, "crop_fraction": 1}


def labelled(folder: Path, pictures: Pixels, labels: NDArray[Any]) -> Path:
    rows = ["path,label"]
    for place, each in enumerate(pictures):
        Image.fromarray(each).save(folder / f"{place}.png")
        rows.append(f"{place}.png,{labels[place]}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder / "labels.csv"


@pytest.mark.parametrize("kind", KINDS)
def test_every_form_of_a_file_is_built_right(kind: str, tmp_path: Path, store: Store) -> None:
    small = KINDS[kind]
    pictures = patches(small)
    model = small.balanced(pictures)
    onnx.save(model, str(tmp_path / "net.onnx"))
    likely = expected(small, small.answers(model, pictures))
    made = built(tmp_path / "net.onnx", labelled(tmp_path, pictures, likely.argmax(1)), store)
    assert made.ok
    fp32 = by_name(made.report)["fp32"]
    assert (fp32.accuracy.top1, made.report.model.classes) == (100, likely.shape[1])
    assert_faithful(made.report)
    assert_faster_or_taken_back(made.report)
    with Bundle.open(str(tmp_path / "out")) as bundle:
        ranked = bundle.classify(pictures, top=1)
    apart = np.abs([told[0][1] - wanted.max() for told, wanted in zip(ranked, likely, strict=True)])
    if made.report.chosen == "int8":  # of steep logits: some are far off, and half of the answers are near
        assert np.median(apart) < 0.1
    else:
        assert apart.max() < {"fp32": 1e-3, "bf16": 0.05}[made.report.chosen]


def by_name(report: Report) -> dict[str, Any]:
    return {each.name: each for each in report.variants}


def assert_faithful(report: Report) -> None:
    """What was compressed is the network that came."""
    found = report.referee
    assert found is not None
    assert found.agreement == 100
    assert found.max_logit_difference is not None
    assert found.tolerance is not None
    assert found.max_logit_difference <= found.tolerance


def assert_faster_or_taken_back(report: Report) -> None:
    """INT8 is in the bundle only where it was measured to be faster; where it is not, a warning says so."""
    found = by_name(report)
    if report.chosen == "int8":
        assert found["int8"].latency.p50 < found["fp32"].latency.p50
    else:
        assert any("int8 was taken back" in line for line in report.warnings)
