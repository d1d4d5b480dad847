"""The stage that looks at how sensitive parts of a network are, for the report: once, when it has been pruned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from edgekit.build.stage import File, Progress, Stage
from edgekit.build.weigh import PACKAGES, read_scores, traced
from edgekit.data.preprocessing import Preprocessing
from edgekit.models.source import Source
from edgekit.prune.choice import Sensitivity
from edgekit.prune.sources import PruningImages

FOUND: Final = "sensitivity.json"


@dataclass(frozen=True)
class SensitivityInput:
    """A network, what its channels are worth (edgekit.build.weigh), and images with labels to look at.

    Attributes:
        blocks: whether residual blocks were weighed too.
    """

    source: Source
    scores: File
    images: PruningImages
    preprocessing: Preprocessing
    blocks: bool


def _make(given: SensitivityInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.prune.images import tuning_of
    from edgekit.prune.sensitivity import sensitivity

    tuning = tuning_of(given.images, given.preprocessing)
    assert tuning is not None, "asked for only where there are labels"
    network, graph = traced(given.source, given.preprocessing, given.blocks)
    scores, graph = read_scores(given.scores.path, graph)

    def tell(done: int, total: int) -> None:
        progress(done, total, "blocks")

    found = sensitivity(network, graph, scores, tuning, given.preprocessing, tell)
    (folder / FOUND).write_bytes(TypeAdapter(Sensitivity).dump_json(found))
    return ()


def _read(folder: Path) -> Sensitivity:
    return TypeAdapter(Sensitivity).validate_json((folder / FOUND).read_bytes())


SENSITIVITY: Final = Stage("sensitivity", PACKAGES, _make, _read)
