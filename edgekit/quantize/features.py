"""What the FP32 network sees in images just before its classifier: the space that coverage is measured in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgekit.data.loading import batches
from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.ptq import normalised
from edgekit.runtime.openvino_core import core
from edgekit.temporary import temporary_folder

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet


def penultimate_features(
    graph: Path,
    images: ImageSet,
    preprocessing: Preprocessing,
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """(N, F) features of every image: the input of the last layer, averaged over positions if it has any.

    Raises:
        InputError: the graph has no such layer.
    """
    from edgekit.models.onnx_graph import image_input, layout_of, load, save, with_features

    whole = load(graph)
    layout = layout_of(image_input(whole))
    with temporary_folder() as folder:
        path = folder / "features.onnx"
        save(with_features(whole), path)
        model = core().compile_model(str(path), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    request, output = model.create_infer_request(), model.output(0)
    rows = []
    for pictures, group in batches(images, preprocessing, range(len(images)), 16):
        for picture in pictures:
            seen = np.asarray(request.infer([normalised(picture[None], preprocessing, layout)])[output])[0]
            rows.append(seen.mean(axis=tuple(range(1, seen.ndim))) if seen.ndim > 1 else seen)
        on_progress(int(group[-1]) + 1)
    return np.stack(rows).astype(np.float32)
