"""What the budget loop is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.build.tuning_images import TuningImages
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet
    from edgekit.prune.sources import PruningImages


@dataclass(frozen=True)
class Material:
    """What the loop works with.

    Attributes:
        core: the float32 graph that is quantized; reference: the graph, pixels in, that it is compared with.
        chosen, pool: calibration images; tuning: those to choose by; training: those to train with, if any.
    """

    core: Path
    reference: Path
    chosen: CalibrationSet
    pool: ImageSet
    tuning: TuningImages
    training: PruningImages | None
