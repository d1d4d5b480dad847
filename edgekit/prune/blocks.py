"""Which residual branches of a network can be removed as a whole: found while its channels are followed.

A branch counts where it begins at the trunk that it is added to, and everything in it leads into that sum alone. A sum
of two projections has no such trunk: what came in is of another shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from edgekit.models.branches import Branch, Step, Steps
from edgekit.models.bypass import Bypass
from edgekit.prune.channels import Block, ChannelGraph, Group, Keep, Layer, removed_blocks
from edgekit.prune.followed import Call, tensors_in

SAME: Final = frozenset({"alias", "clone", "contiguous", "detach", "lift_fresh", "_to_copy"})
"""Operations that hand on what they were given."""


class Recorder:
    """The operations of one forward pass, as edgekit.models.branches has them, and which module ran each."""

    def __init__(self, network: nn.Module) -> None:
        self.steps, self._at = Steps(), WeakTensorKeyDictionary()
        self._owners, self._running = list[str](), [""]
        self._shapes: list[tuple[int, ...]] = []
        self._modules = {module: name for name, module in network.named_modules() if name}

    def hooked(self) -> list[Any]:
        """Hooks on all modules that say which one runs; to be removed afterwards."""
        hooks: list[Any] = []
        for module, name in self._modules.items():
            hooks.append(module.register_forward_pre_hook(partial(self._begin, name)))
            hooks.append(module.register_forward_hook(self._end))
        return hooks

    def _begin(self, name: str, module: nn.Module, given: Any) -> None:
        self._running.append(name)

    def _end(self, module: nn.Module, given: Any, made: Any) -> None:
        self._running.pop()

    def note(self, call: Call, layer: str) -> None:
        """Notes an operation; `layer` is whose weights it takes."""
        given = [(tensor, self._at[tensor]) for tensor in call.tensors if tensor in self._at]
        inputs = tuple(dict.fromkeys(place for _, place in given))
        made = list(tensors_in(call.made))
        if call.name in SAME and len(inputs) == 1 and made:
            self._at[made[0]] = inputs[0]
            return
        sum_of = _trunks(call, given, made) if call.name == "add" and len(inputs) == 2 else ()
        place = self.steps.add(Step(inputs, layer, sum_of))
        self._owners.append(self._running[-1])
        self._shapes.append(tuple(made[0].shape) if made else ())
        for each in made:
            self._at[each] = place

    def blocks(self, answer: Tensor, graph: ChannelGraph) -> ChannelGraph:
        """The graph with its blocks; `answer` is what the network gave."""
        steps = self.steps
        if answer not in self._at:
            return graph
        steps.answers.add(self._at[answer])
        calls = Counter(step.layer for step in steps.steps if step.layer)
        trunks: dict[int, set[int]] = {}
        found: list[Block] = []
        for branch in steps.branches():
            inside = Counter(steps.steps[place].layer for place in branch.inside if steps.steps[place].layer)
            layers = tuple(name for name in graph.layers if name in inside)
            begins = trunks.get(branch.trunk, {branch.trunk})
            last = self._last(branch, graph.layers)
            weighed = any(graph.layers[name].geometry is not None for name in layers)
            alone = all(calls[name] == count for name, count in inside.items())
            if weighed and alone and last and begins & steps.before(branch.end):
                trunks[branch.total] = begins | {branch.total}
                owner = _common([self._owners[branch.total], *layers])
                found.append(Block("", graph.units + len(found), layers, last, owner))
        blocks = tuple(_named(found, graph.groups))
        return replace(graph, units=graph.units + len(blocks), blocks=blocks)

    def _last(self, branch: Branch, layers: Mapping[str, Layer]) -> tuple[str, ...]:
        """The layers that make what is added, as the walk back from the sum meets them; a gate on them is not one."""
        found, open_ = list[str](), [branch.end]
        while open_:
            place = open_.pop()
            step = self.steps.steps[place]
            if step.layer in layers:
                found.append(step.layer)
                continue
            whole = [e for e in step.inputs if e in branch.inside and len(self._shapes[e]) == len(self._shapes[place])]
            full = [each for each in whole if self._shapes[each][2:] == self._shapes[place][2:]]
            open_ += full or whole
        return tuple(dict.fromkeys(found))


def _trunks(call: Call, given: Sequence[tuple[Tensor, int]], made: Sequence[Tensor]) -> tuple[int, ...]:
    """Which operands of a sum have its shape and no factor."""
    alike = [place for tensor, place in given if tensor.shape == made[0].shape]
    return tuple(alike if call.argument("alpha", 1) == 1 else [each for each in alike if each == given[0][1]])


def _common(names: Sequence[str]) -> str:
    """The module that holds all of these: layers and modules by their names."""
    parts = [name.split(".") for name in names]
    parts = [parts[0], *(each[:-1] for each in parts[1:])]  # a layer is within the module that it is a part of
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(each for each in shared if each)


def _named(found: Sequence[Block], groups: Sequence[Group]) -> list[Block]:
    """Blocks by the names of their modules, or else of the layers that they end with; no group has the same."""
    of_owner, taken = Counter(block.owner for block in found), {group.name for group in groups}
    named: list[Block] = []
    for block in found:
        name = block.owner if block.owner and of_owner[block.owner] == 1 else block.last[-1]
        while name in taken:
            name += "+"
        taken.add(name)
        named.append(replace(block, name=name))
    return named


def groups_inside(graph: ChannelGraph) -> dict[str, tuple[Group, ...]]:
    """By the name of a block: the groups whose units are in no layer outside of it."""
    users: dict[int, set[str]] = {}
    for layer in graph.layers.values():
        for unit in {*layer.inputs.tolist(), *layer.outputs.tolist()}:
            users.setdefault(unit, set()).add(layer.name)
    of_group = [(group, users.get(int(group.units[0]), set())) for group in graph.groups]
    return {
        block.name: tuple(group for group, layers in of_group if layers and layers <= set(block.layers))
        for block in graph.blocks
    }


def without(graph: ChannelGraph, keep: Keep, names: Sequence[str]) -> Keep:
    """(units,) the same without some blocks, and all that is inside them."""
    made, inside = keep.copy(), groups_inside(graph)
    for block in graph.blocks:
        over = [other for other in graph.blocks if other.name in names and set(block.layers) <= set(other.layers)]
        if over:
            made[block.unit] = False
            for group in inside[block.name]:
                made[group.units] = False
    return made


def bypasses(graph: ChannelGraph, keep: Keep) -> list[Bypass]:
    """What is to be taken out of the network where some blocks do not stay."""
    return [Bypass(block.owner, weighed(graph, block)) for block in removed_blocks(graph, keep)]


def weighed(graph: ChannelGraph, block: Block) -> tuple[str, ...]:
    """The convolutions and linear layers of a block."""
    return tuple(name for name in block.layers if graph.layers[name].kind != "norm")
