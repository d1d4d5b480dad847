"""Quantization-aware training: weights, biases and scales of a Q/DQ graph learn to answer as the float network does.

How long is a budget in minutes; a run that was killed goes on where its last checkpoint was, to the same graph.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from torch import nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import EdgekitError, InputError
from edgekit.models.from_onnx import to_torch
from edgekit.models.onnx_graph import load, save
from edgekit.quantize.fake_quant import simulated, written
from edgekit.targets.memory import give_back, resident_bytes
from edgekit.training.distillation import Answers
from edgekit.training.images import TrainingImages, ordered
from edgekit.training.loop import Tick, train
from edgekit.training.memory import at_once
from edgekit.training.pace import kept, pace
from edgekit.training.recipe import Stage, TrainingRecipe, imitating

MOST_EPOCHS: Final = 20


@dataclass(frozen=True)
class QatSettings:
    """How long, how fast, from what seed, how many pictures a step, and how much memory the process may hold in all
    (None: any).
    """

    minutes: float
    learning_rate: float = 1e-4
    seed: int = 0
    batch: int = 16
    memory_bytes: int | None = None


@dataclass(frozen=True)
class QatRecord:
    """What was done.

    Attributes:
        method: for people.
        images, steps: trained on, those of a run that this one went on with too; seconds: of this run's training.
        layers: whose weights were learned; quantizers: of activations whose scales were learned.
    """

    method: str
    images: int
    steps: int
    seconds: float
    learning_rate: float
    layers: int
    quantizers: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def train_quantized(
    core: Path,
    quantized: Path,
    images: TrainingImages,
    labelled: bool,
    preprocessing: Preprocessing,
    settings: QatSettings,
    folder: Path,
    out: Path,
    on_tick: Callable[[Tick], None] = lambda tick: None,
) -> QatRecord:
    """Trains a Q/DQ graph towards its float graph and writes it: the same nodes, with other constants.

    Args:
        core: the float32 graph; quantized: NNCF's Q/DQ form of it; both take the normalised image.
        images: to train on; labelled: whether their labels mean something.
        folder: gets the plan, the checkpoint and the log; what is there is gone on with: one folder for one graph.
        out: where the trained graph is written.
        on_tick: called with each line of the log.
    Raises:
        InputError: something in the graph is not known and is named, or not one picture fits into the memory.
        EdgekitError: the training diverged; nothing is written.
    """
    graph, plain = load(quantized), load(core)
    learned = simulated(graph, plain)
    guide = Answers(to_torch(plain), labelled)
    recipe = kept(folder, lambda: _plan(learned.network, guide, images, preprocessing, settings))
    give_back()  # the processes that draw pictures keep what is held now, until it is written over
    began = time.monotonic()
    made = train(
        learned.network,
        ordered(images, preprocessing),
        recipe,
        folder,
        preprocessing.mean,
        preprocessing.std,
        on_tick=on_tick,
        workers=2,
        checkpoint_seconds=30.0,
        guide=guide,
    )
    if not all(bool(value.isfinite().all()) for value in made.state_dict().values()):
        raise EdgekitError("quantization-aware training diverged", "Lower its learning rate.")
    save(written(graph, learned, made), out)
    return QatRecord(
        f"distillation with{'' if labelled else 'out'} labels",
        recipe.images_at(recipe.steps),
        recipe.steps,
        time.monotonic() - began,
        recipe.learning_rate,
        len(learned.layers),
        len(set(learned.scales.values())),
    )


def _plan(
    network: nn.Module, guide: Answers, images: TrainingImages, preprocessing: Preprocessing, settings: QatSettings
) -> TrainingRecipe:
    """The training recipe that fits the minutes on this machine."""
    batch = min(settings.batch, max(2, images.count // 4))
    together = _at_once(network, preprocessing.size, batch, settings.memory_bytes)
    fits = settings.minutes * 60 * pace(network, guide, preprocessing.size, together)
    count = max(batch, int(min(fits, MOST_EPOCHS * images.count)))
    return imitating(
        "quantized",
        "training images",
        settings.seed,
        (Stage(size=preprocessing.size, images=count, batch=batch, at_once=together),),
        optimizer="adamw",
        learning_rate=settings.learning_rate,
        weight_decay=0.0,
    )


def _at_once(network: nn.Module, side: int, batch: int, memory_bytes: int | None) -> int:
    """How many pictures of a batch go through together; what each step computes is the same."""
    if memory_bytes is None:
        return batch
    give_back()
    together = at_once(network.train(), side, batch, memory_bytes - resident_bytes())
    if together == 0:
        why = f"a training step does not fit into the memory budget of {memory_bytes / 1e9:.1f} GB"
        raise InputError(why, "Give it more: --memory-budget.")
    return together
