"""Operators taken apart into older ones that compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from edgekit.models.edit import Edit, floating, integer, words
from edgekit.models.onnx_graph import constant, dims_of


def taken_apart(edit: Edit, node: ir.Node) -> bool:
    """Puts what an operator is made of in its place, in place; False where it is not known, or its sizes are not."""
    made = PARTS.get((node.domain, node.op_type))
    value = None if made is None else made(_Parts(edit, node))
    if value is None:
        return False
    edit.replace(node, value)
    return True


class _Parts:
    """Operators in front of a node, their constants of the type that the node computes in."""

    def __init__(self, edit: Edit, node: ir.Node) -> None:
        self.edit, self.node = edit, node
        self.inputs = [*node.inputs, *[None] * 6]
        self.x = node.inputs[0]
        half = self.x is not None and self.x.dtype == ir.DataType.FLOAT16
        self.dtype: Any = np.float16 if half else np.float32

    def op(self, kind: str, *inputs: ir.Value | float | None, **attributes: Any) -> ir.Value:
        values = [
            self.edit.constant("number", np.array(each, self.dtype)) if isinstance(each, int | float) else each
            for each in inputs
        ]
        return self.edit.before(self.node, kind, values, **attributes)

    def mean(self, value: ir.Value, axes: list[int]) -> ir.Value:
        return self.edit.before(self.node, "ReduceMean", [value, self.edit.ints("axes", *axes)], keepdims=1)


def _hard_swish(op: _Parts) -> ir.Value:
    return op.op("Mul", op.x, op.op("HardSigmoid", op.x, alpha=1 / 6, beta=0.5))


def _gelu(op: _Parts) -> ir.Value:
    if words(op.node, "approximate", "none") == "tanh":
        cube = op.op("Mul", op.op("Mul", op.x, op.x), op.x)
        inner = op.op("Mul", op.op("Add", op.x, op.op("Mul", cube, 0.044715)), math.sqrt(2 / math.pi))
        curve = op.op("Tanh", inner)
    else:
        curve = op.op("Erf", op.op("Mul", op.x, math.sqrt(0.5)))
    return op.op("Mul", op.op("Mul", op.x, op.op("Add", curve, 1.0)), 0.5)


def _fast_gelu(op: _Parts) -> ir.Value:
    if op.inputs[1] is not None:
        op.x = op.op("Add", op.x, op.inputs[1])
    op.node.attributes.add(ir.AttrString("approximate", "tanh" if op.node.op_type == "FastGelu" else "none"))
    return _gelu(op)


def _quick_gelu(op: _Parts) -> ir.Value:
    return op.op("Mul", op.x, op.op("Sigmoid", op.op("Mul", op.x, floating(op.node, "alpha", 1.702))))


def _swish(op: _Parts) -> ir.Value:
    alpha = floating(op.node, "alpha", 1.0)
    return op.op("Mul", op.x, op.op("Sigmoid", op.x if alpha == 1 else op.op("Mul", op.x, alpha)))


def _mish(op: _Parts) -> ir.Value:
    return op.op("Mul", op.x, op.op("Tanh", op.op("Softplus", op.x)))


def _axes(op: _Parts) -> list[int] | None:
    """Those from the attribute `axis` to the last, counted from the end."""
    axis, rank = integer(op.node, "axis", -1), len(dims_of(op.x))
    if axis >= 0 and not rank:
        return None
    return list(range(axis if axis < 0 else axis - rank, 0))


def _layer_norm(op: _Parts) -> ir.Value | None:
    axes = _axes(op)
    if axes is None or any(value.uses() for value in op.node.outputs[1:]):
        return None
    away = op.op("Sub", op.x, op.mean(op.x, axes))  # type: ignore[arg-type]
    spread = op.mean(op.op("Mul", away, away), axes)
    out = op.op("Div", away, op.op("Sqrt", op.op("Add", spread, floating(op.node, "epsilon", 1e-5))))
    out = op.op("Mul", out, op.inputs[1])
    return out if op.inputs[2] is None else op.op("Add", out, op.inputs[2])


def _rms_norm(op: _Parts) -> ir.Value | None:
    axes = _axes(op)
    if axes is None:
        return None
    spread = op.mean(op.op("Mul", op.x, op.x), axes)
    out = op.op("Div", op.x, op.op("Sqrt", op.op("Add", spread, floating(op.node, "epsilon", 1e-5))))
    return op.op("Mul", out, op.inputs[1])


def _group_norm(op: _Parts) -> ir.Value | None:
    """Each group as one channel of an InstanceNormalization; scale and bias of opset 18 are those of groups."""
    dims, groups = dims_of(op.x), integer(op.node, "num_groups", 1)
    scale, bias = constant(op.inputs[1]), constant(op.inputs[2])
    if len(dims) < 3 or min(dims[1:]) < 1 or scale is None or bias is None:
        return None
    epsilon = floating(op.node, "epsilon", 1e-5)
    grouped = op.op("Reshape", op.x, op.edit.ints("groups", 0, groups, -1))
    one, zero = (op.edit.constant("group", np.full(groups, each, op.dtype)) for each in (1, 0))
    normal = op.op("InstanceNormalization", grouped, one, zero, epsilon=epsilon)
    whole = op.op("Reshape", normal, op.edit.ints("channels", 0, *dims[1:]))
    wide = (dims[1],) + (1,) * (len(dims) - 2)
    parts = [
        op.edit.constant(name, np.repeat(array, dims[1] // len(array)).reshape(wide).astype(op.dtype))
        for name, array in (("scale", scale), ("bias", bias))
    ]
    return op.op("Add", op.op("Mul", whole, parts[0]), parts[1])


def _cast_like(op: _Parts) -> ir.Value | None:
    like = op.inputs[1]
    return None if like is None or like.dtype is None else op.op("Cast", op.x, to=like.dtype.value)


def _fused(op: _Parts) -> ir.Value | None:
    """ONNX Runtime's own convolution, whose activation is an attribute."""
    node, kind = op.node, words(op.node, "activation", "")
    if kind not in ("", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid", "Clip") or op.inputs[3] is not None:
        return None
    own = {name: attribute.value for name, attribute in node.attributes.items() if not name.startswith("activation")}
    out = op.op("Conv", *node.inputs[:3], **own)
    params = node.attributes.get("activation_params")
    numbers = [] if params is None else [float(each) for each in params.as_floats()]
    if kind == "Clip":
        return op.op("Clip", out, *numbers)
    named = dict(zip({"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta")}.get(kind, ()), numbers, strict=False))
    return out if not kind else op.op(kind, out, **named)


PARTS: Final[dict[tuple[str, str], Callable[[_Parts], ir.Value | None]]] = {
    ("", "HardSwish"): _hard_swish, ("", "Gelu"): _gelu, ("", "Mish"): _mish, ("", "Swish"): _swish,
    ("", "LayerNormalization"): _layer_norm, ("", "RMSNormalization"): _rms_norm, ("", "CastLike"): _cast_like,
    ("", "GroupNormalization"): _group_norm, ("com.microsoft", "FusedConv"): _fused,
    ("com.microsoft", "Gelu"): _fast_gelu, ("com.microsoft", "FastGelu"): _fast_gelu,
    ("com.microsoft", "BiasGelu"): _fast_gelu, ("com.microsoft", "QuickGelu"): _quick_gelu,
}  # fmt: skip
"""What operators are made of, by domain and kind; None where the sizes that it needs are not known."""
