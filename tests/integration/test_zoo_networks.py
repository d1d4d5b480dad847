"""Networks as they were exported in 2017 and 2018, which the onnx package carries without weights: with weights again,
each is built into what its file says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from PIL import Image

from edgekit.build.pipeline import build
from edgekit.recipe import Recipe

pytestmark = pytest.mark.slow

FOLDER = Path(onnx.backend.test.__file__).parent / "data" / "light"
NAMES = ("squeezenet", "shufflenet", "densenet121", "inception_v1", "inception_v2", "resnet50")
FACTORS = ("_s_0", "_riv_0", "_var_0", "_scale_0", "bn_w_0", "sc_w_0")
"""How names end of numbers that others are multiplied with, or divided by."""


def with_weights(name: str) -> ModelProto:
    """The file with random weights where it has a single number that fills them, still in the format of its time."""
    model = onnx.load(str(FOLDER / f"light_{name}.onnx"))
    graph, dice = model.graph, np.random.Generator(np.random.PCG64(0))
    known = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    filled = [each for each in graph.node if each.op_type == "ConstantOfShape"]
    shapes = {each.output[0]: tuple(map(int, known[each.input[0]])) for each in filled}
    shapes |= {key: each.shape for key, each in known.items() if each.dtype == np.float32 and each.ndim == 1}
    for each in filled:
        graph.node.remove(each)
    kept = [each for each in graph.initializer if each.name not in shapes]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(numbers(key, dims, dice), key) for key, dims in shapes.items())
    inputs = {each.name for each in graph.input}
    told = [key for key in shapes if key not in inputs]
    graph.input.extend(onnx.helper.make_tensor_value_info(key, 1, shapes[key]) for key in told)
    return model


def numbers(name: str, shape: tuple[int, ...], dice: np.random.Generator) -> NDArray[np.float32]:
    """Weights that neither fade nor grow from layer to layer, and factors and terms of one channel each."""
    if len(shape) == 2:  # the last layer: small, so that softmax does not drown all classes but one
        return dice.normal(0, 0.01 / shape[1] ** 0.5, shape).astype(np.float32)
    if len(shape) > 1:
        return dice.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
    if name.endswith(FACTORS):
        return dice.uniform(0.8, 1.2, shape).astype(np.float32)
    return dice.normal(0, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_the_first_years(name: str, tmp_path: Path) -> None:
    model, dice = with_weights(name), np.random.Generator(np.random.PCG64(1))
    assert model.ir_version == 3
    onnx.save(model, str(tmp_path / "net.onnx"))
    (tmp_path / "photos").mkdir()
    for place in range(8):
        coarse = Image.fromarray(dice.integers(0, 256, (7, 7, 3), dtype=np.uint8))
        coarse.resize((224, 224), Image.Resampling.BICUBIC).save(tmp_path / "photos" / f"{place}.png")
    told = {"precision": "fp32", "prune": "none", "latency": {"runs": 10, "max_seconds": 0.1}}
    recipe = Recipe.model_validate({"model": str(tmp_path / "net.onnx"), "data": str(tmp_path / "photos"), **told})
    report = build(recipe, tmp_path / "out").report
    assert report.model.classes == 1000
    found = report.referee
    assert found is not None
    assert found.agreement == 100
    assert found.max_logit_difference is not None
    assert found.tolerance is not None
    assert found.tolerance > 1e-4  # the answers differ from class to class
    assert found.max_logit_difference < found.tolerance
