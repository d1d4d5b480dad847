"""Graphs run once in ONNX Runtime: to compute constants, to learn shapes, to compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.onnx_graph import quantizes_by_channel
from edgekit.runtime.cgroup import usable_cores
from edgekit.runtime.quiet import no_telemetry

AS_WRITTEN: Final = ("session.disable_quant_qdq", "1")
"""For ONNX Runtime: values are quantized and dequantized, and what is between is computed in floating point."""


def session_of(model: bytes | Path, optimized: bool = True) -> Any:
    """A network in ONNX Runtime on the processor, which says nothing by itself.

    Args:
        model: a file, or the bytes of one; optimized: whether the runtime may rewrite the graph.
    Raises:
        InputError: ONNX Runtime cannot run it; its words are told.
    """
    no_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, usable_cores()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = str(model) if isinstance(model, Path) else model
    if optimized and isinstance(model, Path) and quantizes_by_channel(model):
        options.add_session_config_entry(*AS_WRITTEN)
    try:
        return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common ancestor of their own
        raise _refused(error) from error


def run_graph(
    model: onnx.ModelProto | bytes, given: Mapping[str, NDArray[Any]], outputs: Sequence[str] | None = None
) -> list[Any]:
    """What ONNX Runtime computes for a graph, none of its optimizations on.

    Args:
        model: the graph, or the bytes of its file.
        given: the inputs by name; outputs: names of those wanted, by default all.
    Raises:
        InputError: ONNX Runtime cannot run the graph; its words are told.
    """
    return run_often(model, [given], outputs)[0]


def run_often(
    model: onnx.ModelProto | bytes, given: Iterable[Mapping[str, NDArray[Any]]], outputs: Sequence[str] | None = None
) -> list[list[Any]]:
    """The same for one input after the other."""
    session = session_of(model if isinstance(model, bytes) else model.SerializeToString(), optimized=False)
    try:
        return [session.run(None if outputs is None else list(outputs), dict(each)) for each in given]
    except Exception as error:  # as above
        raise _refused(error) from error


def _refused(error: Exception) -> InputError:
    hint = "Try it in ONNX Runtime alone, and export it again."
    return InputError(f"ONNX Runtime cannot run the network: {plain(error)}", hint)


def plain(error: BaseException) -> str:
    """The words of an error on one line, cut short; its kind where it has none."""
    words = " ".join(str(error).split())
    return words[:200] if words else type(error).__name__
