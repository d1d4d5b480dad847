"""What training with quantizers makes of weights that fit sums of 16 bits fits again, rounded from what was learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from networks import branching, quantized_by_nncf

from edgekit.quantize.fake_quant import learned_weights, simulated, written
from edgekit.quantize.sums import MOST, by_output, float_weights, largest_sums, told_of, with_sums_that_fit


def test_trained_weights_fit(tmp_path: Path) -> None:
    proto = branching()
    core, model = ir.from_proto(proto), ir.from_proto(quantized_by_nncf(proto, tmp_path))
    fitting, _ = with_sums_that_fit(model, float_weights(model, core), core)
    learned = simulated(fitting, core)
    names = {layer.weight for layer in learned.layers if layer.scale is not None}
    assert len(names) == 6
    with torch.no_grad():
        for weight in learned_weights(learned, learned.network).values():
            weight += np.random.Generator(np.random.PCG64(1)).normal(0, 0.1 * weight.std(), weight.shape)
    floats = learned_weights(learned, learned.network)
    assert set(floats) == names
    trained = written(fitting, learned, learned.network)
    made, changes = with_sums_that_fit(trained, floats, core)
    assert changes, "what was learned did not fit any more"
    assert told_of(made).widened_layers >= told_of(fitting).widened_layers
    nodes = {node.name: node for node in trained.graph}
    for node in made.graph:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        (levels, scale) = (each.const_value.numpy() for each in node.inputs[1].producer().inputs[:2])
        assert (largest_sums(by_output(node, levels), "neighbours") <= MOST).all()
        before = nodes[node.name].inputs[1].producer()
        own, old, was = floats[before.inputs[0].name], *(each.const_value.numpy() for each in before.inputs[:2])
        by, was_by = (each.reshape(-1, *[1] * (own.ndim - 1)).astype(np.float64) for each in (scale, was))
        within = np.abs(own) <= np.abs(old.astype(int)).max() * was_by  # the rest was cut while it was learned, too
        assert (np.abs(levels * by - own)[within] <= 0.5001 * np.broadcast_to(by, own.shape)[within]).all()
