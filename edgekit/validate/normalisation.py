"""Whether images are normalised as the network was trained with: other conventions are tried on the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.openvino import PRECISION_HINTS
from edgekit.data.image_set import spread
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Channels, Preprocessing
from edgekit.quantize.ptq import normalised
from edgekit.runtime.openvino_core import core
from edgekit.validate.accuracy import first_right, mcnemar

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

BATCH: Final = 32
NORMALISATION_IMAGES: Final = 300
NORMALISATION_POINTS: Final = 3.0
NORMALISATIONS: Final[Mapping[str, tuple[Channels, Channels]]] = {
    "mean 0.485,0.456,0.406 std 0.229,0.224,0.225": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mean 0.5 std 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "mean 0 std 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "mean 0 std 1/255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}
"""The conventions in use, by the flags that say them."""


def better_normalisation(
    graph: Path,
    images: ImageSet,
    preprocessing: Preprocessing,
    on_progress: Callable[[int], None] = lambda done: None,
) -> str | None:
    """A warning when another convention plainly scores better than the one that was told, on the FP32 graph.

    Plainly: by at least NORMALISATION_POINTS of top-1 on the same images, with McNemar's p below 0.01.
    """
    if images.labels is None:
        return None
    model = core().compile_model(str(graph), "CPU", {"INFERENCE_PRECISION_HINT": PRECISION_HINTS["fp32"]})
    layout = "NCHW" if model.input(0).shape[1] in (1, 3) else "NHWC"
    request, output = model.create_infer_request(), model.output(0)
    indices = spread(len(images), NORMALISATION_IMAGES)
    labels = images.labels[indices]
    rivals = dict(_rivals(preprocessing))
    right: dict[str, list[NDArray[np.bool_]]] = {name: [] for name in ("told", *rivals)}
    done = 0
    for pictures, group in batches(images, preprocessing, indices, BATCH):
        for name, rival in {"told": preprocessing, **rivals}.items():
            rows = [request.infer([normalised(p[None], rival, layout)])[output].copy() for p in pictures]
            right[name].append(first_right(np.concatenate(rows), labels[done : done + len(group)]))
        done += len(group)
        on_progress(done)
    scores = {name: np.concatenate(parts) for name, parts in right.items()}
    best = max(rivals, key=lambda name: int(scores[name].sum()))
    gain = 100 * (float(scores[best].mean()) - float(scores["told"].mean()))
    lost, won = int((scores["told"] & ~scores[best]).sum()), int((~scores["told"] & scores[best]).sum())
    if gain < NORMALISATION_POINTS or mcnemar(lost, won) >= 0.01:
        return None
    return (
        f"the normalisation looks wrong: with {best} the FP32 model scores {gain:.1f} points more than with the one"
        f" given ({100 * float(scores[best].mean()):.1f} against {100 * float(scores['told'].mean()):.1f} % of"
        f" {len(indices)} images); check --mean, --std and --color"
    )


def _rivals(told: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    """Every other convention, and the other order of colours, by the flags that say them."""
    for name, (mean, std) in NORMALISATIONS.items():
        rival = replace(told, mean=mean, std=std)
        pairs = zip((*rival.mean, *rival.std), (*told.mean, *told.std), strict=True)
        if max(abs(a - b) for a, b in pairs) > 0.02:
            yield name, rival
    if told.color == "grey":
        return
    other = "rgb" if told.color == "bgr" else "bgr"
    yield f"color {other}", replace(told, color=other)
