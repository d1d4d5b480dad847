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
from edgekit.data.preprocessing import Preprocessing
from edgekit.models.answer import Answer
from edgekit.models.source import Source
from edgekit.prune.choice import unpacked
from edgekit.prune.recovery import NOTHING, Recovery
from edgekit.prune.sources import PruningImages
from edgekit.targets import Machine
from edgekit.training.record import TrainingRecord

if TYPE_CHECKING:
    from torch import nn

    from edgekit.prune.channels import ChannelGraph, Keep

WEIGHTS: Final = "weights.safetensors"
RECOVERY: Final = "recovery.json"
LEAST: Final = 0.3
"""Of the ceiling that is left to training at least, however long it took to begin."""


@dataclass(frozen=True)
class RecoverInput:
    """A network, the channels of it that stay, and how its accuracy is won back.

    Attributes:
        keep, units: see edgekit.prune.choice.
        train_images: how many are trained on; None: what fits into `first_share` of the seconds.
        seconds: the ceiling of all that is done.
        machine: whose pace decides how much fits, and how it rounds.
        replay: a run to do again, step by step; no seconds bind it.
    """

    source: Source
    keep: str
    units: int
    images: PruningImages | None
    preprocessing: Preprocessing
    train_images: int | None
    seconds: float
    first_share: float
    learning_rate: float
    seed: int
    machine: Machine
    replay: TrainingRecord | None


@dataclass(frozen=True)
class Recovered:
    """The pruned network, and what was done to win back its accuracy."""

    exported: Exported
    weights: File
    recovery: Recovery


def _make(given: RecoverInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.models.export import export_network
    from edgekit.models.source import make_network
    from edgekit.models.weights import write_weights
    from edgekit.prune.surgery import slimmed
    from edgekit.prune.tracing import trace

    began = time.monotonic()
    network = make_network(given.source)
    graph = trace(network, given.preprocessing.size)
    keep = unpacked(given.keep, given.units)
    made, recovery = slimmed(network, graph, keep), NOTHING
    if given.images is not None:
        # the ceiling is of the whole stage: to export takes about as long again as to load and trace
        spent = time.monotonic() - began
        given = replace(given, seconds=max(LEAST * given.seconds, given.seconds - 2 * spent))
        made, recovery = _recovered(given, (made, network, graph, keep), folder, progress)
        recovery = replace(recovery, seconds=spent + recovery.seconds)
    progress(0, None, "exporting")
    write_weights(made, folder / WEIGHTS, pruned=True)
    # an ONNX graph that became a torch network ends in logits already, whatever was told of the file
    answer = Answer(given.source.answer.task) if given.source.kind == "onnx" else given.source.answer
    size = given.preprocessing.size
    write_facts(folder, export_network(made, size, folder / GRAPH, answer))
    (folder / RECOVERY).write_bytes(TypeAdapter(Recovery).dump_json(recovery))
    return ()


def _recovered(
    given: RecoverInput,
    networks: tuple[nn.Module, nn.Module, ChannelGraph, Keep],
    folder: Path,
    progress: Progress,
) -> tuple[nn.Module, Recovery]:
    from edgekit.prune.images import tuning_of
    from edgekit.prune.recover import PrunedNetwork, RecoveryImages, RecoverySettings, recover
    from edgekit.training.loop import Tick

    assert given.images is not None
    began = time.monotonic()

    def tell(tick: Tick, left: float) -> None:
        spent = time.monotonic() - began
        detail = f"{tick.size} px, loss {tick.loss:.2f}, {int(left) // 60}:{int(left) % 60:02d} left"
        progress(round(spent), round(spent + left), detail)

    data = RecoveryImages(given.images, tuning_of(given.images, given.preprocessing), given.preprocessing)
    settings = RecoverySettings(
        given.seconds,
        given.learning_rate,
        given.seed,
        images=given.train_images,
        first_share=given.first_share,
        replay=given.replay,
    )
    return recover(PrunedNetwork(*networks), data, settings, folder, tell)


def _read(folder: Path) -> Recovered:
    recovery = TypeAdapter(Recovery).validate_json((folder / RECOVERY).read_bytes())
    return Recovered(read_exported(folder), kept_file(folder, WEIGHTS), recovery)


RECOVER: Final = Stage(
    "recover", ("torch", "onnx", "onnxscript", "onnx-ir", "numpy", "Pillow"), _make, _read, resumable=True
)
