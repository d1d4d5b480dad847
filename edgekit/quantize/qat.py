"""Quantization-aware training: weights, biases and scales of a Q/DQ graph learn to answer as the float network does.

A plan is a number of images; the seconds are a ceiling for all of it, and what does not fit is cut. A run that was
killed goes on where its last checkpoint was, to the same graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.from_onnx import to_torch
from edgekit.models.onnx_graph import load, save
from edgekit.quantize.fake_quant import learned_weights, simulated, written
from edgekit.quantize.graph_format import Sums
from edgekit.quantize.sums import with_sums_that_fit
from edgekit.targets.memory import give_back, resident_bytes
from edgekit.training.ceiling import Ceiling, Stopwatch
from edgekit.training.checkpoint import SPENT, Plan, forget, kept
from edgekit.training.distillation import Answers
from edgekit.training.images import TrainingImages, ordered
from edgekit.training.log import Tick
from edgekit.training.loop import RunSettings, train
from edgekit.training.memory import at_once
from edgekit.training.pace import MARGIN, pace
from edgekit.training.recipe import Stage, imitating
from edgekit.training.record import TrainingRecord
from edgekit.training.threads import conditions

MOST_EPOCHS: Final = 20


WORKERS: Final = 2


@dataclass(frozen=True)
class QatGraphs:
    """The float32 graph, NNCF's Q/DQ form of it (both take the normalised image), and where the trained one goes.

    Attributes:
        sums: how products are added up where the trained one runs; its weights fit if that is in 16 bits.
    """

    core: Path
    quantized: Path
    out: Path
    sums: Sums = "exact"


@dataclass(frozen=True)
class QatImages:
    """What is trained on, whether its labels mean something, and how images are normalised."""

    images: TrainingImages
    labelled: bool
    preprocessing: Preprocessing


@dataclass(frozen=True)
class QatSettings:
    """How long, how fast, and from what seed.

    Attributes:
        seconds: the ceiling of all of it; it does not bind a replay.
        images: to train on, rounded to whole batches; None: as many as fit.
        batch: images a step; memory_bytes: what the process may hold in all (None: any).
        replay: a run to do again, step by step, in place of a plan.
    """

    seconds: float
    learning_rate: float = 1e-4
    seed: int = 0
    images: int | None = None
    batch: int = 16
    memory_bytes: int | None = None
    replay: TrainingRecord | None = None


@dataclass(frozen=True)
class QatRecord:
    """What was done.

    Attributes:
        method: for people.
        images, steps: trained on; seconds: that all of it took; both in a run that this one went on with too.
        layers: whose weights were learned; quantizers: of activations whose scales were learned.
        cut: what of the plan was left out, and why; None: nothing.
        run: the training, to do it again.
    """

    method: str
    images: int
    steps: int
    seconds: float
    learning_rate: float
    layers: int
    quantizers: int
    cut: str | None
    run: TrainingRecord

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {key: value for key, value in vars(self).items() if key != "run"}
        return plain | {"run": self.run.model_dump(mode="json")}


def train_quantized(
    graphs: QatGraphs,
    data: QatImages,
    settings: QatSettings,
    folder: Path,
    on_tick: Callable[[Tick], None] = lambda tick: None,
) -> QatRecord:
    """Trains a Q/DQ graph towards its float graph and writes it: the same nodes, with other constants.

    Args:
        folder: gets the plan, the seconds spent, the checkpoint and the log; what is there is gone on with: one folder
            for one graph. In the end only the log stays.
        on_tick: called with each line of the log.
    Raises:
        InputError: something in the graph is not known and is named, not one picture fits into the memory, or what is
            in the folder is damaged.
        EdgekitError: the training diverged; nothing is written.
    """
    replay, stopwatch, told = settings.replay, Stopwatch(folder / SPENT), data.preprocessing
    labelled = data.labelled if replay is None else replay.labelled
    if labelled and not data.labelled:
        raise InputError("the training to do again learned from labels, and these images have none", "Give those.")
    began = stopwatch.seconds()
    graph, plain = load(graphs.quantized), load(graphs.core)
    learned = simulated(graph, plain)
    guide = Answers(to_torch(plain), labelled)
    loading = stopwatch.seconds() - began
    with conditions(replay, WORKERS):
        plan = kept(folder, Plan, lambda: _plan(learned.network, guide, data, settings, stopwatch))
        give_back()  # the processes that draw pictures keep what is held now, until it is written over
        run = RunSettings(
            told.mean,
            told.std,
            workers=WORKERS,
            checkpoint_seconds=30.0,
            ceiling=Ceiling(
                settings.seconds, stopwatch, plan.step_seconds, after_seconds=loading
            ),  # writing takes no longer
            if_diverged=f"Lower its learning rate: it is {plan.recipe.learning_rate:g}.",
        )
        trained = train(learned.network, ordered(data.images, told), replay or plan.recipe, folder, run, guide, on_tick)
    made = written(graph, learned, trained.network)
    if graphs.sums == "16-bit":
        made, _ = with_sums_that_fit(made, learned_weights(learned, trained.network), plain)
    save(made, graphs.out)
    seconds = stopwatch.seconds()
    forget(folder)
    return QatRecord(
        f"distillation with{'' if labelled else 'out'} labels",
        trained.record.images,
        trained.steps,
        seconds,
        plan.recipe.learning_rate,
        len(learned.layers),
        len(set(learned.scales.values())),
        trained.cut,
        trained.record,
    )


def _plan(network: nn.Module, guide: Answers, data: QatImages, settings: QatSettings, stopwatch: Stopwatch) -> Plan:
    """The plan that fits under the ceiling on this machine."""
    if settings.replay is not None:
        return Plan(recipe=settings.replay.recipe)
    began, available, size = stopwatch.seconds(), data.images.count, data.preprocessing.size
    batch = min(settings.batch, max(2, available // 4))
    channels = data.preprocessing.channels
    together = _at_once(network, (channels, *size), batch, settings.memory_bytes)
    step_seconds: tuple[float, ...] | None = None
    if settings.images is not None:
        count = max(1, round(settings.images / batch)) * batch
    else:
        images_per_second = pace(network, guide, size, together, channels)
        left = settings.seconds - stopwatch.seconds() - began  # writing takes no longer than reading did
        count = max(batch, int(min(MARGIN * left * images_per_second, MOST_EPOCHS * available)))
        step_seconds = (batch / images_per_second,)
    recipe = imitating(
        "quantized",
        "training images",
        settings.seed,
        (Stage(size=size, images=count, batch=batch, at_once=together),),
        optimizer="adamw",
        learning_rate=settings.learning_rate,
        weight_decay=0.0,
    )
    return Plan(recipe=recipe, step_seconds=step_seconds)


def _at_once(network: nn.Module, shape: tuple[int, int, int], batch: int, memory_bytes: int | None) -> int:
    """How many pictures of a batch go through together; what each step computes is the same."""
    if memory_bytes is None:
        return batch
    give_back()
    together = at_once(network.train(), shape[1:], batch, memory_bytes - resident_bytes(), shape[0])
    if together == 0:
        why = f"a training step does not fit into the memory budget of {memory_bytes / 1e9:.1f} GB"
        raise InputError(why, "Give it more: --memory-budget.")
    return together
