"""The stage that says what channels are worth: once for all the widths that are chosen by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    from edgekit.prune.images import few_pictures, training_batches
    from edgekit.prune.importance import DATA_DRIVEN, IMPORTANCES
    from edgekit.prune.soundness import sound

    progress(0, None, f"importance: {given.importance}")
    network, graph = traced(given.source, given.preprocessing, given.blocks)
    graph = sound(network, graph, few_pictures(given.images, given.preprocessing))
    check_some_left(graph)
    if given.importance not in DATA_DRIVEN or given.images is None:
        scores = IMPORTANCES["magnitude"](network, graph, ())
    else:
        batches = training_batches(given.images, given.preprocessing, IMPORTANCE_IMAGES, given.seed)
        scores = IMPORTANCES[given.importance](network, graph, batches)
    arrays = {f"group-{place}": each for place, each in enumerate(scores.values())}
    np.savez(folder / SCORES, names=np.array(list(scores)), **arrays)  # type: ignore[arg-type]
    return left_alone(graph.left)


def traced(source: Source, preprocessing: Preprocessing, blocks: bool) -> tuple[nn.Module, ChannelGraph]:
    """A network, and the channels of it that its operations show to belong together.

    Args:
        blocks: whether residual blocks that can be taken out are looked for too.
    """
    from edgekit.models.source import make_network
    from edgekit.prune.tracing import trace

    network = make_network(source)
    return network, trace(network, preprocessing.size, preprocessing.channels, blocks)


def _read(folder: Path) -> File:
    return kept_file(folder, SCORES)


def read_scores(path: Path, graph: ChannelGraph) -> tuple[Importance, ChannelGraph]:
    """What the units of each group are worth, float64 (units,) by the group's name, and each block by its own; and the
    graph with those groups and blocks alone: others were found not to be sound when they were weighed.

    Raises:
        RuntimeError: the file is of another network.
    """
    with np.load(path, allow_pickle=False) as kept:
        scores = {str(name): kept[f"group-{place}"] for place, name in enumerate(kept["names"])}
    there = {**{each.name: len(each.units) for each in graph.groups}, **{each.name: 1 for each in graph.blocks}}
    if any(there.get(name) != len(each) for name, each in scores.items()):
        raise RuntimeError(f"{path} weighs other channels than the network has")
    groups = tuple(each for each in graph.groups if each.name in scores)
    return scores, replace(graph, groups=groups, blocks=tuple(each for each in graph.blocks if each.name in scores))


PACKAGES: Final = ("torch", "numpy", "Pillow")

WEIGH: Final = Stage("weigh", PACKAGES, _make, _read)
