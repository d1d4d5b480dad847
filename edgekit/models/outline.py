"""Graphs of the registry's networks without their weights, made beforehand: torch's exporter need not run for them.

The exporter takes ten to forty seconds for a network of a hundred layers, and what it writes for one architecture is
the same at any width but for the numbers. `make outlines` has it write each network once and takes the numbers out.
They are put in again here, with batch norms multiplied in, and a picture is answered by the graph and by the torch
network. What comes of it is, to the byte, what the exporter would write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source, make_network
from edgekit.size import Size

if TYPE_CHECKING:
    import onnx
    from torch import nn

FOLDER: Final = Path(__file__).resolve().parent / "outlines"

OUTLINES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inception_v4": "62616998d72af19c03ce07d7d3aaf4a36cba706d21a582ce303ecdc395264798",
        "inception_resnet_v1": "00cf8bdaac4dd6caa199a47915563e01748c00c72b950216273b9deb06c94ab3",
        "inception_resnet_v2": "33805b4695eb3ce615a1962fe0d11f4797c54a8ca7e0028c499fa7088ae99fcd",
        "inception_resnet_v2_paper": "e73323095fca55fa42b19347b29015afddda1c3f5aaab1e92c420540bb645f49",
    }
)
"""The networks, and the SHA-256 of what is shipped of each: other outlines are another code, and stages run again."""

WEIGHT: Final = ".weight"
WEIGHTED: Final = ("Conv", "Gemm")


def outlined(source: Source, size: Size, path: Path, tell: Callable[[str], None]) -> GraphFacts:
    """Writes the canonical graph of a network of the registry, and tells its facts.

    Args:
        size: height and width, pixels; tell: hears of what the weights hold and the network has no place for.
    Raises:
        InputError: the weights do not fit the network, or its graph is not to be had like this.
    """
    from edgekit.models.canonical import canonical_of
    from edgekit.models.onnx_graph import save
    from edgekit.models.same_answers import differs, noise

    proto, network = read_outline(source.origin), make_network(source, tell)
    fill(proto, network, size)
    answer = replace(source.answer, output=None, layout="nchw")
    made = canonical_of(proto, answer, size, "the network", exported=True)
    if (why := differs(made.model, network, noise(size))) is not None:
        raise InputError(f"the outline of {source.origin} does not fit: {why}", "")
    save(made.model, path)
    return made.facts


def read_outline(name: str) -> onnx.ModelProto:
    """What is shipped of a network's graph.

    Raises:
        InputError: there is none, or the file is not the one that was shipped.
    """
    import onnx

    path = FOLDER / f"{name}.onnx"
    if name not in OUTLINES or not path.is_file():
        raise InputError(f"there is no outline of {name}", "")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != OUTLINES[name]:
        raise InputError(f"{path} is not as it was shipped", "Install edgekit again.")
    return onnx.load_model_from_string(content)


def emptied(proto: onnx.ModelProto) -> bytes:
    """The outline of a canonical graph, in place: without the numbers of its layers, and without shapes.

    Raises:
        ValueError: layers share a constant, so that there is no place for numbers of their own.
    """
    constants = {each.name: each for each in proto.graph.initializer}
    taken = [name for node in proto.graph.node if node.op_type in WEIGHTED for name in node.input[1:]]
    if len(set(taken)) < len(taken):
        raise ValueError("layers share weights")
    for name in taken:
        constants[name].ClearField("dims")
        constants[name].dims.append(0)
        constants[name].raw_data = b""
    del proto.graph.value_info[:]
    return bytes(proto.SerializeToString(deterministic=True))


def fill(proto: onnx.ModelProto, network: nn.Module, size: Size) -> None:
    """Puts the weights of a network into its outline, in place, and has it take images of some size."""
    from onnx import numpy_helper

    from edgekit.models.folded import folded

    constants = {each.name: each for each in proto.graph.initializer}
    modules = dict(network.named_modules())
    for node in proto.graph.node:
        if node.op_type not in WEIGHTED:
            continue
        name = node.input[1].removesuffix(WEIGHT)
        parent, _, own = name.rpartition(".")
        weight, bias = folded(modules[name], modules.get(f"{parent}.bn") if own == "conv" else None)
        assert bias is not None, node.name
        if not bias.any():  # of weights that are not trained; the exporter leaves them out
            proto.graph.initializer.remove(constants[node.input.pop()])
        for constant, array in zip(node.input[1:], (weight, bias), strict=False):
            constants[constant].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), constant))
    _flatten_to(proto, constants)
    for dim, side in zip(proto.graph.input[0].type.tensor_type.shape.dim[2:], size, strict=True):
        dim.dim_value = side
    proto.graph.output[0].type.tensor_type.ClearField("shape")


def _flatten_to(proto: onnx.ModelProto, constants: Mapping[str, onnx.TensorProto]) -> None:
    """Gives the vector of features before the last layer as many numbers as that layer takes."""
    from onnx import numpy_helper

    taken = {node.input[0]: constants[node.input[1]].dims[1] for node in proto.graph.node if node.op_type == "Gemm"}
    for node in proto.graph.node:
        if node.op_type == "Reshape" and node.output[0] in taken:
            shape = np.array([1, taken[node.output[0]]], np.int64)
            constants[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
