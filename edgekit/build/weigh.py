"""The stage that says what channels are worth: once for all the widths that are chosen by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.data.preprocessing import Preprocessing
from edgekit.models.source import Source
from edgekit.prune.sources import PruningImages

if TYPE_CHECKING:
    from torch import nn

    from edgekit.prune.channels import ChannelGraph
    from edgekit.prune.select import Importance

SCORES: Final = "scores.npz"
IMPORTANCE_IMAGES: Final = 256


@dataclass(frozen=True)
class WeighInput:
    """What channels are weighed by.

    Attributes:
        images: to weigh them with; None where there are none: then lengths of filters are what is left.
        importance: a key of edgekit.prune.importance.IMPORTANCES.
        blocks: whether residual blocks are weighed too.
    """

    source: Source
    images: PruningImages | None
    importance: str
    preprocessing: Preprocessing
    seed: int
    blocks: bool


def _make(given: WeighInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.prune.channels import check_some_left, left_alone
    from edgekit.prune.images import training_batches
    from edgekit.prune.importance import DATA_DRIVEN, IMPORTANCES

    progress(0, None, f"importance: {given.importance}")
    network, graph = traced(given.source, given.images, given.preprocessing, given.blocks)
    check_some_left(graph)
    if given.importance not in DATA_DRIVEN or given.images is None:
        scores = IMPORTANCES["magnitude"](network, graph, ())
    else:
        batches = training_batches(given.images, given.preprocessing, IMPORTANCE_IMAGES, given.seed)
        scores = IMPORTANCES[given.importance](network, graph, batches)
    arrays = {f"group-{place}": each for place, each in enumerate(scores.values())}
    np.savez(folder / SCORES, names=np.array(list(scores)), **arrays)  # type: ignore[arg-type]
    return left_alone(graph.left)


def traced(
    source: Source, images: PruningImages | None, preprocessing: Preprocessing, blocks: bool
) -> tuple[nn.Module, ChannelGraph]:
    """A network, and those of its channels that can be taken out of it.

    Args:
        images: a few of them show what cutting does to its answers.
        blocks: whether residual blocks that can be taken out are looked for too.
    """
    from edgekit.models.source import make_network
    from edgekit.prune.images import few_pictures
    from edgekit.prune.soundness import sound
    from edgekit.prune.tracing import trace

    network = make_network(source)
    graph = trace(network, preprocessing.size, preprocessing.channels, blocks)
    return network, sound(network, graph, few_pictures(images, preprocessing))


def _read(folder: Path) -> File:
    return kept_file(folder, SCORES)


def read_scores(path: Path, graph: ChannelGraph) -> Importance:
    """What the units of each group are worth, float64 (units,) by the group's name, and each block by its own.

    Raises:
        RuntimeError: the file is of another network.
    """
    with np.load(path, allow_pickle=False) as kept:
        scores = {str(name): kept[f"group-{place}"] for place, name in enumerate(kept["names"])}
    wanted = {each.name: len(each.units) for each in graph.groups}
    with_blocks = {**wanted, **{each.name: 1 for each in graph.blocks}}
    if {name: len(each) for name, each in scores.items()} not in (wanted, with_blocks):
        raise RuntimeError(f"{path} weighs other channels than the network has")
    return scores


PACKAGES: Final = ("torch", "numpy", "Pillow")

WEIGH: Final = Stage("weigh", PACKAGES, _make, _read)
