"""How much accuracy each block loses when part of its channels goes and nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from torch import nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.prune.channels import ChannelGraph, Group
from edgekit.prune.choice import BlockSensitivity, Sensitivity
from edgekit.prune.images import Tuning, top1
from edgekit.prune.select import Importance
from edgekit.prune.surgery import silenced

RATIOS: Final = (0.3, 0.6)
IMAGES: Final = 96
MOST_BLOCKS: Final = 25


def blocks_of(graph: ChannelGraph) -> dict[str, list[Group]]:
    """Groups by block: by as many parts of their names as give no more than MOST_BLOCKS blocks."""
    found: dict[str, list[Group]] = {}
    for parts in (3, 2, 1):
        found = {}
        for group in graph.groups:
            found.setdefault(".".join(group.name.partition("#")[0].split(".")[:parts]), []).append(group)
        if len(found) <= MOST_BLOCKS:
            break
    return found


def sensitivity(
    network: nn.Module,
    graph: ChannelGraph,
    importance: Importance,
    tuning: Tuning,
    preprocessing: Preprocessing,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sensitivity:
    """Silences the least important channels of one block after another and looks at the accuracy."""
    few = tuning.few(IMAGES)
    blocks = blocks_of(graph)
    total = len(blocks) * len(RATIOS)
    made = Sensitivity(len(few), top1(network, few, preprocessing), ())
    for name, groups in blocks.items():
        points: list[tuple[float, float]] = []
        for ratio in RATIOS:
            on_progress(len(made.blocks) * len(RATIOS) + len(points), total)
            keep = graph.everything()
            for group in groups:
                order = np.argsort(importance[group.name], kind="stable")
                keep[group.units[order[: round(group.width * ratio)]]] = False
            points.append((ratio, top1(silenced(network, graph, keep), few, preprocessing)))
        made = replace(made, blocks=(*made.blocks, BlockSensitivity(name, tuple(points))))
    return made
