"""Training and fine-tuning, on the processor or a GPU: exact resume, running averages of the weights, growing pictures.

On one kind of machine the run is a pure function of the recipe: the order of the pictures comes from the seed and the
position, dropout from the seed and the step. A run that was killed and resumed ends with the same weights, bit for bit,
as one that was not.
"""

from __future__ import annotations

import copy
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from edgekit.errors import InputError
from edgekit.training.autocast import autocast
from edgekit.training.auxiliary_heads import AuxiliaryHeads
from edgekit.training.distillation import DistillationLoss
from edgekit.training.images import TrainingImages
from edgekit.training.optimizers import Optimizer, optimizer_for
from edgekit.training.recipe import Stage, TrainingRecipe


@dataclass(frozen=True)
class Tick:
    """One line of the training log."""

    step: int
    steps: int
    images: int
    size: int
    learning_rate: float
    loss: float
    top1: float
    images_per_second: float


class _Positions(Dataset[tuple[Tensor, int]]):
    """The pictures of one stage in the order in which they are trained on."""

    def __init__(self, images: TrainingImages, stage: Stage, first: int, skip: int, seed: int) -> None:
        self._images, self._stage, self._seed = images, stage, seed
        self._first, self._skip = first, skip

    def __len__(self) -> int:
        return self._stage.steps * self._stage.batch - self._skip

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        position = self._first + self._skip + item
        epoch, place = divmod(position, self._images.count)
        order = _epoch_order(self._images.count, self._seed, epoch)
        picture, label = self._images.training_image(int(order[place]), self._stage.size, self._seed + position)
        return torch.from_numpy(picture), label


_ORDERS: dict[tuple[int, int, int], NDArray[np.int64]] = {}


def _epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of one epoch; a worker process keeps the last one, as it asks for it with every picture."""
    key = (count, seed, epoch)
    if key not in _ORDERS:
        _ORDERS.clear()
        _ORDERS[key] = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)
    return _ORDERS[key]


def train(
    network: nn.Module,
    images: TrainingImages,
    recipe: TrainingRecipe,
    out_dir: Path,
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
    std: tuple[float, float, float] = (0.5, 0.5, 0.5),
    on_tick: Callable[[Tick], None] = lambda tick: None,
    workers: int = 1,
    checkpoint_seconds: float = 120.0,
    stop_after: int | None = None,
    guide: DistillationLoss | None = None,
) -> nn.Module:
    """Trains `network` and returns the running average of its weights.

    Args:
        network: gives (N, classes) logits for (N, 3, H, W) float32 images normalised with `mean` and `std`.
        images: the training pictures.
        recipe: optimiser, schedule, stages.
        out_dir: gets checkpoint.pt, log.jsonl; a checkpoint that is there is resumed from.
        stop_after: ends the run after this many steps, with a checkpoint, as a kill would.
        guide: gives the loss in place of cross-entropy with the labels.
    Raises:
        InputError: the checkpoint there was made by another recipe.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval()
    taps = AuxiliaryHeads(network, recipe.auxiliary, recipe.stages[0].size)
    optimizer = optimizer_for(nn.ModuleList([network, taps]), recipe)
    kept = {"network": network, "average": average, "taps": taps, "optimizer": optimizer}
    done = _resume(out_dir / "checkpoint.pt", kept, recipe)
    stop = recipe.steps if stop_after is None else min(stop_after, recipe.steps)
    log = _Log(out_dir / "log.jsonl", done, recipe, on_tick)
    saved_at = time.monotonic()
    network.train()
    with _child_signals_kept():
        for step, stage, pictures, labels in _batches(images, recipe, done, stop, workers):
            torch.manual_seed(recipe.seed * 1_000_003 + step)
            factor = rate_factor(recipe, step, images.count)
            optimizer.set_rate(factor)
            tap_weight = recipe.auxiliary_weight * (1 - step / recipe.steps)
            inputs = normalised(pictures.to(device), mean, std)
            part = step / recipe.steps
            together, wanted = stage.at_once or len(inputs), labels.to(device)
            pairs = list(zip(torch.split(inputs, together), torch.split(wanted, together), strict=True))
            loss, right = _step(network, taps, tap_weight, optimizer, recipe, pairs, guide, part)
            _follow(average, network, min(recipe.ema, (1 + step) / (10 + step)))
            done = step + 1
            log.add(done, stage, recipe.learning_rate * factor, loss, right)
            if time.monotonic() - saved_at > checkpoint_seconds:
                _save(out_dir / "checkpoint.pt", kept, recipe, done)
                saved_at = time.monotonic()
    _save(out_dir / "checkpoint.pt", kept, recipe, done)
    return average


@contextmanager
def _child_signals_kept() -> Iterator[None]:
    """Takes away again what torch leaves behind: a handler for the end of its data loader's workers.

    A child of another kind that ends later would interrupt whatever runs then, and with OpenVINO's kernels loaded the
    process does not survive that on every machine (seen: a segmentation fault in the middle of a build).
    """
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """A fresh network whose first weights come from the seed alone."""
    torch.manual_seed(seed)
    return make()


def rate_factor(recipe: TrainingRecipe, step: int, images_per_epoch: int) -> float:
    """What the rates are multiplied by at a step: the paper's staircase by epochs, or a cosine after a linear rise."""
    if recipe.schedule == "one-cycle":
        part = (step + 0.5) / recipe.steps
        if part < recipe.warmup:
            return part / recipe.warmup
        return 0.5 * (1 + math.cos(math.pi * (part - recipe.warmup) / (1 - recipe.warmup)))
    seen = recipe.images_at(step)
    return float(recipe.decay_rate ** (seen / images_per_epoch // recipe.decay_epochs))


def _batches(
    images: TrainingImages, recipe: TrainingRecipe, done: int, stop: int, workers: int
) -> Iterator[tuple[int, Stage, Tensor, Tensor]]:
    """(step, stage, uint8 pictures (N, H, W, 3), labels (N,)) from step `done` up to `stop`."""
    step, position = 0, 0
    for stage in recipe.stages:
        skip = min(max(done - step, 0), stage.steps)
        if skip < stage.steps and step + skip < stop:
            dataset = _Positions(images, stage, position, skip * stage.batch, recipe.seed)
            loader = DataLoader(dataset, stage.batch, num_workers=workers, prefetch_factor=4 if workers else None)
            for offset, (pictures, labels) in enumerate(loader):
                if step + skip + offset >= stop:
                    return
                yield step + skip + offset, stage, pictures, labels
        step += stage.steps
        position += stage.steps * stage.batch


def normalised(pictures: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """uint8 (N, H, W, 3) to float32 (N, 3, H, W), channels last in memory."""
    shift = torch.tensor(mean, device=pictures.device).view(1, 3, 1, 1)
    scale = torch.tensor(std, device=pictures.device).view(1, 3, 1, 1)
    inputs = (pictures.permute(0, 3, 1, 2).float().div(255) - shift) / scale
    return inputs.contiguous(memory_format=torch.channels_last)


def _step(
    network: nn.Module,
    taps: AuxiliaryHeads,
    tap_weight: float,
    optimizer: Optimizer,
    recipe: TrainingRecipe,
    batch: list[tuple[Tensor, Tensor]],
    guide: DistillationLoss | None,
    done: float,
) -> tuple[float, int]:
    """One optimiser step on a batch, (inputs, labels) of it at a time; returns the network's own mean loss and how many
    it had right.
    """
    count = sum(len(labels) for _, labels in batch)
    mean, right = 0.0, 0
    for inputs, labels in batch:
        with autocast(inputs.device.type, recipe.bf16):
            logits = network(inputs)
        if guide is not None:
            loss = guide.loss(inputs, logits, labels, done)
        else:
            loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        share = len(labels) / count
        whole = share * (loss + tap_weight * taps.loss(labels, recipe.label_smoothing))
        whole.backward()  # type: ignore[no-untyped-call]
        mean += share * float(loss.detach())
        right += int((logits.argmax(1) == labels).sum())
    parameters = [*network.parameters(), *taps.parameters()]
    if recipe.clip_tensor_norm is not None:
        for parameter in parameters:
            nn.utils.clip_grad_norm_([parameter], recipe.clip_tensor_norm)
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)
    optimizer.step()
    return mean, right


def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the running average of weights and batch-norm statistics towards the network's."""
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)


def _save(path: Path, kept: Mapping[str, Any], recipe: TrainingRecipe, done: int) -> None:
    state = {"step": done, "recipe": recipe.model_dump_json()}
    partial = path.with_suffix(".part")
    torch.save(state | {name: part.state_dict() for name, part in kept.items()}, partial)
    os.replace(partial, path)


def _resume(path: Path, kept: Mapping[str, Any], recipe: TrainingRecipe) -> int:
    """Takes back what was kept, if anything was; returns the steps done."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["recipe"] != recipe.model_dump_json():
        raise InputError(
            f"the checkpoint {path} was made with another recipe",
            "Give another --out, or delete the checkpoint to begin again.",
        )
    for name, part in kept.items():
        part.load_state_dict(state[name])
    return int(state["step"])


class _Log:
    """Averages over ten steps and writes a line; a resumed run first drops the lines after its checkpoint."""

    def __init__(self, path: Path, done: int, recipe: TrainingRecipe, on_tick: Callable[[Tick], None]) -> None:
        lines = path.read_text().splitlines() if path.exists() else []
        kept = [line for line in lines if json.loads(line)["step"] <= done]
        path.write_text("".join(line + "\n" for line in kept))
        self._path, self._recipe, self._on_tick = path, recipe, on_tick
        self._clear()

    def _clear(self) -> None:
        self._losses: list[float] = []
        self._right = self._seen = 0
        self._since = time.monotonic()

    def add(self, done: int, stage: Stage, rate: float, loss: float, right: int) -> None:
        self._losses.append(loss)
        self._right += right
        self._seen += stage.batch
        if done % 10 and done != self._recipe.steps:
            return
        tick = Tick(
            step=done,
            steps=self._recipe.steps,
            images=self._recipe.images_at(done),
            size=stage.size,
            learning_rate=rate,
            loss=sum(self._losses) / len(self._losses),
            top1=100 * self._right / self._seen,
            images_per_second=self._seen / (time.monotonic() - self._since),
        )
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(tick)) + "\n")
        self._on_tick(tick)
        self._clear()
