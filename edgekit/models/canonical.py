"""One form for networks from outside, so that every later step sees the same: see `canonical`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnx.inliner
import onnx_ir as ir
from onnx_ir.passes import common

from edgekit.errors import EdgekitError, InputError
from edgekit.models.activation import LOGITS, Ending, end_in_logits
from edgekit.models.answer import Answer
from edgekit.models.batch import same_as_file, take_one
from edgekit.models.bounds import refuse_endless, refuse_huge
from edgekit.models.ceil_pools import round_down
from edgekit.models.constants import check_finite, fold, give_each_layer_its_own, lift
from edgekit.models.decompose import taken_apart
from edgekit.models.edit import Edit, all_values, called
from edgekit.models.float_types import to_float32
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.graph_input import INPUT, FileInput, join_turns, look_at_input, set_input
from edgekit.models.onnx_file import read_proto
from edgekit.models.onnx_graph import (
    PIXELS,
    dims_of,
    drop_unused,
    facts,
    forget_shapes,
    infer_shapes,
    name_of,
    to_proto,
)
from edgekit.models.opset import lower
from edgekit.models.outputs import FileOutput, choose, numbers_of, unused
from edgekit.models.run_graph import plain, run_graph
from edgekit.models.upgrade import TARGET, upgrade

OWN: Final = re.compile(rf"edgekit_.*|{PIXELS}|{INPUT}|{LOGITS}")
"""Names that edgekit gives itself."""
QUANTIZED: Final = re.compile(r"(DynamicQ|Deq|FakeQ|Q(?!uick)).*|.*(Integer|NBits|Bnb4|FpQ4).*")
"""Operators of networks that are quantized already; QuickGelu is none."""
NO_NUMBERS: Final = re.compile(r".*(Sequence|String).*|Optional.*|TfIdfVectorizer|RegexFullMatch|ZipMap")
"""Operators of sequences, optional values, text and tables."""
LEAST_IR_VERSION: Final = 8
"""Of what is written: before version 4 every constant had to be an input too, and files of that time have it so."""
TAKEN_APART: Final = {("", "GroupNormalization")}
"""Operators that are taken apart always: shapes cannot be inferred through them, or few runtimes know them."""


@dataclass(frozen=True)
class Canonical:
    """A graph in edgekit's form, and its facts."""

    model: ir.Model
    facts: GraphFacts


def canonical(path: Path, answer: Answer, size: tuple[int, int]) -> Canonical:
    """The network of an ONNX file in edgekit's form.

    That is: one float32 input `input` (1, C, height, width); one float32 output `logits` (1, classes), which no
    softmax or sigmoid has been put on; opset 20, or a newer one where it must be; shapes known, constants computed,
    weights of one layer each.

    Args:
        answer: what is told of input and output; size: height and width, pixels.
    Raises:
        InputError: the file is no such network; the operator, tensor or output is named.
    """
    try:
        return canonical_of(read_proto(path), answer, size, str(path))
    except EdgekitError:
        raise
    except Exception as error:  # a graph that is wrong in a way that nothing here looks for
        what = f"{path} cannot be read as a classifier: {type(error).__name__}: {plain(error)}"
        raise InputError(what, "Check it with onnx.checker and ONNX Runtime, and export it again.") from error


def canonical_of(
    proto: onnx.ModelProto, answer: Answer, size: tuple[int, int], where: str, exported: bool = False
) -> Canonical:
    """The same of a model that is read already.

    Args:
        where: how errors call it.
        exported: it comes from a torch network just now, so that it need not be run to be believed.
    """
    model = _plain(proto, where)
    found, names = look_at_input(model, answer), [name_of(value) for value in model.graph.outputs]
    float_types = to_float32(model)
    upgrade(model)
    _own_names(model)
    names, left = _floats_alone(model, names, answer)
    _refuse_kinds(model)
    set_input(model, found, size)
    _settle(model, found)
    round_down(model)
    infer_shapes(model)
    refuse_huge(model)
    outputs = [FileOutput(name, value) for name, value in zip(names, model.graph.outputs, strict=True)]
    if any(numbers_of(each.value) is None for each in outputs) or _open(model):
        _run_for_shapes(model)
    chosen = choose(outputs, answer)
    notes = [note for note in (unused(outputs, chosen, left), _computed_in(float_types)) if note is not None]
    model.graph.outputs[:] = [chosen.value]
    drop_unused(model)
    _refuse_types(model)
    if found.batch > 1:
        same_as_file(model, proto, found, (chosen.name, 0))
    ending = end_in_logits(model, chosen, answer)
    give_each_layer_its_own(model)
    model = _in_target_opset(model)
    if not exported:
        _check(model, where)
    return Canonical(model, replace(_facts(model, chosen, ending, notes), narrow=bool(float_types)))


def _plain(proto: onnx.ModelProto, where: str) -> ir.Model:
    """The model without functions, sorted, every node and tensor named, finite, and not quantized."""
    if proto.functions:
        refuse_endless(proto)
        proto = onnx.inliner.inline_local_functions(proto, convert_version=True)
    model: ir.Model = ir.from_proto(proto)
    if not len(model.graph):
        raise InputError(f"{where} holds an empty ONNX graph", "The file is truncated or empty; export it again.")
    model.functions.clear()
    model.ir_version = max(model.ir_version, LEAST_IR_VERSION)
    for graph in (model.graph, *model.graph.subgraphs()):
        graph.sort()
    common.ClearMetadataAndDocStringPass()(model)
    common.NameFixPass()(model)
    for node in model.graph.all_nodes():
        if QUANTIZED.fullmatch(node.op_type):
            raise InputError(f"{where} is quantized already: it has {called(node)}", "Give the float network.")
    check_finite(model, where)
    return model


def _floats_alone(model: ir.Model, names: list[str], answer: Answer) -> tuple[list[str], list[str]]:
    """Leaves the outputs that may hold the answers, in place: the one that is told, else all that are floats.

    What leads elsewhere need not be understood. The names of those that stay are given, and of those that do not.
    """
    kept = [place for place, name in enumerate(names) if name == answer.output]
    kept = kept or [place for place, value in enumerate(model.graph.outputs) if _may_be_floats(value)]
    if kept and len(kept) < len(names):
        model.graph.outputs[:] = [model.graph.outputs[place] for place in kept]
        drop_unused(model)
        left = [name for place, name in enumerate(names) if place not in kept]
        return [names[place] for place in kept], left
    return names, []


def _may_be_floats(value: ir.Value) -> bool:
    return value.dtype in (ir.DataType.FLOAT, None) and not isinstance(value.type, ir.SequenceType | ir.OptionalType)


def _refuse_kinds(model: ir.Model) -> None:
    """Refuses operators of text, of sequences and of tables, which no later step can compute with."""
    for node in model.graph.all_nodes():
        if node.domain == "ai.onnx.ml" or NO_NUMBERS.fullmatch(node.op_type):
            what = f"the network has the operator {called(node)}, which works on no plain tensors of numbers"
            raise InputError(what, "Export the network without it, or name another output with --output.")


def _in_target_opset(model: ir.Model) -> ir.Model:
    """The model in opset 20 where it can be written so: NNCF's constants do not fit the Q/DQ nodes of newer ones."""
    try:
        return lower(model, TARGET)
    except InputError:
        return model


def _own_names(model: ir.Model) -> None:
    """Renames what has a name that edgekit gives itself, or another tensor in another graph of the model has.

    Inputs are renamed where they are replaced.
    """
    edit, inputs, seen = Edit(model), set(model.graph.inputs), {value.name for value in model.graph.inputs}
    for value in [each for each in all_values(model) if each not in inputs]:
        if OWN.fullmatch(name_of(value)):
            value.name = edit.name(f"file_{value.name}")
        elif value.name in seen:
            value.name = edit.name(name_of(value))
        seen.add(value.name)
    for node in model.graph.all_nodes():
        if OWN.fullmatch(node.name or ""):
            node.name = edit.name(f"file_{node.name}")


def _settle(model: ir.Model, found: FileInput) -> None:
    """Computes shapes and constants for one image of a fixed size, and takes apart what shapes do not go through."""
    _take_apart(model, lambda node: node.domain == "com.microsoft")
    _forget(model)
    lift(model)
    if found.batch > 1:
        fold(model)
        take_one(model, found.batch)
        _forget(model)
    fold(model)
    if found.layout == "NHWC":
        join_turns(model)
    norms = [node for node in model.graph.all_nodes() if (node.domain, node.op_type) in TAKEN_APART]
    if norms:
        if any(min(dims_of(node.inputs[0]), default=0) < 1 for node in norms):
            _run_for_shapes(model)
        _take_apart(model, lambda node: node in norms)
        fold(model)


def _forget(model: ir.Model) -> None:
    """Forgets the file's shapes: they are of another batch, or wrong without ONNX Runtime minding."""
    for graph in (model.graph, *model.graph.subgraphs()):
        forget_shapes(graph)
    for value in model.graph.outputs:
        value.shape = None


def _take_apart(model: ir.Model, which: Callable[[ir.Node], bool]) -> None:
    edit = Edit(model)
    for node in [each for each in model.graph.all_nodes() if which(each)]:
        taken_apart(edit, node)


def _open(model: ir.Model) -> bool:
    """Whether the shape of some tensor is not known."""
    return bool(_unknown(model))


def _unknown(model: ir.Model) -> list[ir.Value]:
    values = [value for node in model.graph for value in node.outputs if value.uses() or value.is_graph_output()]
    return [
        each
        for each in values
        if not isinstance(each.type, ir.SequenceType | ir.OptionalType)
        and (each.shape is None or not all(isinstance(dim, int) for dim in each.shape))
    ]


def _run_for_shapes(model: ir.Model) -> None:
    """Learns the shapes that cannot be inferred from a run in ONNX Runtime, in place."""
    unknown = _unknown(model)
    proto = to_proto(model)
    known = {value.name for value in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=each.name) for each in unknown if each.name not in known)
    image = np.zeros(dims_of(model.graph.inputs[0]), np.float32)
    arrays = run_graph(proto, {INPUT: image}, [name_of(each) for each in unknown]) if unknown else []
    for value, array in zip(unknown, arrays, strict=True):
        if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
            value.shape, value.type = ir.Shape(array.shape), ir.TensorType(ir.DataType.from_numpy(array.dtype))
    infer_shapes(model)


def _refuse_types(model: ir.Model) -> None:
    """Refuses tensors that no later step can compute with."""
    for node in model.graph.all_nodes():
        for value in node.outputs:
            kinds = ((ir.SequenceType, "a sequence"), (ir.OptionalType, "optional"))
            kind = next((word for each, word in kinds if isinstance(value.type, each)), None)
            kind = "text" if value.dtype == ir.DataType.STRING else kind
            if kind is not None:
                what = f"the tensor {value.name} of the operator {called(node)} is {kind}"
                raise InputError(what, "Export the network without it; edgekit computes with numbers alone.")


def _check(model: ir.Model, where: str) -> None:
    """Has ONNX check the graph, and ONNX Runtime run it once."""
    content = to_proto(model).SerializeToString()  # and no protobuf beside it: each is as large as all weights
    try:
        onnx.checker.check_model(content)
    except Exception as error:  # the checker's errors have no common ancestor
        raise InputError(f"{where} is no valid ONNX graph: {plain(error)}", "Export it again.") from error
    check_finite(model, where)
    wanted = dims_of(model.graph.outputs[0])
    made = run_graph(content, {INPUT: np.zeros(dims_of(model.graph.inputs[0]), np.float32)})[0]
    if made.shape != wanted:
        raise InputError(f"{where} gives {list(made.shape)} where its graph says {list(wanted)}", "Export it again.")


def _computed_in(types: list[str]) -> str | None:
    return f"computed in {' and '.join(types)} in the file; edgekit computes it in float32" if types else None


def _facts(model: ir.Model, chosen: FileOutput, ending: Ending, notes: list[str]) -> GraphFacts:
    return replace(
        facts(model),
        channels=dims_of(model.graph.inputs[0])[1],
        output=chosen.name,
        activation=ending.activation,
        activation_found=ending.found,
        notes=tuple(notes),
    )
