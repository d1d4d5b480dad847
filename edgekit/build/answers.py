"""What goes into a bundle of its evaluation image by image: see edgekit.bundle.answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.bundle.answers import NAME, Answers, short_hash
from edgekit.validate.evaluation import RIGHT

if TYPE_CHECKING:
    from edgekit.build.evaluate import EvaluateInput, EvaluationResult
    from edgekit.build.plan import Plan


def answers_beside(plan: Plan, shown: EvaluateInput, found: EvaluationResult, chosen: str) -> dict[str, bytes]:
    """The file of answers by its name in a bundle; empty where it is not wanted, or no image was right or wrong.

    Args:
        shown: what the variants were shown; chosen: name of the variant that goes into the bundle.
    """
    with np.load(found.golden.path) as kept:
        if not plan.recipe.keep_answers or RIGHT + chosen not in kept or shown.images.labels is None:
            return {}
        count, of_chosen = found.evaluated.images, found.evaluated.variants[chosen].accuracy
        assert of_chosen is not None
        baseline = np.unpackbits(kept[f"{RIGHT}fp32"], count=count)
        right = np.unpackbits(kept[RIGHT + chosen], count=of_chosen.images)
    indices = list(shown.indices[:count])
    hashes = b"".join(short_hash(shown.images.content_hash(each)) for each in indices)
    images = np.frombuffer(hashes, np.uint8).reshape(count, -1)
    labels = shown.images.labels[indices].astype(np.int32)
    return {NAME: Answers(images, labels, baseline.astype(np.bool_), right.astype(np.bool_)).to_bytes()}
