"""What a network's graph does to its logits at the end: a softmax or a sigmoid is taken out and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.answer import Answer
from edgekit.models.edit import Edit, integer, integers
from edgekit.models.onnx_graph import dims_of, drop_unused, infer_shapes
from edgekit.models.outputs import FileOutput, numbers_of

LOGITS: Final = "logits"
TWO_CLASSES: Final = "edgekit_two_classes"
"""The node that makes two logits, 0 and z, of the one of a binary classifier."""
SHAPED: Final = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Transpose", "Expand", "Cast"}
"""Operators that leave a vector of numbers as it is."""
SMALLEST: Final = 1e-30


@dataclass(frozen=True)
class Ending:
    """What was found at the end of a graph.

    Attributes:
        activation: "softmax", "sigmoid" or "none", of the logits that the graph now ends in.
        found: whether it stood in the file.
    """

    activation: str
    found: bool


def end_in_logits(model: ir.Model, output: FileOutput, answer: Answer) -> Ending:
    """Makes (1, C) logits under the name `logits` the one output of a graph, in place.

    Raises:
        InputError: the output is no vector, a single number without a sigmoid, or ends otherwise than told.
    """
    value, count = output.value, numbers_of(output.value)
    if count is None:
        raise InputError(_what(output), _hint(output.value))
    edit, ending, node = Edit(model), Ending("none", False), None
    if answer.task != "embed" and answer.activation != "none":
        node, logits, kind = _activation(value)
        if node is not None and kind == "softmax" and count == 1:
            raise InputError(f"{output} is the softmax of one number, always 1", "Name another output with --output.")
        if node is not None and answer.activation not in (None, kind):
            told = f"the network ends in {node.op_type}, not in a {answer.activation}"
            raise InputError(told, f"Leave --activation out, or say {kind} or none.")
        value = value if logits is None else logits
        ending = Ending(kind if node is not None else answer.activation or "none", node is not None)
    value = _row(edit, value, count)
    if answer.task == "classify" and count == 1:
        if ending.activation != "sigmoid":
            raise InputError(
                f"{output} is one number an image",
                "Say --activation sigmoid if it tells two classes apart, or --task embed.",
            )
        zero = edit.constant("edgekit_zero", np.zeros((1, 1), np.float32))
        value = edit.at_end("Concat", [zero, value], axis=1)
        _made(value).name = TWO_CLASSES
        ending = Ending("softmax", ending.found)
    _give(edit, value)
    return ending


def _give(edit: Edit, value: ir.Value) -> None:
    """Makes a tensor the one output, called `logits`."""
    graph = edit.graph
    graph.outputs.clear()
    if value.is_graph_input() or value.is_initializer():
        raise InputError("the answers do not depend on a layer of the network", "Name another output with --output.")
    for other in list(edit.model.graph.all_nodes()):
        for each in other.outputs:
            if each.name == LOGITS and each is not value:
                each.name = edit.name(f"{LOGITS}_of_file")
    value.name, value.type = LOGITS, ir.TensorType(ir.DataType.FLOAT)
    graph.outputs.append(value)
    drop_unused(edit.model)
    infer_shapes(edit.model)


def _made(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None, value
    return node


def _what(output: FileOutput) -> str:
    if output.value.dtype not in (ir.DataType.FLOAT, None):
        return f"the output {output} is {output.value.dtype.name.lower()}: no scores of classes"
    return f"the output {output} is no vector: edgekit takes one number for each class"


def _hint(value: ir.Value) -> str:
    if value.dtype in (ir.DataType.INT64, ir.DataType.INT32):
        return "Export the network without the ArgMax at its end."
    return "Export the classifier alone, or name another output with --output."


def _row(edit: Edit, value: ir.Value, count: int) -> ir.Value:
    """The tensor as (1, C): shapes that were only written at the end are left out."""
    while len(dims_of(value)) != 2 and (node := value.producer()) is not None and node.op_type in SHAPED:
        source = node.inputs[0]
        if node.op_type == "Cast" or source is None or numbers_of(source) != count:
            break
        value = source
    if dims_of(value) == (1, count):
        return value
    if len(dims_of(value)) > 2 and dims_of(value)[0] == 1:
        return edit.at_end("Flatten", [value], axis=1)
    return edit.at_end("Reshape", [value, edit.ints("row", 1, count)])


def _activation(value: ir.Value) -> tuple[ir.Node | None, ir.Value | None, str]:
    """The activation that a vector was made by, what it was made of, and its kind; None where there is no such."""
    count = numbers_of(value)
    node = value.producer()
    while node is not None and node.op_type in SHAPED and node.inputs[0] is not None:
        if numbers_of(node.inputs[0]) != count:  # a Cast of other types, or a row of something larger
            return None, None, "none"
        node = node.inputs[0].producer()
    if node is None or node.domain != "":
        return None, None, "none"
    if node.op_type == "Log" and node.inputs[0] is not None:  # the logarithm of a softmax is as good as its logits
        inner, logits, kind = _activation(node.inputs[0])
        return (inner, logits, kind) if kind == "softmax" else (None, None, "none")
    if node.op_type == "Sigmoid":
        return node, node.inputs[0], "sigmoid"
    if node.op_type in ("Softmax", "LogSoftmax") and _over_classes(node.outputs[0], [integer(node, "axis", -1)]):
        return node, node.inputs[0], "softmax"
    if node.op_type == "Div":
        return _written_out(node)
    return None, None, "none"


def _over_classes(value: ir.Value, axes: list[int] | None) -> bool:
    """Whether axes of a vector include the one along which its numbers lie."""
    dims = dims_of(value)
    if axes is None:
        return True
    return all(dim == 1 for place, dim in enumerate(dims) if place not in {axis % len(dims) for axis in axes})


def _written_out(node: ir.Node) -> tuple[ir.Node | None, ir.Value | None, str]:
    """A softmax as exp(x) / sum(exp(x)), or with x less its largest number in the place of x."""
    top, below = node.inputs[0], node.inputs[1]
    power = top.producer() if top is not None else None
    total = below.producer() if below is not None else None
    if power is not None and power.op_type == "Exp" and total is not None and total.op_type == "ReduceSum":
        if total.inputs[0] is not top or not _over_classes(node.outputs[0], integers(total, "axes", 1)):
            return None, None, "none"
        logits = power.inputs[0]
        less = logits.producer() if logits is not None else None
        if less is not None and less.op_type == "Sub" and _is_largest(less):
            logits = less.inputs[0]
        return node, logits, "softmax"
    return None, None, "none"


def _is_largest(less: ir.Node) -> bool:
    """Whether a Sub takes the largest number of what it reads away from it."""
    largest = less.inputs[1].producer() if less.inputs[1] is not None else None
    return largest is not None and largest.op_type == "ReduceMax" and largest.inputs[0] is less.inputs[0]


def with_logits(model: ir.Model, activation: str) -> ir.Model:
    """The same canonical graph where what it calls logits are probabilities: their logits in their place.

    Args:
        activation: "softmax": log(p), no smaller than log(1e-30); "sigmoid": log(p / (1 - p)) with p kept off 0 and 1.
            Of two classes that were made of one number, that number is the probability.
    Raises:
        InputError: the activation is another.
    """
    if activation not in ("softmax", "sigmoid"):
        raise InputError(f"there are no logits of {activation!r}", "Say softmax or sigmoid.")
    made = model.clone()
    edit, value = Edit(made), made.graph.outputs[0]
    last = _made(value)
    if last.name == TWO_CLASSES and last.inputs[1] is not None:
        last.replace_input_with(1, _inverse(edit, last, last.inputs[1], "sigmoid"))
        infer_shapes(made)
        return made
    value.name = edit.name("probabilities")
    made.graph.outputs.clear()
    marker = edit.at_end("Identity", [value])
    logits = _inverse(edit, _made(marker), value, activation)
    edit.replace(_made(marker), logits)
    _give(edit, logits)
    return made


def _inverse(edit: Edit, node: ir.Node, p: ir.Value, activation: str) -> ir.Value:
    """The logits of probabilities, put in front of a node."""
    if activation == "softmax":
        low = edit.constant("smallest", np.array(SMALLEST, np.float32))
        return edit.before(node, "Log", [edit.before(node, "Max", [p, low])])
    low, high = (edit.constant("bound", np.array(each, np.float32)) for each in (1e-7, 1 - 1e-7))
    kept = edit.before(node, "Clip", [p, low, high])
    rest = edit.before(node, "Sub", [edit.constant("one", np.array(1, np.float32)), kept])
    return edit.before(node, "Log", [edit.before(node, "Div", [kept, rest])])
