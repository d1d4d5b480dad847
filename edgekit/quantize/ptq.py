"""Post-training INT8 quantization of an ONNX classifier with NNCF, the calibration images streamed one by one."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing
from edgekit.runtime.quiet import no_telemetry


def normalised(pictures: NDArray[np.uint8], preprocessing: Preprocessing, layout: str) -> NDArray[np.float32]:
    """uint8 (N, H, W, 3) RGB pictures to the float32 input of the network, in its layout and colour order."""
    ordered = pictures[..., ::-1] if preprocessing.color == "bgr" else pictures
    mean = np.array(preprocessing.mean, np.float32)
    std = np.array(preprocessing.std, np.float32)
    floats = (ordered.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(floats.transpose(0, 3, 1, 2) if layout == "NCHW" else floats)


def quantize(
    graph: Path,
    out: Path,
    pictures: Callable[[], Iterator[NDArray[np.uint8]]],
    count: int,
    preprocessing: Preprocessing,
    on_progress: Callable[[int], None] = lambda done: None,
    signed: bool = False,
) -> None:
    """Writes the INT8 Q/DQ graph, its float32 input as before: weights per channel, activations per tensor.

    Args:
        graph: the float32 ONNX graph, batch 1.
        out: where the quantized graph is written.
        pictures: gives an iterator of (1, H, W, 3) uint8 pictures; called once for each pass over them.
        count: how many pictures there are.
        on_progress: called with the number of pictures given out so far.
        signed: for TensorRT: one scale an activation, and no half-range weights, which older processors need.
    """
    os.environ.setdefault("NNCF_CI", "1")  # NNCF sends usage statistics unless it believes itself in a test run
    no_telemetry()
    logging.getLogger("nncf").setLevel(logging.ERROR)
    import nncf
    import onnx

    from edgekit.models.onnx_graph import image_input, layout_of

    nncf.set_log_level(logging.ERROR)
    model = onnx.load(str(graph))
    name, layout = image_input(model).name, layout_of(image_input(model))

    class Stream:
        """One pass over the pictures at a time, counted as they go."""

        def __iter__(self) -> Iterator[dict[str, NDArray[np.float32]]]:
            for done, picture in enumerate(pictures(), 1):
                on_progress(done)
                yield {name: normalised(picture, preprocessing, layout)}

        def __len__(self) -> int:
            return count

    with redirect_stdout(io.StringIO()):  # its progress bars go where results belong
        quantized = nncf.quantize(
            model,
            nncf.Dataset(Stream()),
            subset_size=count,
            preset=nncf.QuantizationPreset.PERFORMANCE,
            advanced_parameters=_for_tensorrt() if signed else None,
        )
    onnx.save(quantized, str(out))


def _for_tensorrt() -> Any:
    """NNCF gives the inputs of depthwise convolutions a scale a channel, which TensorRT does not take."""
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    return nncf.AdvancedQuantizationParameters(
        overflow_fix=nncf.OverflowFix.DISABLE,
        activations_quantization_params=QuantizationParameters(per_channel=False),
    )
