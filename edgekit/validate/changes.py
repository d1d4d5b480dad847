"""What compression changed, as reports show it: with the names of images and classes, and small pictures."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edgekit.validate.flips import Flip, class_changes, flips

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.data.image_set import ImageSet
    from edgekit.data.preprocessing import Preprocessing
    from edgekit.validate.accuracy import Labels, Logits

LONGEST_SIDE: Final = 96
MOST_BYTES: Final = 4096
QUALITIES: Final = (70, 55, 40, 25, 10)


@dataclass
class Shown:
    """Shows flips of images; makes the picture of each only when it is shown, and once for all variants.

    Attributes:
        indices: of the images that rows of logits are of; labels (N,): of these rows, None where they mean nothing.
    """

    images: ImageSet
    preprocessing: Preprocessing
    indices: Sequence[int]
    labels: Labels | None
    _pictures: dict[int, str] = field(default_factory=dict)

    def changes(self, base: Logits, other: Logits) -> dict[str, Any]:
        """`flips` and, with labels, `classes` of one network against another, as report.json has them."""
        found = flips(base, other, self.labels)
        names = self._names(base.shape[1])
        told: dict[str, Any] = {
            "flips": {
                "changed": found.changed,
                "lost": found.lost if self.labels is not None else None,
                "won": found.won if self.labels is not None else None,
                "shown": [self._flip(each, names) for each in found.shown],
            }
        }
        if self.labels is not None:
            classes = class_changes(base, other, self.labels)
            rows = [{**asdict(each), "label": _name(names, each.label)} for each in classes.shown]
            told["classes"] = {"shown": rows, "left_out": classes.left_out}
        return told

    def _names(self, classes: int) -> tuple[str, ...]:
        """Names of the network's classes; none where the images are of other classes, or of some of them only."""
        known = self.images.classes if self.labels is not None else ()
        return known if len(known) == classes else ()

    def _flip(self, flip: Flip, names: Sequence[str]) -> dict[str, Any]:
        index = self.indices[flip.index]
        if index not in self._pictures:
            self._pictures[index] = thumbnail(self.images.load(index, self.preprocessing))
        return {
            "image": self.images.identifier(index),
            "label": _name(names, flip.label),
            "before": _name(names, flip.before),
            "after": _name(names, flip.after),
            "before_probability": flip.before_probability,
            "after_probability": flip.after_probability,
            "outcome": flip.outcome,
            "thumbnail": self._pictures[index],
        }


def _name(names: Sequence[str], label: int | None) -> str | None:
    return None if label is None else names[label] if label < len(names) else str(label)


def thumbnail(picture: NDArray[np.uint8]) -> str:
    """A JPEG of a picture, uint8 (H, W, 3) RGB, in base64: at most LONGEST_SIDE pixels long, never enlarged.

    It has the first of QUALITIES that keeps it within MOST_BYTES: noise is drawn badly rather than large.
    """
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    content = b""
    for quality in QUALITIES:
        into = io.BytesIO()
        image.save(into, "JPEG", quality=quality, optimize=True)
        content = into.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return base64.b64encode(content).decode("ascii")
