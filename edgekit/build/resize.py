"""The stage that takes a network, exported at its own input size, to another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.build.export import EXPORT, GRAPH, Exported, ExportInput, read_exported, write_facts
from edgekit.build.stage import Progress, Stage
from edgekit.models.registry import MODELS
from edgekit.models.source import Source
from edgekit.size import Size

if TYPE_CHECKING:
    from edgekit.build.runner import Runner


@dataclass(frozen=True)
class ResizeInput:
    """A network as it was exported, what it was exported from, and the size of the images that it is shown instead."""

    exported: Exported
    source: Source
    size: Size


def _make(given: ResizeInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.models.resized import resized

    told: list[str] = []
    base = given.exported
    write_facts(folder, resized(base.graph.path, base.facts, given.source, given.size, folder / GRAPH, told.append))
    return told


RESIZE: Final = Stage("resize", EXPORT.packages, _make, read_exported)


def is_resized(source: Source, size: Size) -> bool:
    """Whether that is another size than the network's own, to which its graph is taken."""
    return source.kind == "registry" and size != _own(source)


def exported_at(run: Runner, source: Source, size: Size) -> Exported:
    """The network at some input size, made of what was exported at its own one where that can be."""
    if not is_resized(source, size):
        return run(EXPORT, ExportInput(source, size))
    return run(RESIZE, ResizeInput(run(EXPORT, ExportInput(source, _own(source))), source, size))


def _own(source: Source) -> Size:
    side = MODELS[source.origin].input_size
    return side, side
