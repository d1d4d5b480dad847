"""Calibration images as quantization takes them, and as the float graph does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.data.calibration import CalibrationData
from edgekit.data.image_set import spread
from edgekit.data.loading import batches
from edgekit.models.onnx_graph import image_input, layout_of
from edgekit.quantize.ptq import Pictures, normalised

if TYPE_CHECKING:
    import onnx_ir as ir

    from edgekit.data.preprocessing import Preprocessing


def calibration_pictures(
    calibration: CalibrationData, preprocessing: Preprocessing, on_progress: Callable[[int], None] = lambda done: None
) -> Pictures:
    """All of the calibration images, as they are quantized with; `on_progress` is told how many were given out."""
    indices, pool = calibration.indices, calibration.pool
    return Pictures(lambda: (each for each, _ in batches(pool, preprocessing, indices, 1)), len(indices), on_progress)


def calibration_inputs(
    core: ir.Model, calibration: CalibrationData, preprocessing: Preprocessing, count: int
) -> Callable[[], Iterator[NDArray[np.float32]]]:
    """A function that gives a fresh pass over `count` of the calibration images, evenly spread: float32, batch 1."""
    layout, every, pool = layout_of(image_input(core)), calibration.indices, calibration.pool
    indices = [every[place] for place in spread(len(every), count)]

    def inputs() -> Iterator[NDArray[np.float32]]:
        for pictures, _ in batches(pool, preprocessing, indices, 1):
            yield normalised(pictures, preprocessing, layout)

    return inputs
