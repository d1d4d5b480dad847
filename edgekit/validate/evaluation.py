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
from edgekit.validate.question import Question
from edgekit.validate.tasks import Truth, VariantResult, judge
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
    """Images as networks are shown them: a set, positions in it, how they are prepared, whether the labels of the set
    mean something to the networks, and how their outputs are read.
    """

    images: ImageSet
    indices: Sequence[int]
    preprocessing: Preprocessing
    labelled: bool
    question: Question

    @property
    def truth(self) -> Truth:
        """Labels (N,), or sets of labels (N, C), of the positions; None where they mean nothing."""
        known = self.images.label_sets if self.question.task == "multilabel" else self.images.labels
        return None if known is None or not self.labelled else known[list(self.indices)]

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
    truth = views.truth
    judged = judge(views.question, logits["fp32"], truth)
    results = {name: judged(made, name == "fp32") for name, made in logits.items()}
    shown = {flip.index for each in results.values() if each.flips is not None for flip in each.flips.shown}
    pictures = {row: thumbnail(views.picture(row)) for row in sorted(shown)}
    golden = np.stack([views.picture(row) for row in range(min(golden_images, len(views.indices)))])
    arrays: dict[str, NDArray[Any]] = {"inputs": golden}
    arrays |= {f"logits-{name}": made[:golden_images] for name, made in logits.items()}
    return Evaluated(len(views.indices), truth is not None, results, pictures), arrays
