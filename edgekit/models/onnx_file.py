"""ONNX files read, whatever tool wrote them, and refused where they are not whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from edgekit.errors import InputError


def read_proto(path: Path, weights: bool = True) -> onnx.ModelProto:
    """An ONNX file as it is, with its external data, which is read only from inside the file's own folder.

    Args:
        weights: whether the files beside it are read.
    Raises:
        InputError: it is missing, truncated, no ONNX or empty, or the files of its weights are.
    """
    if not path.is_file():
        raise InputError(f"there is no model file {path}", "Give the path of an .onnx file.")
    try:
        proto: onnx.ModelProto = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common ancestor
        raise InputError(
            f"{path} is not a whole ONNX model: {_words(error)}",
            "The file is truncated or of another kind; export it again.",
        ) from error
    if not proto.graph.node:
        raise InputError(f"{path} holds an empty ONNX graph", "The file is truncated or empty; export it again.")
    if not weights:
        return proto
    try:
        onnx.load_external_data_for_model(proto, str(path.parent))
    except Exception as error:  # of files that are missing, short, or elsewhere
        raise InputError(
            f"the weights beside {path} cannot be read: {_words(error)}", "Copy all files of the export together."
        ) from error
    return proto


def read_onnx(path: Path) -> ir.Model:
    """An ONNX file as a model, sorted; edgekit.models.canonical makes a network of it.

    Raises:
        InputError: missing, truncated, no ONNX, or weights that are NaN.
    """
    proto = read_proto(path)
    try:
        model: ir.Model = ir.from_proto(proto)
        for graph in (model.graph, *model.graph.subgraphs()):
            graph.sort()
        bad = next((name for name, value in model.graph.initializers.items() if _has_nan(value)), None)
    except Exception as error:  # cycles, tensors without names, types that there are not: of many kinds
        raise InputError(f"{path} is no ONNX network: {_words(error)}", "Export it again.") from error
    if bad is not None:
        raise InputError(f"the weights of {path} have NaN values, first in {bad}", "Train it again.")
    return model


def _words(error: Exception) -> str:
    """The first line of what an error came of; its kind where it says nothing."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return str(error).splitlines()[0][:140] if str(error) else type(error).__name__


def _has_nan(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and tensor.dtype.is_floating_point() and bool(np.isnan(tensor.numpy()).any())
