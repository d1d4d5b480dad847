"""A classifier that knows colours, right by construction, and pictures of those colours: labels can then be spoilt."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIDE = 24
QUICK = "latency: {runs: 10, max_seconds: 0.1}\n"


def colours(count: int) -> NDArray[np.float64]:
    """(count, 3) RGB from 0 to 1: hues around the wheel, every other one darker; unlike when red and blue change."""
    hues = (0.03 + 0.94 * np.arange(count) / count).tolist()
    return np.array([colorsys.hsv_to_rgb(hue, 0.75, 0.9 if at % 2 else 0.55) for at, hue in enumerate(hues)])


def knows_colours(path: Path, count: int, first: int = 0, outputs: int | None = None) -> Path:
    """Writes an ONNX classifier of pixels from 0 to 1 whose output `first + i` is the i-th of the colours.

    Args:
        outputs: how many there are; those that are no colour are never the largest.
    """
    known = colours(count)
    weight, bias = np.zeros((outputs or first + count, 3)), np.full(outputs or first + count, -40.0)
    weight[first : first + count], bias[first : first + count] = 12 * known, -6 * (known**2).sum(1)
    nodes = [
        helper.make_node("GlobalAveragePool", ["picture"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"], transB=1),
    ]
    constants = [numpy_helper.from_array(weight.astype(np.float32), "weight")]
    constants.append(numpy_helper.from_array(bias.astype(np.float32), "bias"))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(bias)])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def paint(colour: NDArray[np.float64], path: Path, seed: int = 0, **how: object) -> Path:
    """Saves a noisy picture of one colour."""
    noise = np.random.Generator(np.random.PCG64(seed)).normal(0, 0.04, (SIDE, SIDE, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = (255 * np.clip(colour + noise, 0, 1)).astype(np.uint8)
    Image.fromarray(pixels).save(path, **how)  # type: ignore[arg-type]
    return path


def paint_folders(root: Path, names: Sequence[str], each: int = 6, suffix: str = "png") -> Path:
    """A folder for each name, in which are pictures of the colour of that place."""
    for at, (colour, name) in enumerate(zip(colours(len(names)), names, strict=True)):
        for n in range(each):
            paint(colour, root / name / f"{n}.{suffix}", seed=1000 * at + n)
    return root
