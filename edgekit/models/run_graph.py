"""Graphs run once in ONNX Runtime: to compute constants, to learn shapes, to compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray

from edgekit.errors import InputError


def run_graph(
    model: onnx.ModelProto, given: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
) -> list[Any]:
    """What ONNX Runtime computes for a graph, none of its optimizations on.

    Args:
        given: the inputs by name; outputs: names of those wanted, by default all.
    Raises:
        InputError: ONNX Runtime cannot run the graph; its words are told.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found: list[Any] = session.run(None if outputs is None else list(outputs), dict(given))
    except Exception as error:  # ONNX Runtime's errors have no common ancestor of their own
        raise InputError(
            f"ONNX Runtime cannot run the network: {plain(error)}", "Try it in ONNX Runtime alone, and export it again."
        ) from error
    return found


def plain(error: BaseException) -> str:
    """The words of an error on one line, cut short; its kind where it has none."""
    words = " ".join(str(error).split())
    return words[:200] if words else type(error).__name__
