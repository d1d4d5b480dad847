"""A network as it came, run by the library that it is at home in: what all else is compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.models.answer import Answer
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source, make_network

if TYPE_CHECKING:
    from torch import nn

Answered = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Gives the answers, float32 (classes,), to one picture, normalised float32 (1, C, H, W)."""


def reference_of(source: Source, facts: GraphFacts) -> tuple[str, Answered]:
    """Who is asked about a network, by the runtime's name, and how.

    Raises:
        InputError: the file cannot be run.
    """
    if source.kind == "onnx":
        assert source.weights is not None  # the file itself
        return "onnxruntime", of_file(source.weights, source.answer, facts.output)
    return "torch", of_torch(make_network(source))


def of_file(path: Path, told: Answer, output: str) -> Answered:
    """An ONNX file in ONNX Runtime, untouched: its own batch, layout and number format.

    Args:
        told: what is told of its input; output: name of the output that holds the answers.
    Raises:
        InputError: ONNX Runtime cannot run it.
    """
    from edgekit.models.graph_input import peek
    from edgekit.models.run_graph import session_of

    session = session_of(path)
    found = peek(path, told)

    def answer(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        given = found.fed(np.repeat(picture, found.batch, 0))
        made = np.asarray(session.run([output], {found.name: given})[0])
        return _row(made, found.batch if found.batched else 0)

    return answer


def of_torch(network: nn.Module) -> Answered:
    """A torch network that answers with one tensor, without any export."""
    import torch

    def answer(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            made = network(torch.from_numpy(picture))
        return _row(made.float().numpy(), 1)

    return answer


def _row(made: NDArray[Any], batch: int) -> NDArray[np.float32]:
    """The answers to the first of `batch` pictures, whatever shape they come in; 0 where there is no batch."""
    first = made[0] if made.ndim > 1 and made.shape[0] == batch else made
    return np.ascontiguousarray(first, np.float32).reshape(-1)
