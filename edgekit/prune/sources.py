"""Where the images come from that a network is pruned with: some to train on, some held back to choose by.

Light: a build whose stages are all in the store needs their digest, and no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.data.folder import FolderSet, open_images
from edgekit.data.image_set import spread
from edgekit.data.signs_set import SignsSet
from edgekit.data.training_signs import TrainingSigns
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet
    from edgekit.data.labels import LabelRules
    from edgekit.training.images import TrainingImages

TUNING_IMAGES: Final = 800
"""At most so many are held back: enough to see a loss of a point or so."""

HELD_BACK: Final = 10
"""One image in so many of a user's training images is held back."""


@dataclass(frozen=True)
class PruningImages:
    """What a network is pruned with.

    Attributes:
        train: what importance is measured on and recovery trains on.
        labelled: whether the labels mean something.
        tuning: labelled images to choose by, and their positions; None without labels.
    """

    train: TrainingImages
    labelled: bool
    tuning: tuple[ImageSet, Sequence[int]] | None
    digest: str

    @property
    def tells_accuracy(self) -> bool:
        """Whether there are images, with labels, to look at the accuracy with."""
        return self.tuning is not None and self.tuning[0].labels is not None


def signs_images(used: frozenset[str]) -> PruningImages:
    """The rendered signs: their training split, and pictures of the calibration split that are not among `used`."""
    pool = SignsSet("calibration")
    rest = [index for index in range(len(pool)) if pool.content_hash(index) not in used]
    chosen = [rest[place] for place in spread(len(rest), TUNING_IMAGES)]
    return PruningImages(TrainingSigns(), True, (pool, chosen), f"signs {SignsSet('train', 1).digest} {len(chosen)}")


def folder_images(spec: str, labels: LabelRules, evaluated: ImageSet | None, skip_bad: bool) -> PruningImages:
    """A user's training images, one in ten of which is held back to choose by.

    Args:
        labels: how their labels are read.

    Raises:
        InputError: there are none, or some of them are evaluated on as well.
    """
    images = open_images(spec, skip_bad=skip_bad, labels=labels)
    if not isinstance(images, FolderSet):
        raise InputError(f"{spec} is no folder or table of training images", "Give --train-data a folder.")
    if evaluated is not None:
        theirs = {evaluated.content_hash(index) for index in range(len(evaluated))}
        both = sum(images.content_hash(index) in theirs for index in range(len(images)))
        if both:
            raise InputError(
                f"{both} images are both in --train-data and among those evaluated on", "Keep the two apart."
            )
    return of_folder(images)


def of_folder(images: FolderSet) -> PruningImages:
    """The same for images that are opened already; without labels nothing is held back."""
    if images.labels is None:
        return PruningImages(images, False, None, images.digest)
    held = spread(len(images), min(TUNING_IMAGES, len(images) // HELD_BACK))
    if not held:
        raise InputError(f"{len(images)} training images are too few", "Give at least 20.")
    hashes = frozenset(images.content_hash(index) for index in held)
    return PruningImages(images.without(hashes), True, (images, held), images.digest)
