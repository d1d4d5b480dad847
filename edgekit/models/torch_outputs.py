"""Torch networks that answer with a dict, a tuple or a dataclass: which of their tensors are the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.models.answer import Answer
from edgekit.models.outputs import FileOutput, choose, unused

Export = Callable[[nn.Module, list[str]], ir.Model]


@dataclass(frozen=True)
class Chosen:
    """A forward hook that gives one of the tensors that a network answers with.

    Attributes:
        name: of the tensor; note: what the user should know of those that are left.
    """

    name: str
    note: str | None

    def __call__(self, module: nn.Module, given: object, answers: object) -> torch.Tensor:
        return dict(tensors_of(answers))[self.name]


@dataclass(frozen=True)
class _All:
    """A forward hook that gives all of them as a tuple, in a fixed order."""

    names: tuple[str, ...]

    def __call__(self, module: nn.Module, given: object, answers: object) -> tuple[torch.Tensor, ...]:
        found = dict(tensors_of(answers))
        return tuple(found[name] for name in self.names)


def tensors_of(answers: object, name: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors in what a network answers with, and their names: keys and fields, or output_0, output_1 and so on."""
    if isinstance(answers, torch.Tensor):
        yield name or "logits", answers
        return
    named: Mapping[str, object] = {}
    if isinstance(answers, Mapping):
        named = {str(key): value for key, value in answers.items()}
    elif is_dataclass(answers) and not isinstance(answers, type):
        named = {field.name: getattr(answers, field.name) for field in fields(answers)}
    elif isinstance(answers, Sequence) and not isinstance(answers, str | bytes):
        keys = getattr(answers, "_fields", None) or [f"output_{place}" for place in range(len(answers))]
        named = dict(zip(keys, answers, strict=True))
    for key, value in named.items():
        yield from tensors_of(value, f"{name}.{key}" if name else key)


def channels_of(network: nn.Module) -> int:
    """Channels of the images that a network takes: 1 where its first convolution says so, else 3."""
    first = next((each for each in network.modules() if isinstance(each, nn.Conv2d)), None)
    return 1 if first is not None and first.in_channels == 1 else 3


def chosen_of(network: nn.Module) -> Chosen | None:
    """The choice that was made for a network, if it answers with more than a tensor."""
    return next((each for each in network._forward_hooks.values() if isinstance(each, Chosen)), None)


def answer_with_one(network: nn.Module, size: tuple[int, int], answer: Answer, export: Export) -> None:
    """Makes a network answer with the one tensor that holds the answers, in place; its names stay as they are.

    Args:
        size: height and width of an image, pixels.
        export: the ONNX graph of a network with outputs of some names; asked where their names do not tell.
    Raises:
        InputError: the network fails on an image, gives no tensor, or several and it is not plain which.
    """
    network.eval()
    answers = _tried(network, size)
    if isinstance(answers, torch.Tensor):
        if answer.output not in (None, "logits"):
            raise InputError(f"the network has no output {answer.output!r}", "It gives one tensor: leave --output out.")
        return
    found = dict(tensors_of(answers))
    if not found:
        raise InputError(
            f"the network answers with a {type(answers).__name__}, no tensor", "It must return its logits."
        )
    outputs = [FileOutput(name, _value(name, tensor)) for name, tensor in found.items()]
    try:
        chosen = choose(outputs, answer)
    except InputError:
        if answer.output is not None:
            raise
        chosen = _by_graph(network, outputs, answer, export)
    network.register_forward_hook(Chosen(chosen.name, unused(outputs, chosen)))


def _tried(network: nn.Module, size: tuple[int, int]) -> Any:
    picture = torch.zeros(1, channels_of(network), *size)
    try:
        with torch.no_grad():
            return network(picture)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's code does
        what = f"the network fails on an image of {size[0]}x{size[1]}: {type(error).__name__}: {str(error)[:160]}"
        raise InputError(what, "Give the --size that it takes.") from error


def _value(name: str, tensor: torch.Tensor) -> ir.Value:
    kind = ir.DataType.FLOAT if tensor.is_floating_point() else ir.DataType.INT64
    return ir.val(name, kind, list(tensor.shape))


def _by_graph(network: nn.Module, outputs: list[FileOutput], answer: Answer, export: Export) -> FileOutput:
    """The choice where it takes to know which of the tensors is made of the others."""
    names = [each.name for each in outputs]
    handle = network.register_forward_hook(_All(tuple(names)))
    try:
        graph = export(network, names).graph
    finally:
        handle.remove()
    name = choose([FileOutput(*each) for each in zip(names, graph.outputs, strict=True)], answer).name
    return next(each for each in outputs if each.name == name)
