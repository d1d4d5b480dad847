"""A network as it came, run by the library that it is at home in: what all else is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source, make_network

if TYPE_CHECKING:
    from torch import nn

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Gives the answers, float32 (classes,), to one picture as the network takes it, float32 (1, ...)."""

TYPES: Final = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


def reference_of(source: Source, facts: GraphFacts) -> tuple[str, Answer]:
    """Who is asked about a network, by the runtime's name, and how.

    Raises:
        InputError: the file cannot be run.
    """
    if source.kind == "onnx":
        assert source.weights is not None  # the file itself
        return "onnxruntime", of_file(source.weights, facts.output)
    return "torch", of_torch(make_network(source), facts.output)


def of_file(path: Path, output: str | None) -> Answer:
    """An ONNX file in ONNX Runtime, untouched: its own batch, its own number format.

    Args:
        output: name of the output that holds the answers; None for the first.
    Raises:
        InputError: ONNX Runtime cannot run it.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors derive from Exception alone
        raise InputError(
            f"ONNX Runtime cannot run {path.name}: {str(error).splitlines()[0]}", "See --debug."
        ) from error
    wanted = session.get_inputs()[0]
    kind = TYPES.get(wanted.type, np.float32)
    batch = wanted.shape[0] if wanted.shape and isinstance(wanted.shape[0], int) else 1

    def answer(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        given = np.rint(picture).astype(kind) if kind is np.uint8 else picture.astype(kind)
        made = session.run(None if output is None else [output], {wanted.name: np.repeat(given, batch, 0)})[0]
        return _row(np.asarray(made), batch)

    return answer


def of_torch(network: nn.Module, output: str | None) -> Answer:
    """A torch network as its author wrote it, without any export."""
    import torch

    def answer(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            made: Any = network(torch.from_numpy(picture))
        return _row(made.float().numpy(), 1)

    return answer


def _row(made: NDArray[Any], batch: int) -> NDArray[np.float32]:
    """The answers to the first picture, whatever shape they come in."""
    first = made[0] if made.ndim > 1 and made.shape[0] == batch else made
    return np.ascontiguousarray(first, np.float32).reshape(-1)
