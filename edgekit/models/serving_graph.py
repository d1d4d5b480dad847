"""Graphs of edgekit's in the form of servers that prepare pixels themselves."""

from __future__ import annotations

import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.onnx_graph import drop_unused, given_inputs, name_of


def for_nvinfer(model: ir.Model, softmax: bool) -> ir.Model:
    """The same graph with float32 pixels, 0 to 255, and probabilities: nvinfer gives and takes nothing else.

    Args:
        softmax: whether it makes probabilities of the outputs; else they are some.
    Raises:
        InputError: its pixels go elsewhere than into edgekit's own preprocessing.
    """
    out = model.clone()
    image = given_inputs(out)[0]
    if image.dtype == ir.DataType.UINT8:
        readers = list(image.consumers())
        if [node.op_type for node in readers] != ["Cast"]:
            raise InputError("the graph's pixels are not cast first", "Give a bundle that edgekit built.")
        image.type = ir.TensorType(ir.DataType.FLOAT)
        readers[0].outputs[0].replace_all_uses_with(image)
        drop_unused(out)
    logits = out.graph.outputs[0]
    if softmax:
        made = ir.node("Softmax", [logits], {"axis": -1}, outputs=[ir.Value(name=f"{name_of(logits)}_probabilities")])
        made.outputs[0].type, made.outputs[0].shape = logits.type, logits.shape
        out.graph.append(made)
        out.graph.outputs[0] = made.outputs[0]
    return out
