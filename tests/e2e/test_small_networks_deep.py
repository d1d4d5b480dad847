"""Deeper small networks: pruned in seconds, which ruins them, and in the form that TensorRT wants."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from classifiers import PLAIN, Graph, answers, balanced, patches
from numpy.typing import NDArray
from PIL import Image

from edgekit.report import Report

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
QUICK = "latency: {runs: 10, max_seconds: 0.1}\n"
SIZE, SHOWN, CLASSES = (64, 64), 60, 5
WIDTHS = (32, 64, 64, 64, 64)


def deep(path: Path, groups: int = 1, shared: bool = False, open_size: bool = False) -> Path:
    """Five convolutions, two of them grouped where that is asked; the last may have the weight of the one before it."""
    graph, last, inside = Graph(size=SIZE, seed=1), "x", 3
    for place, outside in enumerate(WIDTHS):
        split = groups if place in (2, 3) else 1
        steps = [2, 2] if place < 3 else [1, 1]
        before = [each.name for each in graph.constants]
        last = graph.convolution(last, inside, outside, strides=steps, group=split)
        if shared and place == 4:  # an Identity of the other's weight, as exporters write what torch shares
            convolution = graph.nodes[-2]
            graph.nodes[-2:-2] = [onnx.helper.make_node("Identity", [before[-2]], ["tied"], name="tie")]
            convolution.input[1] = "tied"
        inside = outside
    graph.head(last, inside, CLASSES)
    graph.save(path, [("logits", ("n", CLASSES))])
    if open_size:
        model = onnx.load(str(path))
        for place, name in ((0, "n"), (2, "h"), (3, "w")):
            model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
        onnx.save(model, str(path))
    return path


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped": {"groups": 8},
    "shared weight": {"shared": True},
    "open size": {"open_size": True},
}


IN_TURN = [pytest.param(kind, marks=() if kind == "plain" else pytest.mark.slow) for kind in KINDS]


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return patches(SHOWN, SIZE)


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path, pictures: NDArray[np.uint8]) -> Path:
    """The kind of network that the test is parametrized with, beside a folder `photos` without labels."""
    (tmp_path / "photos").mkdir()
    for place, each in enumerate(pictures):
        Image.fromarray(each).save(tmp_path / "photos" / f"{place}.png")
    (tmp_path / "quick.yaml").write_text(QUICK)
    return balanced(deep(tmp_path / "net.onnx", **KINDS[request.param]), pictures)


def build(edgekit: Edgekit, network: Path, *flags: object) -> tuple[int, Report]:
    """The exit code and the report of a build."""
    folder = network.parent
    answer = edgekit(
        "build", "--model", network, "--data", folder / "photos", "--recipe", folder / "quick.yaml", *PLAIN,
        "--size", SIZE[0], "--json", "--out", folder / "out", *flags,
    )  # fmt: skip
    assert answer.returncode in (0, 3), answer.stderr
    report = Report.model_validate_json((folder / "out" / "report.json").read_text())
    assert report.referee is not None
    assert report.referee.agreement == 100
    return answer.returncode, report


@pytest.mark.parametrize("network", IN_TURN, indirect=True)
def test_pruning_that_ruins_a_network_is_taken_back(network: Path, edgekit: Edgekit) -> None:
    """Half of the channels, three seconds to recover: asked for by name, so that it is a budget missed."""
    code, report = build(edgekit, network, "--prune", 0.5, "--recovery-minutes", 0.05)
    found = {each.name: each for each in report.variants}
    agreement = found["pruned-int8"].accuracy.agreement
    assert agreement is not None
    assert report.pruning is not None
    if agreement < 97:
        assert (code, report.verdict.ok, report.pruning.kept) == (3, False, False)
        assert report.chosen != "pruned-int8"
        told = "\n".join(report.warnings)
        # answers of a ruined network lie so near to each other that kernels may differ too, which is said first
        reasons = ("it answers as FP32 on", "openvino computes it otherwise than its graph says")
        assert any(f"pruned-int8 was taken back: {reason}" in told for reason in reasons), told
    else:
        assert code == 0
    assert found[report.chosen].accuracy.agreement >= 97


@pytest.mark.parametrize("network", KINDS, indirect=True)
def test_the_form_for_tensorrt(network: Path, edgekit: Edgekit, pictures: NDArray[np.uint8]) -> None:
    """Signed, without zero points, weights by channel: and it computes what the file computes."""
    import onnxruntime

    code, report = build(edgekit, network, "--prune", "none", "--target", "jetson", "--min-agreement", 0)
    assert code == 0
    graph = network.parent / "out" / "model.onnx"
    model = onnx.load(str(graph))
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    quantizers = [each for each in model.graph.node if each.op_type == "DequantizeLinear"]
    assert report.chosen == "int8"
    assert quantizers
    for each in quantizers:
        zero = constants[each.input[2]] if len(each.input) > 2 else np.zeros(1, np.int8)
        assert (zero.dtype, zero.any()) == (np.int8, False)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    ours = np.stack([np.asarray(session.run(None, {name: each[None]})[0])[0] for each in pictures])
    theirs = answers(network, pictures)
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.9
