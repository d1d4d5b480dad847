"""One run of a contest: a network trained epoch by epoch, its error and the health of its features noted after each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs import CLASSES, draw, label_of
from edgekit.errors import InputError
from edgekit.models import create
from edgekit.models.registry import find_model
from edgekit.size import Size
from edgekit.study.outcome import EpochResult
from edgekit.study.recipe import Contest, Contestant, StudyRecipe
from edgekit.training.autocast import autocast
from edgekit.training.loop import RunSettings, normalised, seeded, train

EPOCHS_FILE = "epochs.jsonl"
_EPOCH = TypeAdapter(EpochResult)


@dataclass(frozen=True)
class KeptSigns:
    """Pictures drawn once: uint8 (count, size, size, 3), and labels; what an epoch goes through."""

    pictures: NDArray[np.uint8]

    @property
    def count(self) -> int:
        return len(self.pictures)

    def training_image(
        self, index: int, size: Size, seed: int, how: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """Picture `index` as it was drawn, and its label."""
        return self.pictures[index].copy(), label_of(index)


def drawn(split: str, count: int, size: int, directory: Path) -> NDArray[np.uint8]:
    """The first `count` signs of a split, (count, size, size, 3); kept in `directory` for the next run."""
    path = directory / f"{split}-{count}-{size}.npy"
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{np.random.SeedSequence().entropy}.npy")
        np.save(partial, np.stack([draw(split, index, size) for index in range(count)]))
        partial.replace(path)
    kept: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return kept


def run(recipe: StudyRecipe, contest: Contest, network: Contestant, seed: int, out_dir: Path, pictures: Path) -> None:
    """Trains one network to the last epoch, from where an earlier call was stopped.

    Leaves `EPOCHS_FILE` in `out_dir`, a line an epoch, beside the trainer's own log and checkpoint.
    """
    told = recipe.training_of(contest, network, seed)
    entry, _ = find_model(network.model)
    made = seeded(seed, lambda: create(network.model, len(CLASSES), contest.width, told.dropout, network.scale))
    images = KeptSigns(drawn("train", contest.epoch_images, contest.size, pictures))
    held_out = drawn("validation", contest.validation_images, contest.size, pictures)
    out_dir.mkdir(parents=True, exist_ok=True)
    for epoch in range(len(results(out_dir)) + 1, contest.epochs + 1):
        steps = epoch * contest.steps_per_epoch
        settings = RunSettings(entry.mean, entry.std, workers=0, stop_after=steps)
        average = train(made, images, told, out_dir, settings).network
        error, dead, rms = examined(average, held_out, entry.mean, entry.std)
        result = EpochResult(epoch, error, _mean_loss(out_dir, steps - contest.steps_per_epoch, steps), dead, rms)
        with (out_dir / EPOCHS_FILE).open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def results(out_dir: Path) -> list[EpochResult]:
    """The epochs that a run has behind it.

    Raises:
        InputError: the file that tells of them is damaged.
    """
    path = out_dir / EPOCHS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [_EPOCH.validate_json(line) for line in lines]
    except ValueError as error:  # pydantic's, too
        raise InputError(f"{path} is damaged", "Delete its folder to run that network again.") from error


def examined(
    network: nn.Module, pictures: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> tuple[float, float, float | None]:
    """Top-1 error (percent), dead features (percent) and their root mean square, of a network with `penultimate`."""
    network.eval()
    device = next(network.parameters()).device
    classify: Any = network.get_submodule("classif" if hasattr(network, "classif") else "last_linear")
    wrong, squares, alive = 0, 0.0, torch.zeros(classify.in_features, dtype=torch.bool, device=device)
    with torch.inference_mode():
        for first in range(0, len(pictures), 64):
            batch = torch.from_numpy(pictures[first : first + 64].copy()).to(device)
            with autocast(device.type):
                features = network.penultimate(normalised(batch, mean, std))  # type: ignore[operator]
            features = features.float()
            answers = classify(features).argmax(1).cpu()
            labels = torch.tensor([label_of(first + place) for place in range(len(batch))])
            wrong += int((answers != labels).sum())
            squares += float(features.square().mean(1).sum())
            alive |= (features != 0).any(0)
    rms = (squares / len(pictures)) ** 0.5
    return (
        100 * wrong / len(pictures),
        100 * float((~alive).float().mean()),
        rms if np.isfinite(rms) else None,
    )


def _mean_loss(out_dir: Path, after: int, until: int) -> float | None:
    """Mean of the logged losses of the steps after `after` up to `until`."""
    ticks = [json.loads(line) for line in (out_dir / "log.jsonl").read_text().splitlines()]
    told = [tick["loss"] for tick in ticks if after < tick["step"] <= until]
    losses = [float("nan") if loss is None else loss for loss in told]  # null: it was no number
    mean = sum(losses) / len(losses) if losses else float("nan")
    return mean if np.isfinite(mean) else None
