"""Any small classifier: its canonical graph answers as the file does in ONNX Runtime, or it is refused in words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from foreign import Foreign, foreign
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.answer import Answer
from edgekit.models.canonical import Canonical, canonical
from edgekit.models.onnx_graph import opset_of, to_proto

GRAPHS, PARTS = 300, 10


def run(model: onnx.ModelProto, given: NDArray[Any]) -> NDArray[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: given})[0])


def pictures(net: Foreign) -> NDArray[np.float32]:
    dice = np.random.Generator(np.random.PCG64(net.seed))
    shape = (net.batch or 1, net.channels, *net.size)
    if net.dtype == "uint8":
        return dice.integers(0, 256, shape).astype(np.float32)
    return dice.normal(0, 1, shape).astype(np.float32)


def as_the_file_says(made: Canonical, logits: NDArray[Any], ending: str) -> NDArray[Any]:
    """What the file gives, of the logits and activation that were made of it."""
    if made.facts.activation == "softmax":
        powers = np.exp(logits - logits.max())
        likely = powers / powers.sum()
        if ending == "sigmoid":  # of one number, of which two classes were made
            return likely[1:]
        return np.log(likely) if ending == "log" else likely
    return 1 / (1 + np.exp(-logits)) if made.facts.activation == "sigmoid" else logits


def check(net: Foreign, path: Path) -> None:
    onnx.save(net.model, str(path))
    shown = pictures(net)
    theirs = run(net.model, net.fed(shown)).astype(np.float64).reshape(len(shown), -1)[0]
    made = canonical(path, Answer(), net.size)
    proto = to_proto(made.model)
    onnx.checker.check_model(proto, full_check=True)
    logits = run(proto, shown[:1])
    assert logits.shape == (1, made.facts.classes)
    assert opset_of(made.model) == 20
    assert made.facts.activation_found == (net.ending != "")
    assert made.facts.output == net.output
    assert (made.facts.channels, made.facts.height, made.facts.width) == (net.channels, *net.size)
    ours = as_the_file_says(made, logits[0].astype(np.float64), net.ending)
    near = 3e-2 if net.dtype == "float16" else 1e-4
    np.testing.assert_allclose(ours, theirs, rtol=near, atol=near * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_graph_of_any_tool_is_the_same_graph_or_is_refused(part: int, tmp_path: Path) -> None:
    refused: Counter[str] = Counter()
    for seed in range(part, GRAPHS, PARTS):
        net = foreign(seed)
        try:
            check(net, tmp_path / "net.onnx")
        except InputError as error:
            refused[error.what] += 1
        except Exception as error:
            raise AssertionError(
                f"seed {seed}, opset {net.opset}, {net.dtype} {net.layout}, batch {net.batch}"
            ) from error
    assert sum(refused.values()) <= GRAPHS / PARTS / 5, refused
