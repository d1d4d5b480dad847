"""Whether a torch network that was made of an ONNX graph answers as ONNX Runtime does with the graph itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import fx, nn

from edgekit.errors import InputError
from edgekit.models.onnx_graph import channels_of, give_only, image_input, layout_of, name_of, sides_of, to_proto
from edgekit.models.run_graph import session_of

PICTURES: Final = 2
WITHIN: Final = 2e-3
"""Of the largest answer: how far two ways to compute in float32 may be apart behind many layers."""

Arrays = Sequence[NDArray[np.float32]]


def check_agreement(model: ir.Model, network: nn.Module, places: Mapping[ir.Value, fx.Node]) -> None:
    """Compares the answers for some pictures of noise.

    Args:
        model: the graph, its input fixed at batch 1; places: where its tensors are in the network.
    Raises:
        InputError: they differ; the first operator behind which they do is named. Or the graph does not run.
    """
    pictures = _pictures(model)
    with torch.no_grad():
        made = [network(torch.from_numpy(each)).numpy() for each in pictures]
    if _alike(_by_graph(model, [model.graph.outputs[0]], pictures)[0], made):
        return
    raise InputError(
        "the ONNX graph cannot be turned into a torch network: " + _first_difference(model, network, places, pictures),
        "Build it with --prune none.",
    )


def _pictures(model: ir.Model) -> Arrays:
    value = image_input(model)
    height, width = sides_of(value)
    dice = np.random.Generator(np.random.PCG64(0))
    return [dice.standard_normal((1, channels_of(value), height, width), np.float32) for _ in range(PICTURES)]


def _by_graph(model: ir.Model, values: Sequence[ir.Value], pictures: Arrays) -> list[Arrays]:
    """What ONNX Runtime computes for tensors of a graph: for each of them, an array a picture."""
    names = [name_of(value) for value in values]
    wanted = model.clone()
    by_name = {name_of(each): each for node in wanted.graph for each in node.outputs}
    give_only(wanted, [by_name[name] for name in names])
    value = image_input(model)
    try:
        session = session_of(to_proto(wanted).SerializeToString(), optimized=False)
        turned = [each if layout_of(value) == "NCHW" else each.transpose(0, 2, 3, 1) for each in pictures]
        ran = [session.run(names, {name_of(value): np.ascontiguousarray(each)}) for each in turned]
    except Exception as error:  # ONNX Runtime's errors have no ancestor of their own
        why = " ".join(str(error).split())[:160]
        raise InputError(
            f"the ONNX graph cannot be turned into a torch network: ONNX Runtime does not run it: {why}",
            "Build it with --prune none.",
        ) from error
    return [[np.asarray(each[place]) for each in ran] for place in range(len(names))]


def _alike(wanted: Arrays, made: Arrays) -> bool:
    scale = max(float(np.abs(each).max(initial=0)) for each in wanted)
    return all(
        one.shape == other.shape and np.allclose(one, other, rtol=WITHIN, atol=WITHIN * scale, equal_nan=True)
        for one, other in zip(wanted, made, strict=True)
    )


class _Noting(fx.Interpreter):
    """Runs a network and keeps what each node gives."""

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self.seen: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        made = super().run_node(n)
        self.seen[n] = made.clone() if isinstance(made, torch.Tensor) else made  # some work in place
        return made


def _first_difference(model: ir.Model, network: nn.Module, places: Mapping[ir.Value, fx.Node], pictures: Arrays) -> str:
    """The first operator whose output is another one, in words."""
    values = [value for node in model.graph for value in node.outputs[:1] if value in places]
    wanted = _by_graph(model, values, pictures)
    runs = []
    for each in pictures:
        noting = _Noting(network)
        with torch.no_grad():
            noting.run(torch.from_numpy(each))
        runs.append(noting.seen)
    for value, arrays in zip(values, wanted, strict=True):
        node = value.producer()
        made = [np.asarray(run[places[value]]) for run in runs]
        if node is not None and not _alike(arrays, made):
            name = node.name or name_of(value)
            return f"operator {node.op_type} (node {name}): it computes something else in torch"
    return "it answers something else in torch"
