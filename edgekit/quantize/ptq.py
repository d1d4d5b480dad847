"""Post-training INT8 quantization of an ONNX classifier with NNCF, the calibration images streamed one by one."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.data.image_set import spread
from edgekit.data.preprocessing import Preprocessing, in_color
from edgekit.errors import EdgekitError
from edgekit.quantize.graph_format import Sums
from edgekit.runtime.quiet import no_telemetry
from edgekit.store.root import give_home


@dataclass(frozen=True)
class PtqSettings:
    """How NNCF chooses ranges.

    Attributes:
        preset: "performance" has symmetric activations, "mixed" asymmetric ones where that is of use.
        ranges: the estimator of activation ranges: NNCF's own choice, the widest seen, the mean without outliers, the
            mean of quantiles, or the least squared error over a histogram.
        biases: how NNCF corrects them: each layer by itself ("fast"), or one after another, each with what the
            quantized network before it makes ("full"), which takes several times as long and fails on some graphs.
        per_tensor: whether each activation has one scale; else inputs of depthwise convolutions have one a channel.
    """

    preset: Literal["performance", "mixed"] = "performance"
    ranges: Literal["usual", "min-max", "no-outliers", "quantile", "histogram"] = "usual"
    per_tensor: bool = False
    biases: Literal["fast", "full"] = "fast"


PLAIN: Final = PtqSettings()

MEANS_OF: Final = 64
"""Calibration pictures that the means of layers' inputs are taken over; with 32, logits were as near to FP32's."""


def normalised(pictures: NDArray[np.uint8], preprocessing: Preprocessing, layout: str) -> NDArray[np.float32]:
    """uint8 (N, H, W, 3) RGB pictures to the float32 input of the network, in its layout and channels."""
    ordered = in_color(pictures, preprocessing.color)
    mean = np.array(preprocessing.mean, np.float32)
    std = np.array(preprocessing.std, np.float32)
    floats = (ordered.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(floats.transpose(0, 3, 1, 2) if layout == "NCHW" else floats)


@dataclass(frozen=True)
class Pictures:
    """Calibration pictures to go through.

    Attributes:
        passes: gives an iterator of (1, H, W, 3) uint8 pictures; called once for each pass over them.
        count: how many there are.
        on_progress: called with the number of pictures given out so far.
    """

    passes: Callable[[], Iterator[NDArray[np.uint8]]]
    count: int
    on_progress: Callable[[int], None] = lambda done: None


def quantize(
    graph: Path,
    out: Path,
    pictures: Pictures,
    preprocessing: Preprocessing,
    signed: bool = False,
    settings: PtqSettings = PLAIN,
    sums: Sums = "exact",
) -> None:
    """Writes the INT8 Q/DQ graph, its float32 input as before: weights per channel, activations per tensor.

    Args:
        graph: the float32 ONNX graph, batch 1; out: where the quantized graph is written.
        signed: for TensorRT: one scale an activation, and no half-range weights, which older processors need.
        sums: how products are added up where it runs; for 16 bits see edgekit.quantize.sums.
    Raises:
        EdgekitError: NNCF fails on this graph; its words are told.
    """
    os.environ.setdefault("NNCF_CI", "1")  # NNCF sends usage statistics unless it believes itself in a test run
    no_telemetry()
    give_home()  # NNCF looks for one when it is imported
    logging.getLogger("nncf").setLevel(logging.ERROR)
    import nncf
    import onnx
    import onnx_ir as ir

    from edgekit.models.onnx_graph import image_input, layout_of, name_of

    nncf.set_log_level(logging.ERROR)
    model = onnx.load(str(graph))
    image = image_input(ir.from_proto(model))
    name, layout = name_of(image), layout_of(image)

    class Stream:
        """One pass over the pictures at a time, counted as they go."""

        def __iter__(self) -> Iterator[dict[str, NDArray[np.float32]]]:
            for done, picture in enumerate(pictures.passes(), 1):
                pictures.on_progress(done)
                yield {name: normalised(picture, preprocessing, layout)}

        def __len__(self) -> int:
            return pictures.count

    with redirect_stdout(io.StringIO()), _errors_told():  # its progress bars go where results belong
        quantized = nncf.quantize(
            model,
            nncf.Dataset(Stream()),
            subset_size=pictures.count,
            preset=nncf.QuantizationPreset(settings.preset),
            fast_bias_correction=settings.biases == "fast",
            advanced_parameters=_advanced(settings, signed, sums),
        )
    onnx.save(quantized, str(out))
    if sums == "16-bit":
        chosen = set(spread(pictures.count, MEANS_OF))
        some = (each for place, each in enumerate(pictures.passes()) if place in chosen)
        _fit_16_bits(graph, out, (normalised(each, preprocessing, layout) for each in some))


def _fit_16_bits(core: Path, quantized: Path, inputs: Iterable[NDArray[np.float32]]) -> None:
    """Makes the weights of a Q/DQ graph fit, and its biases those of such weights."""
    from edgekit.models.onnx_graph import load, save
    from edgekit.quantize.biases import input_means, with_corrected_biases
    from edgekit.quantize.sums import float_weights, with_sums_that_fit

    plain, wide = load(core), load(quantized)
    narrow, changes = with_sums_that_fit(wide, float_weights(wide, plain), plain)
    means = input_means(plain, wide, [each.node for each in changes], inputs)
    save(with_corrected_biases(narrow, changes, means), quantized)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Turns what NNCF raises, which may be anything, into an error that says so; those of pictures and files pass."""
    try:
        yield
    except (EdgekitError, OSError):
        raise
    except Exception as error:
        words = next(iter(str(error).splitlines()), "")
        what = f"NNCF cannot quantize this graph: {type(error).__name__}: {words}"
        raise EdgekitError(what, "Build it with --precision bf16 or fp16 instead.") from error


def _advanced(settings: PtqSettings, signed: bool, sums: Sums) -> Any:
    no_telemetry()
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet as Estimators

    told: dict[str, Any] = {}
    if settings.ranges != "usual":
        told["activations_range_estimator_params"] = {
            "min-max": Estimators.MINMAX,
            "no-outliers": Estimators.MEAN_NO_OUTLIERS_MINMAX,
            "quantile": Estimators.MEAN_QUANTILE,
            "histogram": Estimators.HISTOGRAM,
        }[settings.ranges]
    if sums == "16-bit":  # NNCF halves the range of the first layer, whatever its weights are
        told["overflow_fix"] = nncf.OverflowFix.DISABLE
    if signed:
        told["overflow_fix"] = nncf.OverflowFix.DISABLE
    if signed or settings.per_tensor:
        told["activations_quantization_params"] = QuantizationParameters(per_channel=False)
    return nncf.AdvancedQuantizationParameters(**told)
