"""Preprocessing inside the graph, so that a device gives it raw pixels."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgekit.data.preprocessing import LUMA, LUMA_ONE, Preprocessing
from edgekit.errors import InputError
from edgekit.models.onnx_graph import PIXELS, add_constant, channels_of, image_input, layout_of, name_of, sides_of


def with_preprocessing(model: ir.Model, preprocessing: Preprocessing, float_input: bool = False) -> ir.Model:
    """Puts the preprocessing in front: the new input `image` is uint8 (1, H, W, 3) RGB.

    Cast to float, the network's channels, one multiplication and one addition per channel, and its layout. Grey is
    Pillow's luma to the last bit: the sums fit into the 24 bits of a float32.

    Args:
        float_input: the same numbers, 0 to 255, are given as float32, for runtimes that have no uint8 inputs.
    Raises:
        InputError: the network has another number of channels than the colour says.
    """
    out = model.clone()
    graph, old = out.graph, image_input(out)
    layout = layout_of(old)
    height, width = sides_of(old)
    channels = channels_of(old)
    if channels != preprocessing.channels:
        made = f"--color {preprocessing.color} makes {preprocessing.channels}"
        what = f"the network takes {channels} channel{'s' * (channels > 1)}, and {made}"
        raise InputError(what, "Give --color grey for networks of one channel, rgb or bgr for those of three.")
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    image = ir.val(PIXELS, ir.DataType.FLOAT if float_input else ir.DataType.UINT8, [1, height, width, 3])
    nodes: list[ir.Node] = []

    def put(kind: str, inputs: list[ir.Value], name: str, output: str, **attributes: int | list[int]) -> ir.Value:
        made = ir.node(kind, inputs, attributes, outputs=[ir.Value(name=output)], name=f"edgekit_{name}")
        nodes.append(made)
        return made.outputs[0]

    last = image
    if not float_input:
        last = put("Cast", [image], "cast", "edgekit_float", to=ir.DataType.FLOAT.value)
    if preprocessing.color == "bgr":
        order = add_constant(graph, "edgekit_bgr", np.array([2, 1, 0], np.int64))
        last = put("Gather", [last, order], "swap", "edgekit_swapped", axis=3)
    elif preprocessing.color == "grey":
        parts = add_constant(graph, "edgekit_luma", (np.array(LUMA) / LUMA_ONE).astype(np.float32))
        half = add_constant(graph, "edgekit_half", np.array(0.5, np.float32))
        axis = add_constant(graph, "edgekit_axis", np.array([3], np.int64))
        last = put("ReduceSum", [put("Mul", [last, parts], "parts", "edgekit_parts"), axis], "sum", "edgekit_sum")
        last = put("Floor", [put("Add", [last, half], "half", "edgekit_halved")], "luma", "edgekit_grey")
    scale = add_constant(graph, "edgekit_scale", (1.0 / (255.0 * std)).astype(np.float32))
    shift = add_constant(graph, "edgekit_shift", (-mean / std).astype(np.float32))
    last = put("Mul", [last, scale], "mul", "edgekit_scaled")
    last = put("Add", [last, shift], "add", name_of(old) if layout == "NHWC" else "edgekit_normalised")
    if layout == "NCHW":
        last = put("Transpose", [last], "layout", name_of(old), perm=[0, 3, 1, 2])
    old.replace_all_uses_with(last)
    graph.inputs.remove(old)
    graph.inputs.insert(0, image)
    graph.insert_before(graph[0], nodes)
    return out
