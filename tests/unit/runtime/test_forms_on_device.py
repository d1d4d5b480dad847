"""INT8 or FP16 of a bundle that has both, on a processor: what was found faster there is what is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgekit.backends import backend
from edgekit.backends.onnxruntime import HALF_OPSET
from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.graphs import write_graph
from edgekit.runtime import engines, forms
from edgekit.runtime.errors import BundleError

HOW = Preprocessing(32, 1.0)


@pytest.fixture
def folder(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Path:
    """The form that a bundle calls INT8 and its FP16 form, here of two networks, so that one can tell them apart."""
    form = backend("onnxruntime").graph_format(None)
    write_graph(tiny_onnx(seed=1, opset=20), None, tmp_path / "model.onnx", "fp32", HOW, form)
    write_graph(tiny_onnx(seed=2, opset=20), None, tmp_path / forms.FP16, "fp16", HOW, form)
    return tmp_path


def logits(folder: Path) -> tuple[np.ndarray, str]:
    """What the network gives for a grey picture, and the precision that it was loaded in."""
    network = engines.load("onnxruntime", str(folder), "int8")
    return network(np.full((1, 32, 32, 3), 90, np.uint8)), network.kernels()[1]


def test_the_form_that_was_chosen_is_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    int8, precision = logits(folder)
    assert precision == "int8"
    forms.choose_form("onnxruntime", str(folder), "fp16", "measured")
    fp16, precision = logits(folder)
    assert precision == "fp16"
    assert (fp16.dtype, fp16.shape) == (np.float32, int8.shape)
    assert not np.allclose(fp16, int8, atol=1e-2)
    monkeypatch.setattr(forms, "processor_kind", lambda: "aarch64-other")  # of another processor nothing is known
    np.testing.assert_array_equal(logits(folder)[0], int8)
    monkeypatch.undo()
    forms.choose_form("onnxruntime", str(folder), "int8", "measured again")
    np.testing.assert_array_equal(logits(folder)[0], int8)


def test_fp16_is_written_in_an_opset_whose_average_pools_arm_processors_run(folder: Path) -> None:
    opsets = [onnx.load(str(folder / name)).opset_import[0].version for name in ("model.onnx", forms.FP16)]
    assert opsets == [20, HALF_OPSET]


def test_a_bundle_without_fp16_has_no_choice(folder: Path) -> None:
    with pytest.raises(BundleError, match="has no FP16 form beside INT8"):
        forms.choose_form("onnxruntime", str(folder), "bf16", "no such form")
    (folder / forms.FP16).unlink()
    with pytest.raises(BundleError, match="has no FP16 form beside INT8"):
        forms.choose_form("onnxruntime", str(folder), "fp16", "measured")
