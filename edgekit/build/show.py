"""The stage that shows labelled images to one network and keeps which of them it had right, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgekit.build.evaluate import Executed, networks
from edgekit.build.executor import Executor
from edgekit.build.stage import Progress, Stage
from edgekit.data.image_set import ImageSet
from edgekit.data.preprocessing import Preprocessing

Right: TypeAlias = NDArray[np.bool_]
"""(N,) which images a network has right."""

RIGHT_FILE: Final = "right.npy"


@dataclass(frozen=True)
class ShowInput:
    """A network, where it runs, and labelled images that it is shown."""

    variant: Executed
    executor: Executor
    images: ImageSet
    preprocessing: Preprocessing


def _show(given: ShowInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.validate.accuracy import first_right
    from edgekit.validate.evaluation import predict

    total, labels = len(given.images), given.images.labels
    assert labels is not None

    def tell(done: int) -> None:
        progress(done, total, "")

    with given.executor.sessions(networks((given.variant,)), progress) as loaded:
        made = predict(loaded, given.images, given.preprocessing, range(total), tell)[given.variant.name]
    np.save(folder / RIGHT_FILE, first_right(made, labels))
    return ()


def _read(folder: Path) -> Right:
    right: Right = np.load(folder / RIGHT_FILE, allow_pickle=False)
    return right


SHOW: Final = Stage("answers", ("numpy", "Pillow", "openvino", "onnxruntime"), _show, _read)
"""Which images one network has right."""
