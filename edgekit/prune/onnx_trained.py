"""The graph of a pruned network without exporting it again: that of the whole one cut, with the trained weights in it.

torch's exporter takes ten to forty seconds for a network of a hundred layers, and what pruning and training change are
channels, blocks and numbers. Whether the graph is the network is seen on pictures, not believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.models.folded import Array, folded
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.onnx_graph import array_of, facts, infer_shapes, load, save, set_constant
from edgekit.models.same_answers import differs
from edgekit.prune.channels import ChannelGraph, Keep
from edgekit.prune.onnx_slice import WEIGHTED, behind, cut, inputs_first, layer_of, layers_of

FOUND: Final = ("channels", "output", "activation", "activation_found", "narrow", "notes")
"""Facts of what a graph was made of, which pruning does not change."""


def graph_of(
    dense: tuple[Path, GraphFacts], network: nn.Module, graph: ChannelGraph, keep: Keep, pictures: Tensor, out: Path
) -> GraphFacts:
    """Writes the graph of a pruned network, and tells its facts.

    Args:
        dense: the canonical graph that the whole network was exported as, and its facts.
        network: the pruned one, with the layers' names of the whole one; graph: channels of the whole one.
        keep: (units,) which stayed.
        pictures: (N, C, H, W) as the network takes them, by which the graph is compared with it.
    Raises:
        InputError: the graph is not to be had like this; it says why, and nothing is written.
    """
    path, known = dense
    if known.layout != "NCHW":
        raise InputError(f"its graph takes images as {known.layout}", "")
    constants: Mapping[str, str] | None = getattr(network, "constant_names", None)
    beside = out.with_name(f"cut-{out.name}")
    try:
        cut(path, beside, graph, keep, constants)
        model = load(beside)
    finally:
        beside.unlink(missing_ok=True)
    _put(model, network.eval(), graph, constants)
    infer_shapes(model)
    if (why := differs(model, network, pictures.numpy())) is not None:
        raise InputError(why, "")
    save(model, out)
    return replace(facts(model), **{name: getattr(known, name) for name in FOUND})


def _put(model: ir.Model, network: nn.Module, graph: ChannelGraph, constants: Mapping[str, str] | None) -> None:
    """Puts the weights of a network into its graph, with batch norms multiplied in that are no operators of it."""
    layers, apart = layers_of(graph, constants), set[str]()
    for node in model.graph:
        if node.op_type == "BatchNormalization":
            apart.add(_put_norm(node, network, layers))
    for node in model.graph:
        name = layer_of(node, layers) if node.op_type in WEIGHTED else None
        if name is None:
            continue
        layer = graph.layers.get(name)
        norm = "" if layer is None else layer.norm
        weight, bias = folded(
            network.get_submodule(name), network.get_submodule(norm) if norm and norm not in apart else None
        )
        _set(behind(node.inputs[1])[0], weight.T if inputs_first(node) else weight, name)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            _set(behind(node.inputs[2])[0], np.zeros(len(weight), np.float32) if bias is None else bias, name)
        elif bias is not None and bias.any():
            raise InputError(f"its graph has no place for the bias of {name}", "")


def _put_norm(node: ir.Node, network: nn.Module, layers: Mapping[str, str]) -> str:
    """Puts the numbers of a batch norm into its operator; which one it is."""
    name = layer_of(node, layers)
    module = network.get_submodule(name) if name is not None else None
    if name is None or not isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        raise InputError(f"the batch norm {node.name} of its graph is not known by its name", "")
    parts = (module.weight, module.bias, module.running_mean, module.running_var)
    for value, part in zip(node.inputs[1:], parts, strict=True):
        assert value is not None
        if part is None:
            raise InputError(f"the batch norm {name} keeps no statistics", "")
        _set(value, part.detach().numpy(), name)
    return name


def _set(value: ir.Value, array: Array, layer: str) -> None:
    if array_of(value).shape != array.shape:
        raise InputError(f"its graph has {array_of(value).shape} where {layer} has {array.shape}", "")
    set_constant(value, np.ascontiguousarray(array, np.float32))
