"""Any small classifier through the whole build: FP32 of the bundle answers as the file does, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from foreign import Foreign, foreign
from numpy.typing import NDArray
from PIL import Image
from written import run

from edgekit.build.pipeline import build
from edgekit.errors import EdgekitError
from edgekit.recipe import Recipe
from edgekit.runtime import Bundle

MEAN, STD = 0.4, 0.3
SHOWN = 8
FEW, MANY, PARTS = 12, 120, 6
FIRST = 1000
"""Seeds from here on: other graphs than those that are made canonical alone."""


def pictures(net: Foreign) -> NDArray[np.uint8]:
    """Coarse patches of the network's size, (8, height, width, 3); grey ones where it wants that."""
    dice = np.random.Generator(np.random.PCG64(net.seed))
    high, wide = net.size
    coarse = dice.integers(0, 256, (SHOWN, 4, 4, net.channels))
    drawn = coarse.repeat(-(-high // 4), 1).repeat(-(-wide // 4), 2)[:, :high, :wide]
    return drawn.repeat(3 // net.channels, 3).astype(np.uint8)


def theirs(net: Foreign, shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the file answers to each picture in ONNX Runtime, at its own batch."""
    pixels = shown[..., : net.channels].transpose(0, 3, 1, 2).astype(np.float32)
    ready = pixels if net.dtype == "uint8" else (pixels / 255 - np.float32(MEAN)) / np.float32(STD)
    made = [run(net.model, net.fed(np.repeat(each[None], net.batch or 1, 0)), net.output) for each in ready]
    return np.stack([each.reshape(net.batch or 1, -1)[0] for each in made]).astype(np.float64)


def as_logits(answers: NDArray[np.float64], ending: str) -> NDArray[np.float64]:
    """Logits behind the answers, those of softmax around their mean; None of it where the file gives logits."""
    if ending == "sigmoid":
        inner = np.clip(answers, 1e-7, 1 - 1e-7)
        return np.log(inner / (1 - inner))
    powers = answers if ending == "log" else np.log(np.maximum(answers, 1e-7))
    return answers if ending == "" else powers - powers.mean(1, keepdims=True)


def recipe(net: Foreign, model: Path, data: Path) -> Recipe:
    scaling: dict[str, Any] = {} if net.dtype == "uint8" else {"mean": MEAN, "std": STD}
    return Recipe(
        model=str(model),
        data=str(data),
        precision="fp32",
        prune="none",
        task="multilabel" if net.ending == "sigmoid" and answers_of(net) > 1 else None,
        preprocessing={"crop_fraction": 1, **scaling},
        output={"layout": net.layout.lower()},
        latency={"runs": 10, "max_seconds": 0.1},
    )


def answers_of(net: Foreign) -> int:
    """How many numbers the file gives for a picture."""
    dims = net.model.graph.output[0].type.tensor_type.shape.dim
    return int(np.prod([each.dim_value for each in dims[1:]]))


def check(seed: int, folder: Path) -> bool | None:
    """Builds the network of a seed and compares; whether that could be done, or None where it was refused."""
    net = foreign(seed)
    shown = pictures(net)
    onnx.save(net.model, str(folder / "net.onnx"))
    (folder / "photos").mkdir()
    for place, each in enumerate(shown):
        Image.fromarray(each).save(folder / "photos" / f"{place}.png")
    try:
        made = build(recipe(net, folder / "net.onnx", folder / "photos"), folder / "out")
    except EdgekitError:
        return None
    referee = made.report.referee
    assert referee is not None
    assert referee.agreement == 100
    assert referee.max_logit_difference is not None
    assert referee.tolerance is not None
    assert referee.max_logit_difference <= referee.tolerance
    assert [each.precision for each in made.report.variants] == ["fp32"], "FP32 was asked for"
    with Bundle.open(str(folder / "out")) as bundle:
        ours = bundle.logits(shown).astype(np.float64)
    return compare(net, ours, theirs(net, shown))


def compare(net: Foreign, ours: NDArray[np.float64], answers: NDArray[np.float64]) -> bool:
    """Checks that they are the same; False where they cannot be compared."""
    wanted = as_logits(answers, net.ending)
    if answers.shape[1] == 1:  # one number: two classes were made of it, of which it is the second
        ours = ours[:, 1:] - ours[:, :1]
        wanted = answers if net.ending == "" else wanted
    elif net.ending in ("softmax", "written", "log"):
        ours = ours - ours.mean(1, keepdims=True)
    lost = wanted.min() < np.log(1e-6) if net.ending else False
    near = 0.05 if net.dtype == "float16" else 2e-3
    if not lost:  # probabilities that are nothing in FP32 say nothing of their logits
        np.testing.assert_allclose(ours, wanted, rtol=near, atol=near * max(1.0, float(np.abs(wanted).max())))
    return not lost


def checked(seeds: range, folder: Path) -> None:
    refused, lost = [], []
    for seed in seeds:
        inside = folder / str(seed)
        inside.mkdir()
        try:
            compared = check(seed, inside)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
        if compared is None:
            refused.append(seed)
        elif not compared:
            lost.append(seed)
    assert len(lost) <= len(seeds) / 4, f"most can be compared; not so: {lost}"
    assert len(refused) <= len(seeds) / 4, f"most should be built; refused: {refused}"


@pytest.mark.parametrize("part", range(2))
def test_a_few_graphs_of_any_tool_are_built_right_or_refused(part: int, tmp_path: Path) -> None:
    checked(range(FIRST + part, FIRST + FEW, 2), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_graphs_of_any_tool_are_built_right_or_refused(part: int, tmp_path: Path) -> None:
    checked(range(FIRST + FEW + part, FIRST + FEW + MANY, PARTS), tmp_path)
