"""Which operators of a Q/DQ graph stay in INT8 for TensorRT: those that it makes faster.

INT8 that is slower than FP16 comes of Q/DQ that keeps kernels from being fused, and of small layers, where
requantizing costs more than tensor cores win. The rules are those of NVIDIA's ModelOpt
(modelopt/onnx/quantization of github.com/NVIDIA/Model-Optimizer); edgekit.targets.releases has their numbers. All of
them take quantizers away, so that nothing is computed more coarsely than before.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgekit.models.onnx_graph import constant, dims_of, drop_unused, given_inputs, name_of
from edgekit.quantize.qdq import named_as, operators, quantizer_of, restored
from edgekit.targets.releases import Int8Placement


def placed(quantized: ir.Model, core: ir.Model, rule: Int8Placement) -> ir.Model:
    """The Q/DQ graph with those operators in floating point for which INT8 does not pay.

    Args:
        quantized: a Q/DQ form of `core`; neither is changed.
    """
    small = not_worth_int8(quantized, core, rule)
    return restored(quantized, core, small) if small else quantized


def not_worth_int8(quantized: ir.Model, core: ir.Model, rule: Int8Placement) -> list[str]:
    """Names of the quantized operators that a rule leaves in floating point, in the order of the graph.

    A mean over the whole picture goes with the linear layer that alone reads it: its own INT8 wins nothing.
    """
    known = {each.name for each in operators(quantized, core) if each.weight is not None}
    pictures = {name_of(value) for value in given_inputs(core)}
    nodes = [node for node in named_as(core, quantized).graph if node.name in known]
    found = []
    for node in nodes:
        if node.op_type == "Conv" and not _pays(node, rule, name_of_input(node) in pictures):
            found.append(node.name or "")
        elif node.op_type in ("Gemm", "MatMul") and not rule.gemv and (_is_gemv(node) or _is_small(node, rule)):
            found += [*_means_before(node), node.name or ""]
    return found


def name_of_input(node: ir.Node) -> str:
    """The tensor that an operator reads first."""
    return "" if node.inputs[0] is None else name_of(node.inputs[0])


def _pays(conv: ir.Node, rule: Int8Placement, is_first: bool) -> bool:
    weight = constant(conv.inputs[1])
    if weight is None:
        return True
    groups = conv.attributes.get_int("group", 1)
    sides, kernel = weight.shape[:2], weight.shape[2:]
    if min(sides) >= rule.channels:
        return True
    if groups > 1:
        return sides[0] % rule.multiple == 0 and all(side >= rule.grouped_kernel for side in kernel)
    fits = any(side % rule.multiple == 0 for side in sides)
    return fits and (is_first or max(sides) >= rule.channels) and len(set(kernel)) == 1


def _is_gemv(node: ir.Node) -> bool:
    """Whether a product has a single row, or a single column; of one image where the batch is open."""
    dims = dims_of(node.outputs[0])
    return len(dims) == 2 and min(dims) <= 1


def _is_small(node: ir.Node, rule: Int8Placement) -> bool:
    weight = constant(node.inputs[1])
    return weight is not None and weight.ndim == 2 and min(weight.shape) < rule.channels


def _means_before(node: ir.Node) -> Iterator[str]:
    """The GlobalAveragePool before a linear layer, where nothing else reads it or what lies between."""
    value = node.inputs[0]
    while value is not None and len(list(value.uses())) == 1:
        before = value.producer()
        if before is None:
            return
        if before.op_type in ("GlobalAveragePool", "ReduceMean"):
            yield before.name or ""
            return
        if before.op_type not in ("Flatten", "Reshape", "Squeeze", "Dropout", "Identity"):
            return
        value = before.inputs[0]


def with_fused_sums(model: ir.Model) -> ir.Model:
    """The graph with the quantizers taken away that lie between a convolution and a sum that alone reads it.

    The other input stays as it is: where it is quantized, TensorRT makes one INT8 kernel of convolution, sum and ReLU.
    Where two convolutions meet, the one with more operators before it is fused.
    """
    out = model.clone()
    depth: dict[ir.Node, int] = {}
    for node in out.graph:
        before = [value.producer() for value in node.inputs if value is not None]
        depth[node] = 1 + max((depth[each] for each in before if each is not None), default=0)
        if node.op_type != "Add":
            continue
        found = [(depth[conv], place) for place, conv in enumerate(map(_alone_before, node.inputs)) if conv is not None]
        if found:
            _, place = max(found)
            quantizer = quantizer_of(node.inputs[place])
            assert quantizer is not None
            node.replace_input_with(place, quantizer.inputs[0])
    drop_unused(out)
    return out


def _alone_before(value: ir.Value | None) -> ir.Node | None:
    """The convolution whose quantized output is read here and nowhere else."""
    quantizer = quantizer_of(value)
    if quantizer is None or value is None or quantizer.inputs[0] is None:
        return None
    tensors = (quantizer.inputs[0], quantizer.outputs[0], value)
    alone = all(len(list(each.uses())) == 1 and not each.is_graph_output() for each in tensors)
    conv = quantizer.inputs[0].producer()
    return conv if alone and conv is not None and conv.op_type == "Conv" else None
