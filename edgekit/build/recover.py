"""The stage that cuts channels out of a network, wins back the accuracy, and exports what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.build.export import GRAPH, Exported, read_exported, write_facts
from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.build.weigh import traced
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source
from edgekit.prune.channels import cannot_be_pruned
from edgekit.prune.choice import unpacked
from edgekit.prune.recovery import NOTHING, Recovery
from edgekit.prune.sources import PruningImages
from edgekit.size import shown
from edgekit.targets import Machine
from edgekit.training.record import TrainingRecord

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.prune.channels import ChannelGraph, Keep

WEIGHTS: Final = "weights.safetensors"
RECOVERY: Final = "recovery.json"
LEAST: Final = 0.3
"""Of the ceiling that is left to training at least, however long it took to begin."""


@dataclass(frozen=True)
class RecoverInput:
    """A network, the channels of it that stay, and how its accuracy is won back.

    Attributes:
        dense: the whole network's graph.
        keep, units, blocks: see edgekit.prune.choice; blocks: whether there are bits of blocks.
        train_images: how many are trained on; None: what fits into `first_share` of the seconds.
        seconds: the ceiling of all that is done.
        machine: whose pace decides how much fits, and how it rounds.
        as_cut_points: a network that loses no more than this as it was cut is not trained; None: it is in any case.
        replay: a run to do again, step by step; no seconds bind it.
        refit: whether weights are refit when channels are removed; train: whether the network is trained after that.
    """

    source: Source
    dense: Exported
    keep: str
    units: int
    blocks: bool
    images: PruningImages | None
    preprocessing: Preprocessing
    train_images: int | None
    seconds: float
    first_share: float
    learning_rate: float
    seed: int
    machine: Machine
    as_cut_points: float | None
    replay: TrainingRecord | None
    refit: bool = True
    train: bool = True


@dataclass(frozen=True)
class Recovered:
    """The pruned network, and what was done to win back its accuracy."""

    exported: Exported
    weights: File
    recovery: Recovery


def _make(given: RecoverInput, folder: Path, progress: Progress) -> Sequence[str]:
    """Trains in a process of its own: should a kernel of torch's end it, the build still goes on without pruning."""
    if given.images is None:
        return made(given, folder, time.monotonic(), progress)
    from edgekit.training.apart import apart

    warnings: Sequence[str] = apart(f"{__name__}:made", (given, folder, time.monotonic()), progress)
    return warnings


def made(given: RecoverInput, folder: Path, began: float, progress: Progress) -> Sequence[str]:
    """Writes the pruned network, recovered where there are images, and its graph into a folder.

    Args:
        began: when the work began, as `time.monotonic` tells it in every process of this machine.
    Raises:
        InputError: the network cannot be pruned after all.
        TrainingFailed: training diverged.
    """
    from edgekit.prune.recover import WORKERS
    from edgekit.training.threads import conditions

    with conditions(None, 0 if given.images is None else WORKERS):
        return _made(given, folder, began, progress)


def _made(given: RecoverInput, folder: Path, began: float, progress: Progress) -> Sequence[str]:
    from edgekit.models.weights import write_weights
    from edgekit.prune.blocks import bypasses
    from edgekit.prune.images import few_pictures
    from edgekit.prune.soundness import check_cut

    network, graph = traced(given.source, given.preprocessing, given.blocks)
    if graph.units != given.units:
        raise cannot_be_pruned(f"it has {graph.units} units of channels, and what stays was told of {given.units}")
    keep = unpacked(given.keep, given.units)
    pictures = few_pictures(given.images, given.preprocessing)
    refit, refit_images = _refit(given, network, graph, keep)
    cut, recovery = check_cut(refit, graph, keep, pictures), NOTHING
    if given.images is not None:
        # the ceiling is of the whole stage: to write the graph takes about half as long as to load and trace
        spent = time.monotonic() - began
        given = replace(given, seconds=max(LEAST * given.seconds, given.seconds - 1.5 * spent))
        cut, recovery = _recovered(given, (cut, network, graph, keep), folder, progress)
        recovery = replace(recovery, seconds=spent + recovery.seconds, refit_images=refit_images)
    progress(0, None, "exporting")
    write_weights(cut, folder / WEIGHTS, pruned=True, removed=bypasses(graph, keep))
    write_facts(folder, _exported(given, (cut, graph, keep), pictures, folder / GRAPH))
    (folder / RECOVERY).write_bytes(TypeAdapter(Recovery).dump_json(recovery))
    return ()


def _refit(given: RecoverInput, network: nn.Module, graph: ChannelGraph, keep: Keep) -> tuple[nn.Module, int]:
    """The whole network with weights that allow for what is removed, and the images that tell how; itself without."""
    from edgekit.prune.compensation import IMAGES, compensated
    from edgekit.prune.images import training_batches

    if given.images is None or not given.refit:
        return network, 0
    batches = training_batches(given.images, given.preprocessing, IMAGES, given.seed)
    refit = compensated(network, graph, keep, batches)
    return refit, 0 if refit is network else min(IMAGES, given.images.train.count)


def _exported(
    given: RecoverInput, pruned: tuple[nn.Module, ChannelGraph, Keep], pictures: Tensor, path: Path
) -> GraphFacts:
    """Writes the pruned network's graph: the whole one's, cut; exported anew where that is not the network."""
    from edgekit.models.export import export_again
    from edgekit.prune.onnx_trained import graph_of

    try:
        return graph_of((given.dense.graph.path, given.dense.facts), *pruned, pictures, path)
    except InputError:
        return export_again(given.source, pruned[0], given.preprocessing.size, path)


def _recovered(
    given: RecoverInput,
    networks: tuple[nn.Module, nn.Module, ChannelGraph, Keep],
    folder: Path,
    progress: Progress,
) -> tuple[nn.Module, Recovery]:
    from edgekit.prune.images import tuning_of
    from edgekit.prune.recover import PrunedNetwork, RecoveryImages, RecoverySettings, recover
    from edgekit.training.log import Tick

    assert given.images is not None
    began = time.monotonic()

    def tell(tick: Tick, left: float) -> None:
        spent = time.monotonic() - began
        progress(round(spent), round(spent + left), f"{shown(tick.size)} px, loss {tick.loss:.2f}")

    data = RecoveryImages(given.images, tuning_of(given.images, given.preprocessing), given.preprocessing)
    settings = RecoverySettings(
        given.seconds,
        given.learning_rate,
        given.seed,
        images=given.train_images,
        first_share=given.first_share,
        as_cut_points=given.as_cut_points,
        replay=given.replay,
        train=given.train,
    )
    return recover(PrunedNetwork(*networks), data, settings, folder, tell)


def _read(folder: Path) -> Recovered:
    recovery = TypeAdapter(Recovery).validate_json((folder / RECOVERY).read_bytes())
    return Recovered(read_exported(folder), kept_file(folder, WEIGHTS), recovery)


RECOVER: Final = Stage(
    "recover",
    ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "numpy", "openvino", "Pillow"),
    _make,
    _read,
    resumable=True,
)
