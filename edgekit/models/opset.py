"""Older opsets for older parsers: TensorRT 8 knows less of ONNX than what torch exports.

The onnx package's own converter cannot go back over ReduceMean and several others, so the few differences that matter
to classifiers are undone here; what is left is checked against the older schemas.
"""

from __future__ import annotations

from typing import Final

import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from edgekit.errors import InputError

REDUCTIONS: Final = {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare"}
AXES_ARE_INPUTS: Final = 18
NEW_DEFAULTS: Final = {
    "saturate": 1,
    "noop_with_empty_axes": 0,
    "allowzero": 0,
    "block_size": 0,
    "output_dtype": 0,
    "precision": 0,
}
"""Attributes that newer opsets added, with the value that means what the older operator did anyway."""


def lower(model: ModelProto, opset: int) -> ModelProto:
    """The same graph in an older opset; unchanged if it is old enough.

    Raises:
        InputError: it uses what that opset does not have; the operator is named.
    """
    now = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if now <= opset:
        return model
    out = ModelProto()
    out.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in out.graph.initializer}
    for node in out.graph.node:
        if node.op_type in REDUCTIONS and opset < AXES_ARE_INPUTS <= now and len(node.input) > 1:
            axes = constants.get(node.input[1])
            if axes is None:
                raise InputError(f"{node.name}: its axes are not constant", f"Opset {opset} needs constant axes.")
            node.attribute.append(helper.make_attribute("axes", numpy_helper.to_array(axes).tolist()))
            del node.input[1:]
        if node.op_type == "Reshape" and node.input[1] in constants:
            _drop_allowzero(node, numpy_helper.to_array(constants[node.input[1]]).tolist())
        _drop_new_attributes(node, opset)
    for each in out.opset_import:
        if each.domain in ("", "ai.onnx"):
            each.version = opset
    used = {name for node in out.graph.node for name in node.input}
    for tensor in [tensor for tensor in out.graph.initializer if tensor.name not in used]:
        out.graph.initializer.remove(tensor)
    out.ir_version = min(out.ir_version, 8)
    try:
        onnx.checker.check_model(out, full_check=True)
    except Exception as error:  # the checker's and the inference's errors have no common ancestor
        why = " ".join(str(error).split())[:160]
        raise InputError(
            f"the graph cannot be told in opset {opset}, which this target's TensorRT needs: {why}",
            "Export the model with that opset.",
        ) from error
    return out


def _drop_allowzero(node: NodeProto, shape: list[int]) -> None:
    """What a zero in the new shape means is no question where there is none."""
    if 0 not in shape:
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)


def _drop_new_attributes(node: NodeProto, opset: int) -> None:
    """Takes attributes away that the older schema does not have and that say nothing new."""
    try:
        known = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes
    except onnx.defs.SchemaError:
        return
    kept = [
        attribute
        for attribute in node.attribute
        if attribute.name in known or NEW_DEFAULTS.get(attribute.name) != helper.get_attribute_value(attribute)
    ]
    kept = [a for a in kept if a.name != "dilations" or a.name in known or set(a.ints) != {1}]
    del node.attribute[:]
    node.attribute.extend(kept)
