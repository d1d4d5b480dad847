"""Graphs that take any number of pictures, for engines with an optimization profile for each of several batches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.onnx_graph import add_constant, constant, forget_shapes, given_inputs, infer_shapes, name_of
from edgekit.runtime.quiet import no_telemetry

BATCH: Final = "batch"
"""What the open dimension is called."""

AGREEMENT: Final = 0.999
"""Least cosine of a picture's logits alone and in a batch: kernels may round otherwise."""


def with_open_batch(model: ir.Model) -> ir.Model:
    """The same graph with an open first dimension: shapes that say 1 there take it from what they shape."""
    out = model.clone()
    for value in (*given_inputs(out), *out.graph.outputs):
        if value.shape is not None and len(value.shape) and value.shape[0] == 1:
            value.shape = ir.Shape([BATCH, *list(value.shape)[1:]])
    for node in out.graph:
        shape = constant(node.inputs[1]) if node.op_type == "Reshape" else None
        if shape is None or shape.size < 2 or shape[0] != 1 or (shape[1:] == 0).any():
            continue
        counted = -1 in shape[1:]  # then the batch cannot be what is left, but what there was
        if counted:
            node.attributes.pop("allowzero", None)  # 0 would mean an empty tensor
        opened = np.concatenate([np.array([0 if counted else -1]), shape[1:]]).astype(np.int64)
        node.replace_input_with(1, add_constant(out.graph, f"{name_of(node.outputs[0])}_open_shape", opened))
    forget_shapes(out.graph)
    infer_shapes(out)
    return out


def check_batches(path: Path) -> None:
    """Runs two pictures one by one and together.

    Raises:
        InputError: that is not the same: somewhere in the network a batch of one is written in.
    """
    no_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    hint = "Leave --batch out, or export the network with an open batch."
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        kind = np.uint8 if given.type == "tensor(uint8)" else np.float32
        dice = np.random.Generator(np.random.PCG64(0))
        pictures = dice.integers(0, 256, (2, *given.shape[1:])).astype(kind)
        together = session.run(None, {given.name: pictures})[0].astype(np.float64)
        alone = [session.run(None, {given.name: each[None]})[0].astype(np.float64) for each in pictures]
    except Exception as error:  # its errors derive from Exception alone
        words = next(iter(str(error).splitlines()), "")[:200]
        raise InputError(f"the network cannot take several pictures at once: {words}", hint) from error
    apart = np.concatenate(alone)
    if apart.shape != together.shape:
        raise InputError(f"the network gives {list(together.shape)} for two pictures", hint)
    lengths = np.linalg.norm(apart, axis=-1) * np.linalg.norm(together, axis=-1)
    least = float(((apart * together).sum(-1) / np.maximum(lengths, 1e-12)).min())
    if least < AGREEMENT:
        raise InputError(f"the network computes a picture otherwise in a batch (cosine {least:.3f})", hint)
