"""The graph that a variant is compiled from, in the form that a target's runtime wants."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from edgekit.data.preprocessing import Preprocessing
from edgekit.models.onnx_graph import load, save
from edgekit.models.opset import lower
from edgekit.models.pixel_input import with_preprocessing
from edgekit.quantize.dla import calibration_cache, plain, unpadded_means
from edgekit.quantize.float_weights import with_float_weights
from edgekit.quantize.folded import with_folded_scales
from edgekit.quantize.graph_format import GraphFormat
from edgekit.quantize.half import fits_half, to_half
from edgekit.quantize.moves import with_quantized_moves
from edgekit.quantize.open_batch import check_batches, with_open_batch
from edgekit.quantize.placement import placed, with_fused_sums
from edgekit.quantize.rules import check
from edgekit.quantize.signed import to_signed
from edgekit.quantize.sums import float_weights, told_of, with_sums_that_fit
from edgekit.quantize.unsigned import with_unsigned_activations
from edgekit.quantize.widened import write_widened


def write_graph(
    core: Path, quantized: Path | None, out: Path, precision: str, preprocessing: Preprocessing, form: GraphFormat
) -> None:
    """Writes the graph of one precision: NHWC pixels in, uint8 or float32, preprocessing inside.

    What is not INT8 is FP16 in a typed int8 or mixed graph, or float32 where a scale is too small for FP16.

    Args:
        core: the float32 graph; quantized: NNCF's Q/DQ form of it, for int8 and mixed.
    Raises:
        InputError: the graph cannot be written in the form, or TensorRT would reject it.
    """
    source = quantized if precision in ("int8", "mixed") else None
    is_quantized = source is not None
    model = load(source or core)
    if is_quantized and form.sums == "16-bit":
        model = _fitting(model, load(core))
    if form.signed:
        model = _as_tensorrt_fuses(to_signed(model), load(core), form) if is_quantized else with_folded_scales(model)
    if precision == "fp16" or (is_quantized and form.typed and fits_half(model)):
        model = to_half(model)
    if is_quantized and form.moves:
        model = with_quantized_moves(with_unsigned_activations(with_folded_scales(model)))
    if is_quantized and not form.int8_weights:
        model = with_float_weights(model)
    model = with_preprocessing(model, preprocessing, form.float_input)
    opset = form.half_opset if precision == "fp16" and form.half_opset is not None else form.opset
    if opset is not None:
        model = lower(model, opset)
    if form.open_batch:
        model = with_open_batch(model)
    if form.signed:
        check(model, form)
    save(model, out)
    if is_quantized and form.sums == "16-bit":
        write_widened(told_of(model), out)
    if form.open_batch:
        check_batches(out)


def _fitting(model: ir.Model, core: ir.Model) -> ir.Model:
    """A Q/DQ graph whose sums fit into 16 bits: mostly it is that already, as `quantize` writes it."""
    return with_sums_that_fit(model, float_weights(model, core), core)[0]


def _as_tensorrt_fuses(signed: ir.Model, core: ir.Model, form: GraphFormat) -> ir.Model:
    """A signed Q/DQ graph in INT8 where that pays, its convolutions one kernel with what follows them."""
    if form.placement is None:
        return with_folded_scales(signed)
    folded = with_folded_scales(placed(signed, core, form.placement))
    return folded if form.placement.whole_sums else with_fused_sums(folded)


def write_dla(quantized: Path, out_dir: Path, preprocessing: Preprocessing, form: GraphFormat) -> list[str]:
    """Writes model.dla.onnx and model.dla.cache: what a DLA takes before TensorRT 11, see edgekit.quantize.dla.

    Returns:
        Average pools that some accelerators leave to the GPU, by name, which cuts what is between them in pieces.
    """
    folded = with_folded_scales(to_signed(load(quantized)))
    signed = with_preprocessing(folded, preprocessing, form.float_input)
    graph = plain(signed)
    save(lower(graph, form.opset) if form.opset is not None else graph, out_dir / "model.dla.onnx")
    (out_dir / "model.dla.cache").write_text(calibration_cache(signed), encoding="utf-8")
    return unpadded_means(graph.graph)
