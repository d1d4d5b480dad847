"""Constants of a graph: what is computed of constants alone is computed once, and each layer has its own weights."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common

from edgekit.errors import InputError
from edgekit.models.bounds import refuse_huge
from edgekit.models.edit import Edit, integer
from edgekit.models.onnx_graph import array_of, constant, drop_unused, infer_shapes, name_of
from edgekit.models.run_graph import run_graph

RANDOM: Final = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
WEIGHTS: Final = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "Gemm": (0, 1, 2), "MatMul": (0, 1), "PRelu": (1,),
    "BatchNormalization": (1, 2, 3, 4), "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2),
    "LayerNormalization": (1, 2),
}  # fmt: skip
"""Which inputs of an operator are weights, biases or statistics, so that they must be finite."""
OWNERS: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Layers that later steps quantize, correct or pack, each on its own."""


def fold(model: ir.Model) -> None:
    """Computes what depends on constants and known shapes alone, in place; shapes are inferred on the way.

    Raises:
        InputError: ONNX Runtime cannot compute it.
    """
    lift(model)
    for _ in range(8):  # each round may make shapes known, and so more constants
        infer_shapes(model)
        refuse_huge(model)
        if not (_drop_identities(model) | _fold_once(model) | _take_branches(model)):
            break
    drop_unused(model)


def lift(model: ir.Model) -> None:
    """Makes initializers of the main graph of all constants: nodes, those of inner graphs, inputs with values."""
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.LiftSubgraphInitializersToMainGraphPass()(model)
    common.RemoveInitializersFromInputsPass()(model)


def _known(node: ir.Node) -> NDArray[Any] | None:
    """What Shape and Size give where the shape of what they read is known."""
    source = node.inputs[0] if node.op_type in ("Shape", "Size") and node.inputs else None
    if source is None or source.shape is None or not all(isinstance(dim, int) for dim in source.shape):
        return None
    dims = np.array([int(dim) for dim in source.shape if isinstance(dim, int)], np.int64)
    if node.op_type == "Size":
        return np.array(dims.prod(), np.int64)
    end = node.attributes.get("end")
    return dims[integer(node, "start", 0) : None if end is None else end.as_int()]


def _fold_once(model: ir.Model) -> bool:
    graph, found = model.graph, list[ir.Node]()
    edit = Edit(model)
    for node in list(graph):
        shape = _known(node) if node.domain == "" else None
        if shape is not None:
            edit.replace(node, edit.constant(f"{node.op_type.lower()}_of", shape))
    computed: set[ir.Value | None] = {None, *graph.initializers.values()}
    for node in graph:
        inner = any(each.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for each in node.attributes.values())
        if node.op_type not in RANDOM and not inner and node.inputs and all(each in computed for each in node.inputs):
            found.append(node)
            computed |= set(node.outputs)
    if not found:
        return False
    inside = set(found)
    wanted = [
        value
        for node in found
        for value in node.outputs
        if value.is_graph_output() or any(use.node not in inside for use in value.uses())
    ]
    arrays = run_graph(_alone(model, found, wanted), {}) if wanted else []
    for value, array in zip(wanted, arrays, strict=True):
        value.replace_all_uses_with(edit.constant(f"{name_of(value)}_folded", array), replace_graph_outputs=True)
    graph.remove(found, safe=True)
    return True


def _alone(model: ir.Model, nodes: list[ir.Node], wanted: list[ir.Value]) -> onnx.ModelProto:
    """A model of some nodes that need nothing but constants."""
    read = {value for node in nodes for value in node.inputs if value is not None and value.is_initializer()}
    constants = [ir.to_proto(value.const_value) for value in read if value.const_value is not None]
    names = [onnx.ValueInfoProto(name=name_of(value)) for value in wanted]
    graph = onnx.helper.make_graph([ir.to_proto(node) for node in nodes], "constants", [], names, constants)
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=min(model.ir_version, 11))


def _drop_identities(model: ir.Model) -> bool:
    """Takes out Identity, Dropout, which does nothing here, and Cast from float32 to float32."""
    edit, found = Edit(model), False
    for node in list(model.graph.all_nodes()):
        source = node.inputs[0] if node.inputs else None
        idle = node.op_type == "Identity" or (
            node.op_type == "Cast"
            and source is not None
            and source.dtype == ir.DataType.FLOAT
            and integer(node, "to", 0) == ir.DataType.FLOAT
        )
        if node.op_type == "Dropout":
            idle = not any(value.uses() or value.is_graph_output() for value in node.outputs[1:])
        outer = node.graph is model.graph or (source is not None and source.graph is node.graph)
        if node.domain == "" and idle and outer and source is not None and not _ends_both(node, source):
            edit.replace(node, source)
            found = True
    return found


def _ends_both(node: ir.Node, source: ir.Value) -> bool:
    """Whether a node joins an input and an output, which must stay two tensors."""
    return node.outputs[0].is_graph_output() and (source.is_graph_input() or source.is_graph_output())


def _take_branches(model: ir.Model) -> bool:
    """Puts the nodes of the branch that is taken in the place of each If whose condition is constant."""
    found = False
    for node in [each for each in model.graph if each.op_type == "If" and each.domain == ""]:
        condition = constant(node.inputs[0])
        if condition is None:
            continue
        branch = node.attributes["then_branch" if bool(condition.reshape(-1)[0]) else "else_branch"].as_graph()
        nodes, outputs = list(branch), list(branch.outputs)
        branch.outputs.clear()
        branch.remove(nodes)
        model.graph.insert_before(node, nodes)
        for old, new in zip(node.outputs, outputs, strict=True):
            old.replace_all_uses_with(new, replace_graph_outputs=True)
        model.graph.remove(node, safe=True)
        found = True
    return found


def give_each_layer_its_own(model: ir.Model) -> None:
    """Copies constants that several layers read, in place: an INT8 constant of two readers is refused or misread."""
    edit, taken = Edit(model), set[ir.Value]()
    for node in [each for each in model.graph.all_nodes() if each.op_type in OWNERS]:
        for place, value in enumerate(node.inputs):
            if value is None or not value.is_initializer():
                continue
            if value in taken or len({use.node for use in value.uses()} - {node}) > 0:
                own = edit.constant(name_of(value), array_of(value))
                node.replace_input_with(place, own)
                value = own
            taken.add(value)
    drop_unused(model)


def check_finite(model: ir.Model, where: str) -> None:
    """Looks for NaN in all constants, and for what is infinite in weights; masks, pads and bounds may be infinite.

    Raises:
        InputError: something is found; the first tensor is named.
    """
    for graph in (model.graph, *model.graph.subgraphs()):
        for name, value in graph.initializers.items():
            if value.const_value is not None:
                _check(name, value.const_value, where)
    for node in model.graph.all_nodes():
        for attribute in node.attributes.values():
            if attribute.type == ir.AttributeType.TENSOR:
                _check(node.name or name_of(node.outputs[0]), attribute.as_tensor(), where)
        for place in WEIGHTS.get(node.op_type, ()):
            weights = constant(node.inputs[place]) if place < len(node.inputs) else None
            if weights is not None and weights.dtype.kind == "f" and not bool(np.isfinite(weights).all()):
                what = f"the weights of {where} have infinite values, first in {name_of(node.inputs[place])}"  # type: ignore[arg-type]
                raise InputError(what, "Train it again.")


def _check(name: str, tensor: ir.TensorProtocol, where: str) -> None:
    if tensor.dtype.is_floating_point() and bool(np.isnan(tensor.numpy()).any()):
        raise InputError(f"the weights of {where} have NaN values, first in {name}", "Train it again.")
