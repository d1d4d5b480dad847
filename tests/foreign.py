"""Random small classifiers as other tools write them: any opset, layout, type, ending and way to keep weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

CLASSES = 7
Array = NDArray[Any]


@dataclass(frozen=True)
class Foreign:
    """A network, and what is known of it.

    Attributes:
        layout: of its input; dtype: of it; batch: 0 where it is open.
        size: height and width; channels: of a picture.
        ending: what it does to its logits: "", "softmax", "log", "sigmoid".
    """

    model: ModelProto
    seed: int
    opset: int
    layout: str
    dtype: str
    batch: int
    size: tuple[int, int]
    channels: int
    ending: str
    output: str

    def fed(self, pictures: NDArray[np.float32]) -> Array:
        """Pictures (N, C, H, W) as the network takes them."""
        turned = pictures if self.layout == "NCHW" else pictures.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(turned).astype(self.dtype)


@dataclass
class Writer:
    """A graph that is being written; operators are written as the opset has them."""

    dice: np.random.Generator
    opset: int
    dtype: Any = np.float32
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def name(self, base: str) -> str:
        return f"{base}_{len(self.nodes)}_{len(self.constants)}"

    def put(self, kind: str, *inputs: str, count: int = 1, **attributes: Any) -> str:
        outs = [self.name(kind.lower()) + (f"_{place}" if place else "") for place in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), outs, name=self.name("node"), **attributes))
        return outs[0]

    def ints(self, *numbers: int) -> str:
        return self.keep(np.array(numbers, np.int64))

    def floats(self, *shape: int, scale: float = 1.0) -> Array:
        return self.dice.normal(0, scale, shape).astype(self.dtype)

    def number(self, value: float) -> str:
        return self.keep(np.array(value, self.dtype))

    def keep(self, array: Array, base: str = "c") -> str:
        name = self.name(base)
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def weight(self, array: Array) -> str:
        """A weight, kept in one of the ways that exporters keep them."""
        way = int(self.dice.integers(0, 8))
        if way == 0:
            return self.put("Identity", self.keep(array))
        if way == 1:
            whole = list(range(array.ndim))[::-1]
            return self.put("Transpose", self.keep(array.transpose(whole)), perm=whole)
        if way == 2:
            return self.put("Mul", self.keep(array * np.asarray(2, array.dtype)), self.number(0.5))
        if way == 3:
            to = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
            return self.put("Cast", self.keep(array.astype(np.float64)), to=to)
        if way == 4:
            return self.put("Constant", value=numpy_helper.from_array(array, "value"))
        if way == 5 and self.opset >= 9:
            ones = self.put(
                "ConstantOfShape", self.ints(*array.shape), value=numpy_helper.from_array(np.ones(1, self.dtype))
            )
            return self.put("Mul", ones, self.keep(array))
        if way == 6:
            return self.put("Reshape", self.keep(array.reshape(-1)), self.ints(*array.shape))
        return self.keep(array)

    def axes(self, kind: str, x: str, *axes: int, since: int = 13, **attributes: Any) -> str:
        """An operator whose axes are an attribute or an input, as its opset has it."""
        if self.opset < since:
            return self.put(kind, x, axes=list(axes), **attributes)
        return self.put(kind, x, self.ints(*axes), **attributes)

    def mean(self, x: str, keep: int) -> str:
        return self.axes("ReduceMean", x, 2, 3, since=18, keepdims=keep)

    def conv(self, x: str, inside: int, outside: int, side: int = 3, **attributes: Any) -> str:
        groups = attributes.get("group", 1)
        weight = self.floats(
            outside, inside // groups, side, side, scale=(1.5 / (inside * side * side / groups)) ** 0.5
        )
        if "auto_pad" not in attributes:
            attributes["pads"] = [side // 2] * 4
        bias = [self.weight(self.floats(outside, scale=0.1))] if self.dice.random() < 0.7 else []
        return self.put("Conv", x, self.weight(weight), *bias, **attributes)

    def softmax(self, x: str, axis: int, kind: str = "Softmax") -> str:
        return self.put(kind, x, axis=axis)


def clip(g: Writer, x: str, low: float, high: float) -> str:
    if g.opset < 11:
        return g.put("Clip", x, min=float(low), max=float(high))
    return g.put("Clip", x, g.number(low), g.number(high))


def pad(g: Writer, x: str, around: list[int], value: float) -> str:
    if g.opset < 11:
        return g.put("Pad", x, pads=around, value=value)
    return g.put("Pad", x, g.ints(*around), g.number(value))


def cut(g: Writer, x: str, start: int, end: int, axis: int) -> str:
    if g.opset < 10:
        return g.put("Slice", x, starts=[start], ends=[end], axes=[axis])
    return g.put("Slice", x, g.ints(start), g.ints(end), g.ints(axis))


def halves(g: Writer, x: str, channels: int) -> tuple[str, str]:
    half = channels // 2
    if g.opset < 13:
        first = g.put("Split", x, count=2, axis=1, split=[half, half])
    else:
        first = g.put("Split", x, g.ints(half, half), count=2, axis=1)
    return first, f"{first}_1"


def enlarged(g: Writer, x: str) -> str:
    scales = np.array([1, 1, 2, 2], np.float32)
    if g.opset < 9:
        return g.put("Upsample", x, scales=scales.tolist(), mode="nearest")
    if g.opset == 9:
        return g.put("Upsample", x, g.keep(scales), mode="nearest")
    if g.opset == 10:
        return g.put("Resize", x, g.keep(scales), mode=str(g.dice.choice(["nearest", "linear"])))
    return g.put("Resize", x, g.keep(np.zeros(0, np.float32)), g.keep(scales), mode="linear")


def normal(g: Writer, x: str, channels: int) -> str:
    numbers = [g.weight(g.floats(channels, scale=0.2) + np.asarray(place in (0, 3), g.dtype)) for place in range(3)]
    variance = g.weight(np.abs(g.floats(channels)) + np.asarray(0.5, g.dtype))
    return g.put("BatchNormalization", x, *numbers, variance, epsilon=1e-3)


def shuffled(g: Writer, x: str, channels: int, size: tuple[int, int], batch: int) -> str:
    first = batch or -1
    apart = g.put("Reshape", x, g.ints(first, 2, channels // 2, *size))
    turned = g.put("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return g.put("Reshape", turned, g.ints(first, channels, *size))


def excited(g: Writer, x: str, channels: int) -> str:
    pooled = g.put("GlobalAveragePool", x) if g.dice.random() < 0.5 else g.mean(x, 1)
    gate = g.put("Relu", g.conv(pooled, channels, 4, 1))
    return g.put("Mul", x, g.put("Sigmoid", g.conv(gate, 4, channels, 1)))


def called_twice(g: Writer, x: str, channels: int) -> str:
    weight = g.weight(g.floats(channels, channels, 3, 3, scale=(1 / channels / 9) ** 0.5))
    for _ in range(2):
        x = g.put("Relu", g.put("Conv", x, weight, pads=[1] * 4))
    return x


def attended(g: Writer, x: str, channels: int, size: tuple[int, int], batch: int) -> str:
    first = batch or -1
    flat = g.put("Reshape", x, g.ints(first, channels, size[0] * size[1]))
    turned = g.put("Transpose", flat, perm=[0, 2, 1])
    scores = g.put("Mul", g.put("MatMul", flat, turned), g.number(1 / (size[0] * size[1])))
    likely = g.softmax(scores, 2)
    back = g.put("Reshape", g.put("MatMul", likely, flat), g.ints(first, channels, *size))
    return g.put("Add", back, x)


def activated(g: Writer, x: str, channels: int) -> str:
    kinds: dict[str, Any] = {
        "relu": lambda: g.put("Relu", x),
        "relu6": lambda: clip(g, x, 0, 6),
        "leaky": lambda: g.put("LeakyRelu", x, alpha=0.1),
        "prelu": lambda: g.put("PRelu", x, g.weight(np.abs(g.floats(channels, 1, 1)))),
        "elu": lambda: g.put("Elu", x),
        "swish": lambda: g.put("Mul", x, g.put("Sigmoid", x)),
        "hard": lambda: g.put("Mul", x, g.put("HardSigmoid", x, alpha=1 / 6, beta=0.5)),
    }
    if g.opset >= 14:
        kinds["hardswish"] = lambda: g.put("HardSwish", x)
    if g.opset >= 18:
        kinds["mish"] = lambda: g.put("Mish", x)
    if g.opset >= 20:
        kinds["gelu"] = lambda: g.put("Gelu", x)
    return str(kinds[str(g.dice.choice(sorted(kinds)))]())


def block(g: Writer, x: str, channels: int, size: tuple[int, int], batch: int) -> str:
    """One block that leaves channels and size as they are."""
    kinds: dict[str, Any] = {
        "conv": lambda: activated(g, g.conv(x, channels, channels), channels),
        "grouped": lambda: g.conv(x, channels, channels, group=int(g.dice.choice([2, channels]))),
        "same": lambda: g.conv(x, channels, channels, auto_pad="SAME_UPPER"),
        "normal": lambda: normal(g, x, channels),
        "residual": lambda: g.put("Add", x, g.put("Relu", g.conv(x, channels, channels))),
        "concat": lambda: g.conv(g.put("Concat", x, g.put("Relu", x), axis=1), 2 * channels, channels, 1),
        "halves": lambda: g.put("Concat", *reversed(halves(g, x, channels)), axis=1),
        "cut": lambda: g.conv(cut(g, x, 1, channels, 1), channels - 1, channels, 1),
        "pool": lambda: g.put("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4),
        "average": lambda: g.put("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
        "pad": lambda: g.put("MaxPool", pad(g, x, [0, 0, 1, 1, 0, 0, 1, 1], -np.inf), kernel_shape=[3, 3]),
        "large": lambda: g.put("AveragePool", enlarged(g, x), kernel_shape=[2, 2], strides=[2, 2]),
        "shuffled": lambda: shuffled(g, x, channels, size, batch),
        "excited": lambda: excited(g, x, channels),
        "twice": lambda: called_twice(g, x, channels),
        "attended": lambda: attended(g, x, channels, size, batch),
        "idle": lambda: g.put("Dropout", g.put("Identity", x)),
        "lrn": lambda: g.put("LRN", x, size=3),
        "instance": lambda: g.put(
            "InstanceNormalization", x, g.weight(g.floats(channels)), g.weight(g.floats(channels))
        ),
        "one": lambda: g.axes("Squeeze", g.axes("Unsqueeze", x, 4), 4),
    }
    if g.opset >= 17:
        kinds["layer"] = lambda: g.put("LayerNormalization", x, g.weight(g.floats(size[1])), axis=-1)
    if g.opset >= 18:
        of_groups = 2 if g.opset < 21 else channels
        kinds["group"] = lambda: g.put(
            "GroupNormalization", x, g.weight(g.floats(of_groups)), g.weight(g.floats(of_groups)), num_groups=2
        )
    return str(kinds[str(g.dice.choice(sorted(kinds)))]())


def head(g: Writer, x: str, channels: int, batch: int, classes: int) -> tuple[str, tuple[int, ...]]:
    """Logits in one of the shapes that they come in, and the shape without the batch."""
    way = int(g.dice.integers(0, 5))
    if way == 0:
        raw = g.put("GlobalAveragePool", g.conv(x, channels, classes, 1))
        return raw, (classes, 1, 1)
    pooled = g.put("GlobalAveragePool", x) if way == 1 else g.mean(x, 1)
    if way == 2:
        flat = g.put("Reshape", pooled, g.ints(batch or -1, channels))
    elif way == 3:
        flat = g.axes("Squeeze", pooled, 2, 3)
    else:
        flat = g.put("Flatten", pooled)
    weight = g.floats(classes, channels, scale=2 / channels**0.5)
    if g.dice.random() < 0.5:
        logits = g.put("Gemm", flat, g.weight(weight), g.weight(g.floats(classes)), transB=1)
    else:
        logits = g.put("Add", g.put("MatMul", flat, g.weight(weight.T.copy())), g.weight(g.floats(classes)))
    shapes = {0: (classes,), 1: (classes, 1, 1), 2: (1, classes), 3: (1, 1, classes)}
    shape = shapes[int(g.dice.choice([0, 0, 0, 1, 2, 3]))]
    return (logits if shape == (classes,) else g.put("Reshape", logits, g.ints(batch or -1, *shape))), shape


def ended(g: Writer, x: str, shape: tuple[int, ...], way: str) -> str:
    axis = shape.index(max(shape)) + 1
    if way == "softmax":
        made = g.softmax(x, axis)
    elif way == "written":
        power = g.put("Exp", g.put("Sub", x, g.axes("ReduceMax", x, axis, since=18, keepdims=1)))
        made = g.put("Div", power, g.axes("ReduceSum", power, axis, keepdims=1))
    elif way == "log":
        made = g.softmax(x, axis, "LogSoftmax")
    elif way == "sigmoid":
        made = g.put("Sigmoid", x)
    else:
        return x
    return g.put("Identity", made) if g.dice.random() < 0.3 else made


def foreign(seed: int) -> Foreign:
    """The network of a seed."""
    dice = np.random.Generator(np.random.PCG64(seed))
    opset, half = int(dice.integers(7, 22)), bool(dice.random() < 0.12)
    g = Writer(dice, opset, np.float16 if half else np.float32)
    batch, channels = int(dice.choice([0, 1, 1, 3, 8])), int(dice.choice([3, 3, 3, 1]))
    size = (int(dice.choice([12, 16, 20])), int(dice.choice([12, 16])))
    layout = str(dice.choice(["NCHW", "NCHW", "NHWC"]))
    dtype = "float16" if half else str(dice.choice(["float32", "float32", "float32", "uint8"]))
    entry = str(dice.choice(["input", "image", "x", "logits", "edgekit_scale"]))
    x = entry
    if dtype == "uint8":
        x = g.put("Div", g.put("Cast", x, to=TensorProto.FLOAT), g.number(255.0))
    if layout == "NHWC":
        if dice.random() < 0.5:
            x = g.put("Sub", x, g.keep(g.floats(channels, scale=0.2)))
        x = g.put("Transpose", x, perm=[0, 3, 1, 2])
    x, width, inner = activated(g, g.conv(x, channels, 8), 8), 8, (size[0], size[1])
    if dice.random() < 0.5:
        x, inner = g.put("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), (size[0] // 2, size[1] // 2)
    for _ in range(int(dice.integers(1, 5))):
        x = block(g, x, width, inner, batch)
    way = str(dice.choice(["", "", "softmax", "written", "log", "sigmoid"]))
    classes = 1 if way == "sigmoid" and dice.random() < 0.5 else CLASSES
    logits, shape = head(g, x, width, batch, classes)
    last = ended(g, logits, shape, way)
    name = str(dice.choice(["output", "probs", "image_out", "edgekit_cast", last]))
    if name != last:
        g.nodes.append(helper.make_node("Identity", [last], [name], name="last"))
    if dice.random() < 0.2:
        dice.shuffle(g.nodes)  # type: ignore[arg-type]  # a list is shuffled in place
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    first: int | str = batch or "n"
    dims = [first, channels, *size] if layout == "NCHW" else [first, *size, channels]
    answer = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info(entry, kind, dims)]
    old = opset < 9 and dice.random() < 0.5  # before version 4 of the format, each constant was an input too
    if old:
        inputs += [helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in g.constants]
    graph = helper.make_graph(
        g.nodes,
        "foreign",
        inputs,
        [helper.make_tensor_value_info(name, answer, [first, *shape])],
        g.constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if old else 8 if opset < 20 else 10
    )
    ending = {"written": "softmax"}.get(way, way)
    return Foreign(model, seed, opset, layout, dtype, batch, size, channels, ending, name)
