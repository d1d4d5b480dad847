"""Networks that compute in other floating-point types, computed in float32."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgekit.models.edit import all_values
from edgekit.models.onnx_graph import set_constant

OTHERS: Final = {ir.DataType.FLOAT16: "FP16", ir.DataType.BFLOAT16: "BF16", ir.DataType.DOUBLE: "FP64"}


def to_float32(model: ir.Model) -> list[str]:
    """Makes float32 of every other floating-point type, in place; names those that the network was computed in.

    A float32 number holds every FP16 and BF16 one; what was FP64 is rounded.
    """
    found = {value.dtype for value in model.graph.inputs if value.dtype in OTHERS}
    for graph in (model.graph, *model.graph.subgraphs()):
        for value in graph.initializers.values():
            if value.dtype in OTHERS and value.const_value is not None:
                found |= {value.dtype} if value.const_value.size > 1 else set()
                set_constant(value, _float32(value.const_value))
    for node in model.graph.all_nodes():
        found |= _node(node)
    for value in all_values(model):
        if value.dtype in OTHERS:
            value.type = ir.TensorType(ir.DataType.FLOAT)
    return sorted(OTHERS[each] for each in found)


def _float32(tensor: ir.TensorProtocol) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    with np.errstate(over="ignore"):  # the bound of a Clip may be the largest FP64 number
        return np.asarray(tensor.numpy()).astype(np.float32)


def _node(node: ir.Node) -> set[ir.DataType]:
    """The types of a node's attributes; the types of constants with more than one number are given back."""
    found = set()
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in OTHERS:
            tensor = attribute.as_tensor()
            found |= {tensor.dtype} if tensor.size > 1 else set()
            node.attributes.add(ir.AttrTensor(name, ir.tensor(_float32(tensor), name=tensor.name)))
        elif name in ("to", "dtype", "output_dtype") and attribute.as_int() in {each.value for each in OTHERS}:
            node.attributes.add(ir.AttrInt64(name, ir.DataType.FLOAT.value))
    return found
