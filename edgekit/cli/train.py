"""`edgekit train`: trains a network by a recipe, and goes on where an earlier run was stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.completion import known_networks, training_recipes
from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, note, progress, warn

if TYPE_CHECKING:
    from edgekit.training.images import TrainingImages
    from edgekit.training.log import Tick
    from edgekit.training.recipe import TrainingRecipe


@click.command(
    epilog="\b\nExamples:\n  edgekit train --recipe signs-modern\n"
    "  edgekit train --recipe paper --data photos/ --num-classes 10 --out run\n"
    "  edgekit train --recipe own.yaml --model mynets:small --data photos/ --out run\n"
    "  edgekit evaluate --model inception_v4 --weights run/weights.safetensors --num-classes 10 --data photos/",
)
@click.option(
    "--recipe",
    shell_complete=training_recipes,
    default="paper",
    show_default=True,
    metavar="FILE",
    help="A training recipe: a file, or the name of a shipped one (paper, signs-modern, signs-resnet-v2, ...).",
)
@click.option(
    "--model",
    shell_complete=known_networks,
    metavar="NAME",
    help="A network of `edgekit models`, timm:NAME, or package.module:factory.",
)
@click.option("--width", type=click.FloatRange(0, min_open=True), metavar="X", help="Channel multiplier.")
@click.option("--num-classes", type=click.IntRange(min=2), metavar="N", help="Default: as the data has.")
@click.option("--data", metavar="DATA", help="`signs`, a folder with one sub-folder a class, or a table.")
@click.option("--weights", metavar="FILE", help="Begin with these weights instead of fresh ones.")
@click.option("--seed", type=int, metavar="N", help="Of the fresh weights and the order of the images.")
@click.option("--stop-after", type=click.IntRange(min=1), metavar="STEPS", help="Stop there; the next run goes on.")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that draw images.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("train"), show_default=True, help="For checkpoint and log."
)
@json_option
def command(
    recipe: str,
    num_classes: int | None,
    weights: str | None,
    stop_after: int | None,
    workers: int,
    out: Path,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train a network; checkpoints, and resumes exactly.

    Leaves checkpoint.pt, log.jsonl and, at the end, curve.svg and weights.safetensors: the running average of the
    weights in FP16.
    """
    settings = _settings(recipe, **flags)
    images, classes = _images(settings, num_classes)
    from edgekit.models.weights import load_into, write_weights
    from edgekit.report.curve import Progress, curve
    from edgekit.size import shown, size_of
    from edgekit.training.loop import RunSettings, train
    from edgekit.training.trainee import trainee

    found = trainee(settings, classes)
    settings = found.recipe
    for line in found.notes:
        warn(line)
    if weights is not None:
        found = replace(found, network=load_into(found.network, Path(weights)))
    last: list[Tick] = []
    with progress() as bars:

        def tell(tick: Tick) -> None:
            last[:] = [tick]
            pace = f"{tick.images_per_second:.0f} images/s"
            detail = f"{shown(tick.size)} px, loss {tick.loss:.3f}, top-1 {tick.top1:.1f} %, {pace}"
            bars.update("train", tick.step, tick.steps, detail)

        lower = f"Lower `learning_rate` in the recipe: it is {settings.learning_rate:g}."
        run = RunSettings(found.mean, found.std, workers=workers, stop_after=stop_after, if_diverged=lower)
        average = train(found.network, images, settings, out, run, on_tick=tell).network
    done = stop_after is None or stop_after >= settings.steps
    if done:
        write_weights(average, out / "weights.safetensors")
        (out / "recipe.json").write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        ticks = [Progress(each["images"], shown(size_of(each["size"])), each["top1"]) for each in lines]
        (out / "curve.svg").write_text(curve(ticks), encoding="utf-8")
    if as_json:
        emit_json(
            {
                "step": min(stop_after or settings.steps, settings.steps),
                "steps": settings.steps,
                "loss": last[-1].loss if last else None,
                "weights": str(out / "weights.safetensors") if done else None,
            }
        )
    else:
        note("run it again to go on" if not done else f"weights: {out / 'weights.safetensors'}")


def _settings(recipe: str, **flags: Any) -> TrainingRecipe:
    """The recipe of a file or a shipped name, with flags laid over it."""
    from edgekit.recipe import checked, read_yaml, recipe_path
    from edgekit.training.recipe import TrainingRecipe

    path = recipe_path("training", recipe)
    told = {key: value for key, value in flags.items() if value is not None}
    return checked(TrainingRecipe, read_yaml(path) | told, "training recipe")


def _images(settings: TrainingRecipe, num_classes: int | None) -> tuple[TrainingImages, int]:
    """What is trained on, and how many classes the network gets."""
    from edgekit.data.folder import FolderSet, open_images
    from edgekit.data.labels import LabelRules
    from edgekit.data.left_out import said_of
    from edgekit.errors import InputError

    if settings.data == "signs":
        from edgekit.data.signs import CLASSES
        from edgekit.data.training_signs import TrainingSigns

        return TrainingSigns(crops=settings.crops), num_classes or len(CLASSES)
    images = open_images(settings.data, labels=LabelRules(classes=num_classes))
    for line in said_of(images, settings.data):
        warn(line)
    if not isinstance(images, FolderSet) or images.labels is None:
        raise InputError(f"the images in {settings.data} have no labels", "Give one sub-folder a class, or a table.")
    return images, num_classes or int(images.labels.max()) + 1
