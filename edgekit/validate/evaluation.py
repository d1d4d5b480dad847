"""What variants of a network answer to images: one decoding pass, every variant on the same pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Session
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Preprocessing
from edgekit.validate.accuracy import (
    Accuracy,
    Fidelity,
    PairedDrop,
    accuracy,
    fidelity,
    paired_drop,
)
from edgekit.validate.flips import ClassChanges, Flips, class_changes, flips
from edgekit.validate.thumbnails import thumbnail

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

BATCH: Final = 32


def predict(
    sessions: Mapping[str, Session],
    images: ImageSet,
    preprocessing: Preprocessing,
    indices: Sequence[int],
    on_progress: Callable[[int], None] = lambda done: None,
) -> dict[str, NDArray[np.float32]]:
    """Logits (N, classes) of every session for the same pictures, each decoded once."""
    made: dict[str, list[NDArray[np.float32]]] = {name: [] for name in sessions}
    done = 0
    for pictures, group in batches(images, preprocessing, indices, BATCH):
        for name, session in sessions.items():
            made[name].append(session.infer_many(pictures))
        done += len(group)
        on_progress(done)
    return {name: np.concatenate(parts) for name, parts in made.items()}


@dataclass(frozen=True)
class VariantResult:
    """What a variant answers: its accuracy and its drop from `fp32` (None without labels), its distance from `fp32`
    without labels, and what it changed; the last two are None of `fp32` itself, classes also without labels.
    """

    accuracy: Accuracy | None
    drop: PairedDrop | None
    fidelity: Fidelity
    flips: Flips | None
    classes: ClassChanges | None


@dataclass(frozen=True)
class Evaluated:
    """What variants answer to the same images.

    Attributes:
        labelled: whether labels meant something; variants: by name.
        thumbnails: JPEGs in base64 of the images that flips show, by row of the logits.
    """

    images: int
    labelled: bool
    variants: dict[str, VariantResult]
    thumbnails: dict[int, str]


@dataclass(frozen=True)
class Views:
    """Images as networks are shown them: a set, positions in it, how they are prepared, and whether the labels of the
    set mean something to the networks.
    """

    images: ImageSet
    indices: Sequence[int]
    preprocessing: Preprocessing
    labelled: bool

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """(N,) of the positions; None where they mean nothing."""
        labels = self.images.labels if self.labelled else None
        return None if labels is None else labels[list(self.indices)]

    def picture(self, row: int) -> NDArray[np.uint8]:
        """What networks see of the image of a row of the logits, uint8 (H, W, 3)."""
        return self.images.load(self.indices[row], self.preprocessing)


def evaluate(
    sessions: Mapping[str, Session],
    views: Views,
    golden_images: int,
    on_progress: Callable[[int], None] = lambda done: None,
) -> tuple[Evaluated, dict[str, NDArray[Any]]]:
    """Accuracy of each variant and its distance from `fp32`, and golden inputs with each variant's logits.

    Args:
        sessions: loaded variants by name, `fp32` among them.
    Returns:
        the results, and the arrays "inputs" (uint8) and "logits-NAME" (float32) of the first images.
    """
    logits = predict(sessions, views.images, views.preprocessing, views.indices, on_progress)
    labels = views.labels
    results = {name: _against(logits["fp32"], made, labels, name == "fp32") for name, made in logits.items()}
    shown = {flip.index for each in results.values() if each.flips is not None for flip in each.flips.shown}
    pictures = {row: thumbnail(views.picture(row)) for row in sorted(shown)}
    golden = np.stack([views.picture(row) for row in range(min(golden_images, len(views.indices)))])
    arrays: dict[str, NDArray[Any]] = {"inputs": golden}
    arrays |= {f"logits-{name}": made[:golden_images] for name, made in logits.items()}
    return Evaluated(len(views.indices), labels is not None, results, pictures), arrays


def _against(
    base: NDArray[np.float32], made: NDArray[np.float32], labels: NDArray[np.int64] | None, is_base: bool
) -> VariantResult:
    return VariantResult(
        None if labels is None else accuracy(made, labels),
        None if labels is None else paired_drop(base, made, labels),
        fidelity(base, made),
        None if is_base else flips(base, made, labels),
        None if is_base or labels is None else class_changes(base, made, labels),
    )
