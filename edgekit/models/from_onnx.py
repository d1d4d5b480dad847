"""A torch network from an ONNX graph, so that a classifier that came as a file can be trained and pruned.

It is a torch.fx graph, built here node by node. No text of the file becomes code: names in it are plain words.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable
from typing import Any, Final

import onnx_ir as ir
import torch
import torch.nn.functional as F
from numpy import float32, int64
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from torch import fx, nn

from edgekit.errors import InputError
from edgekit.models.onnx_agreement import check_agreement
from edgekit.models.onnx_graph import (
    OLDEST_OPSET,
    array_of,
    dims_of,
    image_input,
    layout_of,
    name_of,
    opset_of,
    sides_of,
    with_fixed_input,
)
from edgekit.size import Size

FOLDED: Final = frozenset(["Constant", "Identity", "Cast", "Transpose", "Reshape", "Squeeze", "Unsqueeze"])
"""Operators that are computed at once where all they take is constant."""


def to_torch(model: ir.Model, size: Size | None = None, checked: bool = False) -> nn.Module:
    """The network of a float32 classifier, in evaluation mode; it takes (N, 3, H, W), also where the graph takes NHWC.

    Its attribute `constant_names` has the name of the ONNX constant that the weight of each Conv2d or Linear came from.

    Args:
        size: of the images, where the graph leaves it open.
        checked: whether its answers are compared with those of ONNX Runtime for the graph.
    Raises:
        InputError: something in the graph is not known here, or is another thing in torch; the operator and the node
            are named.
    """
    if opset_of(model) < OLDEST_OPSET:
        raise _refused(f"its opset is older than {OLDEST_OPSET}")
    own = sides_of(image_input(model))
    size = own if min(own) >= 1 else size
    if size is None:
        raise _refused("the size of its input is open")
    fixed = with_fixed_input(model, size)
    made = _Made(fixed)
    for node in fixed.graph:
        made.add(node)
    outputs, network = fixed.graph.outputs, made.network
    if len(outputs) != 1 or outputs[0] not in made.tensors:
        raise _refused("it does not have one output that depends on the image")
    network.graph.output(made.tensors[outputs[0]])
    network.graph.eliminate_dead_code()
    network.recompile()
    network.constant_names = made.weights  # type: ignore[assignment]
    # Of attributes like this one, fx copies only these with the network.
    network.meta["_user_preserved_attributes"] = {"constant_names": made.weights}
    network.eval()
    if checked:
        check_agreement(fixed, network, {value: node for value, node in made.tensors.items() if value is not None})
    return network


def _refused(why: str) -> InputError:
    return InputError(f"the ONNX graph cannot be turned into a torch network: {why}", "Build it with --prune none.")


def _short(value: float) -> float:
    """A float32 as the short decimal that it was meant to be."""
    return float(str(float32(value)))


class _Made:
    """The network as far as it is made, what the tensors of the ONNX graph are in it, and the node at hand."""

    def __init__(self, model: ir.Model) -> None:
        image = image_input(model)
        self.network = fx.GraphModule(nn.Module(), fx.Graph())
        self.tensors: dict[ir.Value | None, fx.Node] = {image: self.network.graph.placeholder("image")}
        self.turned = image if layout_of(image) == "NHWC" else None
        constants = list(model.graph.initializers.values())
        self.constants: dict[ir.Value | None, NDArray[Any]] = {value: array_of(value) for value in constants}
        self.origins: dict[ir.Value | None, str] = {value: name_of(value) for value in constants}
        self.weights, self.taken = dict[str, str](), set[str]()
        self.reserved = {*dir(self.network), "constant_names"}

    def add(self, node: ir.Node) -> None:
        """Adds a node to the network, or what it computes to the constants."""
        self.node, self.inputs = node, [*node.inputs, *[None] * 6]
        self.name = node.name or "".join(name_of(value) for value in node.outputs[:1])
        self.kind = node.op_type if node.domain == "" else f"{node.domain}.{node.op_type}"
        try:
            if self.kind in FOLDED and all(value in self.constants for value in node.inputs):
                out, given = node.outputs[0], {name_of(each): self.constants[each] for each in node.inputs if each}
                self.constants[out] = ReferenceEvaluator(ir.to_proto(node)).run(None, given)[0]
                self.origins[out] = self.origins.get(self.inputs[0], name_of(out))
                return
            self.need(self.kind in OPERATORS)
            turned = self.turned is not None and self.turned in node.inputs
            self.need(not turned or self.kind == "Transpose", "it takes an NHWC image")
            self.tensors[node.outputs[0]] = OPERATORS[self.kind](self)
        except (ValueError, RuntimeError) as error:  # sizes that contradict each other
            self.need(False, str(error)[:120])

    def need(self, holds: bool, why: str = "") -> None:
        """Refuses the node unless something holds."""
        if not holds:
            raise _refused(f"operator {self.kind} (node {self.name})" + (f": {why}" if why else ""))

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        value = self.node.attributes[name].value if name in self.node.attributes else default
        return _short(value) if isinstance(value, float) else value

    def readers(self) -> set[str]:
        """Operators that take the node's output."""
        return {each.node.op_type for each in self.node.outputs[0].uses()}

    def shape(self, value: ir.Value | None) -> tuple[int, ...]:
        shape = dims_of(value)
        self.need(min(shape, default=0) > 0, "a shape is not constant")
        return shape

    def x(self, rank: int | None = None) -> fx.Node:
        """The first input, which depends on the image."""
        self.need(self.inputs[0] in self.tensors, "it takes a constant, or the second output of a node")
        self.need(rank in (None, len(self.shape(self.inputs[0]))), f"its input does not have {rank} dimensions")
        return self.tensors[self.inputs[0]]

    def constant(self, place: int, rank: int | None = None, kind: type = float32) -> NDArray[Any]:
        self.need(self.inputs[place] in self.constants, f"its input {place} is not constant")
        value: NDArray[Any] = self.constants[self.inputs[place]]
        self.need(value.dtype == kind, f"its input {place} is {value.dtype}, not {kind.__name__}")
        self.need(rank in (None, value.ndim), f"its input {place} does not have {rank} dimensions")
        return value

    def number(self, place: int, default: float | None = None) -> Any:
        return _short(self.constant(place).item()) if self.inputs[place] is not None else default

    def operand(self, place: int) -> fx.Node | float:
        """A tensor, a number, or a parameter with as many dimensions as what it meets."""
        if self.inputs[place] in self.tensors:
            return self.tensors[self.inputs[place]]
        value, rank = self.constant(place), len(self.shape(self.inputs[1 - place]))
        if value.size == 1 and value.ndim <= rank:
            return _short(value.item())
        path = self.path("", self.origins[self.inputs[place]])
        held = torch.tensor(value).reshape((1,) * (rank - value.ndim) + value.shape)
        self.network.register_parameter(path, nn.Parameter(held))
        return self.network.graph.get_attr(path)

    def call(self, function: Callable[..., Any], *args: Any) -> fx.Node:
        return self.network.graph.call_function(function, args)

    def layer(self, module: nn.Module, x: fx.Node, **state: NDArray[Any] | None) -> fx.Node:
        """A module with its weights."""
        held = {name: torch.tensor(value) for name, value in state.items() if value is not None}
        module.load_state_dict(held, strict=False, assign=True)
        origin = self.origins[self.inputs[1]] if state else ""
        path = self.path(origin, self.name)
        if isinstance(module, nn.Conv2d | nn.Linear):
            self.need(origin not in self.weights.values(), "another layer has the same weights")
            self.weights[path] = origin
        self.network.add_submodule(path, module)
        return self.network.graph.call_module(path, (x,))

    def path(self, constant: str, otherwise: str) -> str:
        """PATH where a constant is called PATH.weight and nothing is there; else a name made of another text."""
        layer, _, part = constant.rpartition(".")
        plain = re.sub(r"[^A-Za-z0-9]+", "_", otherwise).strip("_")
        plain = plain if plain[:1].isalpha() else f"layer_{plain}"
        path = layer if part == "weight" and self.free(layer) else plain
        while not self.free(path):
            path += f"_{len(self.taken)}"
        self.taken.add(path)
        return path

    def free(self, path: str) -> bool:
        """Whether a layer can be there: plain words, and no layer at, above or below it."""
        parts = path.split(".")
        plain = all(re.fullmatch("[A-Za-z0-9_]+", part) and not keyword.iskeyword(part) for part in parts)
        clash = any(f"{path}.".startswith(f"{other}.") or other.startswith(f"{path}.") for other in self.taken)
        return plain and not clash and not self.reserved & set(parts)

    def window(self, kernel: tuple[int, ...]) -> tuple[Any, ...]:
        """Strides, dilations, and the zeros before and after, each for height and width."""
        strides, dilations = self.get("strides", (1, 1)), self.get("dilations", (1, 1))
        mode, pads = self.get("auto_pad", "NOTSET"), self.get("pads", (0, 0, 0, 0))
        if mode in ("NOTSET", "VALID"):
            return strides, dilations, pads[:2], pads[2:]
        sizes = zip(self.shape(self.inputs[0])[2:], kernel, strides, dilations, strict=True)
        sums = [max((math.ceil(n / s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in sizes]
        less, more = tuple(n // 2 for n in sums), tuple(n - n // 2 for n in sums)
        return strides, dilations, *((less, more) if mode == "SAME_UPPER" else (more, less))


def _conv(op: _Made) -> fx.Node:
    x, weight, group = op.x(rank=4), op.constant(1, rank=4), op.get("group", 1)
    strides, dilations, begin, end = op.window(weight.shape[2:])
    if begin != end:
        x, begin = op.call(F.pad, x, (begin[1], end[1], begin[0], end[0])), (0, 0)
    bias = op.constant(2) if op.inputs[2] is not None else None
    shape = (weight.shape[1] * group, weight.shape[0], weight.shape[2:], strides, begin, dilations, group)
    return op.layer(nn.Conv2d(*shape, bias=bias is not None, device="meta"), x, weight=weight, bias=bias)


def _linear(op: _Made) -> fx.Node:
    op.need((op.get("alpha", 1.0), op.get("beta", 1.0), op.get("transA", 0)) == (1.0, 1.0, 0), "it is scaled or turned")
    weight = op.constant(1, rank=2) if op.get("transB", 0) else op.constant(1, rank=2).T
    bias = torch.tensor(op.constant(2)).expand(1, len(weight))[0].numpy() if op.inputs[2] is not None else None
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    return op.layer(linear, op.x(rank=2), weight=weight, bias=bias)


def _batch_norm(op: _Made) -> fx.Node:
    op.need(op.get("training_mode", 0) == 0, "it is in training mode")
    x, weight = op.x(rank=4), op.constant(1)
    norm = nn.BatchNorm2d(len(weight), op.get("epsilon", 1e-5), round(1 - op.get("momentum", 0.9), 6))
    bias, mean, variance = (op.constant(place) for place in (2, 3, 4))
    return op.layer(norm, x, weight=weight, bias=bias, running_mean=mean, running_var=variance)


def _pool(op: _Made) -> fx.Node:
    """A window that ends in padding is the same as one cut off at the border: exact where as many windows come out."""
    x, shape, kernel, average = op.x(rank=4), op.shape(op.inputs[0]), op.get("kernel_shape"), op.kind == "AveragePool"
    strides, dilations, begin, end = op.window(kernel)
    counted, up = bool(op.get("count_include_pad", 0)), bool(op.get("ceil_mode", 0))
    op.need((begin == end or not counted) and (dilations == (1, 1) or not average), "its window has no equal in torch")
    pool: Any = F.avg_pool2d if average else torch.max_pool2d
    for ceil in (up,) if begin == end else (up, not up):
        rest = (kernel, strides, begin, ceil, counted) if average else (kernel, strides, begin, dilations, ceil)
        if tuple(pool(torch.empty(shape, device="meta"), *rest).shape) == op.shape(op.node.outputs[0]):
            return op.call(pool, x, *rest)
    raise ValueError("its window has no equal in torch")


def _pool_all(op: _Made) -> fx.Node:
    """GlobalAveragePool and GlobalMaxPool, and ReduceMean and ReduceMax over height and width."""
    axes = op.constant(1, kind=int64).tolist() if op.inputs[1] is not None else op.get("axes", ())
    op.need(op.kind.startswith("Global") or {axis % 4 for axis in axes} == {2, 3}, "it is not over height and width")
    pooled = op.call(F.adaptive_max_pool2d if "Max" in op.kind else F.adaptive_avg_pool2d, op.x(rank=4), 1)
    return pooled if op.get("keepdims", 1) else op.call(torch.squeeze, pooled, (2, 3))


def _flatten(op: _Made) -> fx.Node:
    """Flatten, Reshape and Squeeze; one pixel is squeezed, whatever the number of channels."""
    before, after = op.shape(op.inputs[0]), op.shape(op.node.outputs[0])
    if op.kind == "Squeeze" and len(before) > 2 and after == before[:-1]:
        return op.call(torch.squeeze, op.x(), -1)
    if before[2:] == (1, 1) and len(after) > 2 and op.readers() <= {"Reshape", "Flatten"}:
        return op.x()  # one pixel that is turned to NHWC: what flattens it does not see the difference
    op.need(after == (1, math.prod(before[1:])), "it does not flatten to (N, C)")
    return op.call(torch.squeeze, op.x(), (2, 3)) if before[2:] == (1, 1) else op.call(torch.flatten, op.x(), 1)


def _binary(op: _Made, function: Callable[..., Any]) -> fx.Node:
    op.need(any(value in op.tensors for value in op.inputs), "it takes constants alone")
    left, right = op.operand(0), op.operand(1)
    if isinstance(left, float):
        op.need(function is not torch.div, "it divides a constant")
        left, right = (op.call(torch.neg, right), left) if function is torch.sub else (right, left)
        function = torch.add if function is torch.sub else function
    return op.call(function, left, right)


def _concat(op: _Made) -> fx.Node:
    op.need(op.get("axis") % len(op.shape(op.inputs[0])) == 1, "it is not along the channels")
    first = op.constants.get(op.inputs[0])
    if first is not None and first.shape == (1, 1) and not first.any() and len(op.node.inputs) == 2:
        return op.call(F.pad, op.tensors[op.inputs[1]], (1, 0))  # the two logits of a binary classifier
    op.need(all(value in op.tensors for value in op.node.inputs), "it takes a constant")
    return op.call(torch.cat, [op.tensors[value] for value in op.node.inputs], 1)


def _pad(op: _Made) -> fx.Node:
    pads, plain = op.constant(1, kind=int64).tolist(), op.get("mode", "constant") == "constant" and op.inputs[3] is None
    around = len(pads) == 8 and not any(pads[:2] + pads[4:6]) and min(pads) >= 0
    op.need(plain and around and op.number(2, 0.0) == 0, "it does not put zeros around the image")
    return op.call(F.pad, op.x(rank=4), (pads[3], pads[7], pads[2], pads[6]))


def _clip(op: _Made) -> fx.Node:
    ends = op.number(1), op.number(2)
    op.need(ends != (None, None), "it has no ends")
    return op.call(F.relu6, op.x()) if ends == (0, 6) else op.call(torch.clamp, op.x(), *ends)


def _hard_sigmoid(op: _Made) -> fx.Node:
    slope, shift = op.get("alpha", 0.2), op.get("beta", 0.5)
    if abs(slope - 1 / 6) < 1e-7 and shift == 0.5:
        return op.call(F.hardsigmoid, op.x())
    return op.call(torch.clamp, op.call(torch.add, op.call(torch.mul, op.x(), slope), shift), 0.0, 1.0)


def _same(op: _Made) -> fx.Node:
    """Identity, Cast of float to float, and the Transpose of an NHWC image, in whose place the network takes NCHW."""
    op.need(op.kind != "Cast" or op.get("to") == ir.DataType.FLOAT, "it is not to float32")
    turns = op.inputs[0] is op.turned and op.get("perm") == (0, 3, 1, 2)
    op.need(op.kind != "Transpose" or turns, "it does not turn an NHWC image into NCHW")
    return op.x()


OPERATORS: Final[dict[str, Callable[[_Made], fx.Node]]] = {
    "Conv": _conv, "Gemm": _linear, "MatMul": _linear, "BatchNormalization": _batch_norm,
    "MaxPool": _pool, "AveragePool": _pool, "GlobalAveragePool": _pool_all, "GlobalMaxPool": _pool_all,
    "ReduceMean": _pool_all, "ReduceMax": _pool_all, "Flatten": _flatten, "Reshape": _flatten, "Squeeze": _flatten,
    "Add": lambda op: _binary(op, torch.add), "Sub": lambda op: _binary(op, torch.sub),
    "Mul": lambda op: _binary(op, torch.mul), "Div": lambda op: _binary(op, torch.div),
    "Concat": _concat, "Pad": _pad, "Identity": _same, "Cast": _same, "Transpose": _same,
    "Clip": _clip, "HardSigmoid": _hard_sigmoid, "Dropout": lambda op: op.layer(nn.Dropout(op.number(1, 0.5)), op.x()),
    "Relu": lambda op: op.call(torch.relu, op.x()), "Sigmoid": lambda op: op.call(torch.sigmoid, op.x()),
    "Tanh": lambda op: op.call(torch.tanh, op.x()), "HardSwish": lambda op: op.call(F.hardswish, op.x()),
    "LeakyRelu": lambda op: op.call(F.leaky_relu, op.x(), op.get("alpha", 0.01)),
    "Elu": lambda op: op.call(F.elu, op.x(), op.get("alpha", 1.0)),
    "Softmax": lambda op: op.call(torch.softmax, op.x(), op.get("axis", -1)),
}  # fmt: skip
