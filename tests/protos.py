"""edgekit's functions of graphs, for tests that build and read graphs as protobufs."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import onnx_ir as ir
from onnx import ModelProto

from edgekit.models.onnx_graph import to_proto


def on_protos(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, which takes protobufs in the place of onnx_ir models and gives them."""

    @wraps(function)
    def call(*arguments: Any, **more: Any) -> Any:
        given = [ir.from_proto(each) if isinstance(each, ModelProto) else each for each in arguments]
        made = function(*given, **more)
        return to_proto(made) if isinstance(made, ir.Model) else made

    return call
