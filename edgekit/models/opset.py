"""Older opsets for older parsers: TensorRT 8 knows less of ONNX than what torch exports.

The onnx package's own converter cannot go back over ReduceMean and several others, so the few differences that matter
to classifiers are undone here, and operators that are newer are taken apart; what is left is checked against the older
schemas.
"""

from __future__ import annotations

from typing import Final

import onnx
import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.decompose import taken_apart
from edgekit.models.edit import Edit
from edgekit.models.onnx_graph import constant, dims_of, drop_unused, infer_shapes, opset_of, to_proto
from edgekit.models.upgrade import AXES_ARE_INPUTS, REDUCTIONS

NEW_DEFAULTS: Final = {
    "saturate": 1,
    "noop_with_empty_axes": 0,
    "allowzero": 0,
    "block_size": 0,
    "output_dtype": 0,
    "precision": 0,
    "antialias": 0,
    "keep_aspect_ratio_policy": "stretch",
    "reduction": "none",
    "approximate": "none",
    "stash_type": 1,
    "pooling_type": 0,
    "round_mode": "up",
}
"""Attributes that newer opsets added, with the value that means what the older operator did anyway."""


def lower(model: ir.Model, opset: int) -> ir.Model:
    """The same graph in an older opset; unchanged if it is old enough.

    Raises:
        InputError: it uses what that opset does not have; the operator is named.
    """
    now = opset_of(model)
    if now <= opset:
        return model
    out = model.clone()
    _take_apart(out, opset)
    for node in out.graph:
        if node.op_type in REDUCTIONS and opset < AXES_ARE_INPUTS <= now and len(node.inputs) > 1:
            axes = constant(node.inputs[1])
            if axes is None:
                raise InputError(f"{node.name}: its axes are not constant", f"Opset {opset} needs constant axes.")
            node.attributes.add(ir.AttrInt64s("axes", axes.tolist()))
            node.resize_inputs(1)
        shape = constant(node.inputs[1]) if node.op_type == "Reshape" else None
        if shape is not None and 0 not in shape:  # what a zero means is no question where there is none
            node.attributes.pop("allowzero", None)
        if node.op_type == "Split" and "num_outputs" in node.attributes:
            _split_evenly(node)
        _drop_new_attributes(node, opset)
    for domain in {"", "ai.onnx"} & set(out.opset_imports):
        out.opset_imports[domain] = opset
    drop_unused(out)
    out.ir_version = min(out.ir_version, 8)
    try:
        onnx.checker.check_model(to_proto(out), full_check=True)
    except Exception as error:  # the checker's and the inference's errors have no common ancestor
        why = " ".join(str(error).split())[:160]
        raise InputError(
            f"the graph cannot be written in opset {opset}, which this target's runtime needs: {why}",
            "Export the model with that opset.",
        ) from error
    return out


def _take_apart(model: ir.Model, opset: int) -> None:
    """Puts older operators in the place of those that the opset does not have, in place."""
    newer = [node for node in model.graph if node.domain == "" and not _is_in(node.op_type, opset)]
    if newer:
        infer_shapes(model)  # tells what is FP16, and how many dimensions there are
        edit = Edit(model)
        for node in newer:
            taken_apart(edit, node)


def _is_in(kind: str, opset: int) -> bool:
    try:
        return not onnx.defs.get_schema(kind, opset, "").deprecated
    except onnx.defs.SchemaError:
        return False


def _split_evenly(node: ir.Node) -> None:
    """Before opset 18 a Split without sizes made equal parts, as many as it has outputs."""
    sizes = {dims_of(value) for value in node.outputs}
    if len(sizes) == 1 and len(node.outputs) == node.attributes["num_outputs"].as_int():
        del node.attributes["num_outputs"]


def _drop_new_attributes(node: ir.Node, opset: int) -> None:
    """Takes attributes away that the older schema does not have and that say nothing new."""
    try:
        known = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes
    except onnx.defs.SchemaError:
        return
    for name, attribute in list(node.attributes.items()):
        plain = NEW_DEFAULTS.get(name) == attribute.value or (name == "dilations" and set(attribute.as_ints()) == {1})
        if name not in known and plain:
            del node.attributes[name]
