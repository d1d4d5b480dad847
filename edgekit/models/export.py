"""Networks as ONNX graphs: float32, batch 1, logits out."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.errors import InputError, UnavailableError
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source, make_network
from edgekit.size import Size, shown

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

OPSET: Final = 20
SMALLEST: Final = 75
"""Side of the smallest image that the networks of the registry take, pixels."""


def export(source: Source, size: Size, path: Path) -> GraphFacts:
    """Writes the float32 ONNX graph with batch 1 for images of `size`, and tells its facts.

    Raises:
        InputError: the network cannot be exported or is no image classifier.
    """
    if source.kind == "onnx":
        from edgekit.models.onnx_graph import facts, read_onnx, save, with_fixed_input

        assert source.weights is not None  # the file itself
        model = with_fixed_input(read_onnx(source.weights), size)
        save(model, path)
        return facts(model)
    if source.kind in ("registry", "timm") and source.preprocessing.channels != 3:
        raise InputError(f"{source.name} takes RGB, and --color grey makes one channel", "Leave --color out.")
    if source.kind == "registry" and min(size) < SMALLEST:
        what = f"{source.name} takes images from {SMALLEST}x{SMALLEST}, not {shown(size)}"
        raise InputError(what, "Give a larger --size.")
    return export_network(make_network(source), size, path, source.preprocessing.channels)


def export_network(network: nn.Module, size: Size, path: Path, channels: int = 3) -> GraphFacts:
    """Writes the float32 ONNX graph of a torch network with batch 1 for images of `channels`, and tells its facts.

    Raises:
        InputError: the network cannot be exported.
    """
    from edgekit.models.onnx_graph import facts, save

    model = _export_torch(network, (channels, *size))
    save(model, path)
    return facts(model)


def _export_torch(network: nn.Module, shape: tuple[int, int, int]) -> ir.Model:
    import io
    import logging
    from contextlib import redirect_stderr, redirect_stdout

    import torch
    from onnx_ir.passes import common

    from edgekit.models.onnx_graph import with_fixed_input

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (torch.zeros(1, *shape),),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["logits"],
                verbose=False,
            )
    except Exception as error:  # whatever the user's network does under export
        raise InputError(f"the network cannot be exported to ONNX: {str(error)[:160]}", "See --debug.") from error
    if program is None:
        raise UnavailableError("torch gave no ONNX program", "Install the cpu extra again.")
    # where the code of each operator lies on this machine is nobody's affair, and would make other bytes elsewhere
    common.ClearMetadataAndDocStringPass()(program.model)
    return with_fixed_input(program.model, shape[1:])
