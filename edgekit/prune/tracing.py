"""Follows the channels of a torch network, through every operation of one forward pass.

Every tensor is looked at as it is made: along one of its axes each place is a channel, and along the others there is no
difference. An operation passes that on (edgekit.prune.operations says how), ties channels to each other, or is not
known: then the channels that go into it must stay, and all others can still go. So removal is cut into all layers at
once, whatever is joined, split, turned or called twice in between, and nothing depends on the order of removals.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from edgekit.prune.blocks import Recorder
from edgekit.prune.channels import ChannelGraph, Kind, cannot_be_pruned
from edgekit.prune.followed import Call, Followed, tensors_in, title
from edgekit.prune.joined import ALWAYS, Joined
from edgekit.prune.layers import MAKING, NORMING
from edgekit.prune.operations import OPERATIONS
from edgekit.size import Size, size_of


def trace(network: nn.Module, size: Size | int, channels: int = 3, blocks: bool = False) -> ChannelGraph:
    """Follows the channels of a classifier that takes (N, channels, height, width).

    Args:
        size: (height, width), or the side of a square.
        blocks: whether residual branches that can be removed as a whole are looked for too.

    Where nothing can be removed the graph has no groups; why, it says.

    Raises:
        InputError: it does not run on such an image, or gives no tensor.
    """
    picture = torch.zeros(1, channels, *size_of(size))
    was_training = network.training
    network.eval()
    recorder = Recorder(network) if blocks else None
    follower = Follower(network, recorder)
    hooks = [module.register_forward_pre_hook(follower.note) for module in follower.names]
    hooks += [] if recorder is None else recorder.hooked()
    try:
        with warnings.catch_warnings(), torch.no_grad(), follower:
            warnings.simplefilter("ignore")
            made = network(picture)
    except Exception as error:  # whatever a user's network does
        why = " ".join(str(error).split())[:100] or type(error).__name__
        raise cannot_be_pruned(f"it does not run on {tuple(picture.shape)}: {why}") from error
    finally:
        for each in hooks:
            each.remove()
        network.train(was_training)
    if not isinstance(made, torch.Tensor) or made.ndim != 2:
        shape = f": a tensor of {tuple(made.shape)}" if isinstance(made, torch.Tensor) else f": {type(made).__name__}"
        raise cannot_be_pruned(f"it does not give logits (N, classes){shape}")
    return follower.graph(made) if recorder is None else recorder.blocks(made, follower.graph(made))


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation of a forward pass, and what channels its tensors hold."""

    def __init__(self, network: nn.Module, recorder: Recorder | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._recorder = recorder
        self._along: Any = WeakTensorKeyDictionary()
        self._made_by: Any = WeakTensorKeyDictionary()
        self._readers: dict[str, list[str]] = {}
        self.names = {module: name for name, module in network.named_modules() if kind_of(module) is not None}
        self.followed = Followed(Joined(), WeakTensorKeyDictionary(), _parts(self.names))

    def note(self, module: nn.Module, given: Any) -> None:
        """A layer is called as a module, so that what it makes can be looked at in training too."""
        name = self.names[module]
        self.followed.called.pop(name, None)
        self.followed.called[name] = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self._follow(Call(func, tuple(args), kwargs or {}, made))
        return made

    def _follow(self, call: Call) -> None:
        given = {id(tensor): along for tensor in call.tensors if (along := self._along.get(tensor)) is not None}
        operation = OPERATIONS.get(call.name)
        own = [name for tensor in call.tensors if (name := self.followed.part(tensor)) is not None]
        if self._recorder is not None:
            self._recorder.note(call, own[0] if own and call.name in MAKING | NORMING else "")
        if not given and not own:
            return
        for tensor in call.tensors:
            if (maker := self._made_by.get(tensor)) is not None:
                self._readers.setdefault(maker, []).append(own[0] if call.name in NORMING and own else "")
        outcome = None if operation is None else operation(self.followed, call, given)
        if outcome is None:
            for along in given.values():
                self.followed.joined.hold(along.nodes, title(call.name))
            self.followed.stay(own, title(call.name))
            return
        for tensor, along in zip(tensors_in(call.made), outcome, strict=False):
            if along is not None:
                self._along[tensor] = along
        if call.name in MAKING and own and (made := next(iter(tensors_in(call.made)), None)) is not None:
            self._made_by[made] = own[0]

    def graph(self, made: torch.Tensor) -> ChannelGraph:
        """What was found; `made` is what the network gave."""
        along, joined = self._along.get(made), self.followed.joined
        if along is not None:
            joined.hold(along.nodes, ALWAYS)
        for name, readers in self._readers.items():
            if len(readers) == 1 and readers[0]:
                joined.layers[name].norm = readers[0]
        self.followed.settle()
        return joined.graph()


def _parts(names: dict[nn.Module, str]) -> dict[int, list[tuple[str, nn.Module, str]]]:
    """Tensor of a layer, by identity: the layers that have it, and what it is in them."""
    found: dict[int, list[tuple[str, nn.Module, str]]] = {}
    for module, name in names.items():
        for part, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            found.setdefault(id(tensor), []).append((name, module, part))
    return found


def kind_of(module: nn.Module) -> Kind | None:
    """What a module is to pruning; None where it has no channels that could go."""
    if isinstance(module, nn.Conv2d):
        return "conv" if module.groups == 1 else "grouped"
    if isinstance(module, nn.Linear):
        return "linear"
    return "norm" if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) else None
