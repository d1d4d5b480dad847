"""Networks as canonical ONNX graphs: float32, batch 1, logits out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.errors import InputError, UnavailableError
from edgekit.models.answer import TOLD_NOTHING, Answer
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source, make_network
from edgekit.size import Size, shown

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

OPSET: Final = 20
SMALLEST: Final = 75
"""Side of the smallest image that the networks of the registry take, pixels."""


def export(source: Source, size: Size, path: Path, tell: Callable[[str], None] = lambda line: None) -> GraphFacts:
    """Writes the canonical ONNX graph for images of `size`, and tells its facts; see edgekit.models.canonical.

    Args:
        tell: hears of what the weights hold and the network has no place for.
    Raises:
        InputError: the network cannot be exported or is no image classifier.
    """
    if source.kind in ("registry", "timm") and source.preprocessing.channels != 3:
        raise InputError(f"{source.name} takes RGB, and --color grey makes one channel", "Leave --color out.")
    if source.kind == "registry" and min(size) < SMALLEST:
        what = f"{source.name} takes images from {SMALLEST}x{SMALLEST}, not {shown(size)}"
        raise InputError(what, "Give a larger --size.")
    if source.kind == "registry" and (facts := _by_outline(source, size, path, tell)) is not None:
        return _in_logits(source, path, facts)
    if source.kind != "onnx":
        return _in_logits(source, path, export_network(make_network(source, tell), size, path, source.answer))
    from edgekit.models.canonical import canonical
    from edgekit.models.onnx_graph import save

    assert source.weights is not None  # the file itself
    made = canonical(source.weights, source.answer, size)
    save(made.model, path)
    return _in_logits(source, path, made.facts)


def _by_outline(source: Source, size: Size, path: Path, tell: Callable[[str], None]) -> GraphFacts | None:
    """The graph of a network whose outline is shipped; None where torch's exporter has to write it."""
    from edgekit.models.outline import OUTLINES, outlined

    if source.origin not in OUTLINES:
        return None
    told: list[str] = []
    try:
        facts = outlined(source, size, path, told.append)
    except InputError as error:
        tell(f"exported by torch: {error.what}")
        return None
    for each in told:
        tell(each)
    return facts


def export_again(source: Source, network: nn.Module, size: Size, path: Path) -> GraphFacts:
    """The same for what pruning made of the torch network of a source.

    Raises:
        InputError: the network cannot be exported.
    """
    if source.kind == "onnx":  # its torch network ends in logits already, whatever was told of the file
        return export_network(network, size, path, Answer(source.answer.task))
    return _in_logits(source, path, export_network(network, size, path, source.answer))


def _in_logits(source: Source, path: Path, facts: GraphFacts) -> GraphFacts:
    """Makes logits of answers that only pictures have shown to be probabilities."""
    if source.answers_are is None:
        return facts
    from edgekit.models.activation import with_logits
    from edgekit.models.onnx_graph import load, save

    save(with_logits(load(path), source.answers_are), path)
    is_binary = facts.activation == "softmax" and source.answers_are == "sigmoid"
    return replace(facts, activation="softmax" if is_binary else source.answers_are, activation_found=True)


def export_network(network: nn.Module, size: Size, path: Path, answer: Answer = TOLD_NOTHING) -> GraphFacts:
    """Writes the canonical ONNX graph of a torch network, and tells its facts.

    Args:
        answer: what is told of its answers; a classifier's by default.
    Raises:
        InputError: the network cannot be exported, or does not answer with one vector.
    """
    from edgekit.models.canonical import canonical_of
    from edgekit.models.onnx_graph import save, to_proto
    from edgekit.models.torch_outputs import chosen_of

    chosen = chosen_of(network)
    proto = to_proto(export_torch(network, size))
    made = canonical_of(proto, replace(answer, output=None, layout="nchw"), size, "the network", exported=True)
    save(made.model, path)
    if chosen is None:
        return made.facts
    notes = made.facts.notes if chosen.note is None else (chosen.note, *made.facts.notes)
    return replace(made.facts, output=chosen.name, notes=notes)


def export_torch(network: nn.Module, size: Size, outputs: Sequence[str] = ("logits",)) -> ir.Model:
    """What torch's exporter makes of a network for one image.

    Args:
        size: height and width, pixels; outputs: names of the tensors that it answers with.
    Raises:
        InputError: the network cannot be exported.
    """
    import io
    import logging
    from contextlib import redirect_stderr, redirect_stdout

    import torch
    from onnx_ir.passes import common

    from edgekit.models.torch_outputs import channels_of

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (torch.zeros(1, channels_of(network), *size),),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=list(outputs),
                verbose=False,
            )
    except Exception as error:  # whatever the user's network does under export
        raise InputError(f"the network cannot be exported to ONNX: {str(error)[:160]}", "See --debug.") from error
    if program is None:
        raise UnavailableError("torch gave no ONNX program", "Install the cpu extra again.")
    # where the code of each operator lies on this machine is nobody's affair, and would make other bytes elsewhere
    common.ClearMetadataAndDocStringPass()(program.model)
    return program.model
