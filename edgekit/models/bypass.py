"""Taking whole residual branches out of a torch network: the sum in which one ends gives its other side.

Only the module within which the sum is made is written anew, as torch.fx follows it; names of what stays do not change.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import fx, nn

from edgekit.errors import InputError
from edgekit.models.branches import Layers, Step, Steps, located

KEY: Final = "edgekit.removed"
"""In a safetensors file's metadata: the branches that its network lacks, as JSON."""

SUMS: Final[Mapping[str, Sequence[Any]]] = {
    "call_function": (operator.add, operator.iadd, torch.add),
    "call_method": ("add", "add_"),
}
"""By what a node of torch.fx does."""
WEIGHTED: Final = (nn.Conv2d, nn.Linear)
WHOLE: Final = (*WEIGHTED, nn.BatchNorm2d, nn.BatchNorm1d)
"""Layers that are called as they are, also those of subclasses."""


@dataclass(frozen=True)
class Bypass:
    """A branch to be taken out.

    Attributes:
        owner: name of the module within which it ends in a sum; empty for the network itself.
        layers: names of its convolutions and linear layers, all of them.
    """

    owner: str
    layers: tuple[str, ...]


def bypassed(network: nn.Module, removed: Sequence[Bypass]) -> nn.Module:
    """The network without some branches; it is changed itself, unless a branch is its own and no module's in it.

    Raises:
        InputError: torch.fx cannot follow a module, or finds no such branch in it.
    """
    owners = sorted({each.owner for each in removed}, key=lambda owner: -len(owner))  # what is inside others first
    for owner in owners:
        wanted = [frozenset(each.layers) for each in removed if each.owner == owner]
        try:
            module = network.get_submodule(owner)
        except AttributeError as error:
            raise _missing(owner, wanted[0]) from error
        made = _without(module, owner, wanted)
        if owner == "":
            return made  # it comes last
        network.set_submodule(owner, made)
    return network


def as_metadata(removed: Sequence[Bypass]) -> dict[str, str]:
    """What a weights file says of them; nothing where there are none."""
    return {KEY: json.dumps([[each.owner, *each.layers] for each in removed])} if removed else {}


def from_metadata(told: Mapping[str, str], path: Path) -> list[Bypass]:
    """What `as_metadata` wrote.

    Raises:
        InputError: it is something else.
    """
    try:
        rows = json.loads(told.get(KEY, "[]"))
        if not all(isinstance(row, list) and len(row) > 1 and all(isinstance(e, str) for e in row) for row in rows):
            raise ValueError("no list of lists of names")
    except (ValueError, TypeError) as error:
        what = f"the weights {path} do not say which branches they lack: {error}"
        raise InputError(what, "Write them anew.") from error
    return [Bypass(row[0], tuple(row[1:])) for row in rows]


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, WHOLE) or super().is_leaf_module(m, module_qualified_name)


def _without(module: nn.Module, name: str, wanted: Sequence[Layers]) -> nn.Module:
    """A module without some branches."""
    made = module if isinstance(module, fx.GraphModule) else _followed(module, name)
    nodes = list(made.graph.nodes)
    found = located(_steps(made, nodes, f"{name}." if name else ""), wanted, lambda layers: _missing(name, layers))
    instead: dict[fx.Node, fx.Node] = {}
    for branch in found.values():
        total, trunk = nodes[branch.total], nodes[branch.trunk]
        with made.graph.inserting_after(total):
            # a copy, as what comes next may write into it
            instead[total] = made.graph.call_function(torch.clone, (instead.get(trunk, trunk),))
        total.replace_all_uses_with(instead[total])
    made.graph.eliminate_dead_code()
    made.delete_all_unused_submodules()
    made.recompile()
    return made


def _followed(module: nn.Module, name: str) -> fx.GraphModule:
    try:
        made = fx.GraphModule(module, _Tracer().trace(module), type(module).__name__)
    except Exception as error:  # whatever code of others does when it is followed
        why = " ".join(str(error).split())[:100]
        raise InputError(
            f"the block {name or 'of the network itself'} cannot be removed: torch.fx does not follow it: {why}",
            "Leave blocks alone (--no-prune-blocks).",
        ) from error
    made.train(module.training)
    return made


def _missing(name: str, layers: Layers) -> InputError:
    return InputError(
        f"{name or 'the network'} has no branch of just the layers {', '.join(sorted(layers))}",
        "Leave blocks alone (--no-prune-blocks), or give the model that the weights were pruned from.",
    )


def _steps(network: fx.GraphModule, nodes: Sequence[fx.Node], prefix: str) -> Steps:
    """The same graph as edgekit.models.branches has it."""
    steps, place = Steps(), {node: number for number, node in enumerate(nodes)}
    for node in nodes:
        inputs = tuple(place[each] for each in node.all_input_nodes)
        layer = ""
        if node.op == "call_module" and isinstance(network.get_submodule(str(node.target)), WEIGHTED):
            layer = f"{prefix}{node.target}"
        steps.add(Step(inputs, layer, tuple(place[each] for each in _trunks(node))))
        if node.op == "output":
            steps.answers |= {place[each] for each in node.all_input_nodes}
    return steps


def _trunks(node: fx.Node) -> list[fx.Node]:
    """The operands of a sum that may stand for it. Their shapes are not known here: branches are found elsewhere."""
    is_sum = node.target in SUMS.get(node.op, ())
    operands: list[Any] = [*node.args, *(node.kwargs[key] for key in ("input", "other") if key in node.kwargs)]
    if not is_sum or len(operands) != 2 or operands[0] is operands[1]:
        return []
    if not all(isinstance(each, fx.Node) for each in operands):
        return []
    return operands[:1] if node.kwargs.get("alpha", 1) != 1 else operands
