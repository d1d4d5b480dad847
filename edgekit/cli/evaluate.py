"""`edgekit evaluate`: the accuracy of a model, a bundle or an ONNX file, or of several as an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.cluster_options import cluster_options, cluster_settings
from edgekit.cli.completion import known_members
from edgekit.cli.noise import warned
from edgekit.cli.options import (
    answer_options,
    data_options,
    json_option,
    label_options,
    model_options,
    preprocessing_options,
    subject_recipe,
)
from edgekit.cli.output import emit_json, note, print_table, progress, say, warn
from edgekit.cli.store_options import driver_store, store_options

if TYPE_CHECKING:
    from edgekit.build.ensemble import Named
    from edgekit.cli.evaluate_run import Ran
    from edgekit.data.image_set import ImageSet, Keep
    from edgekit.recipe import Recipe
    from edgekit.validate.protocols import Outcome
    from edgekit.validate.scores import Scores


DOUBTED = 2_000
"""Images that answers are compared with shuffled labels on, at most."""


@click.command(
    epilog="\b\nExamples:\n  edgekit evaluate --model inception_v4 --data signs\n"
    "  edgekit evaluate build/inception_v4-cpu --data signs --images 1000 --json\n"
    "  edgekit evaluate net.onnx --data photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225\n"
    "  edgekit evaluate --model inception_v4 --crops 144 --images 480\n"
    "  edgekit evaluate --model inception_v4 --ensemble inception_resnet_v1,inception_resnet_v2\n"
    "  edgekit evaluate --model inception_v4.tf_in1k --data val/ --exclude blacklist.txt\n"
    "  edgekit evaluate --model inception_v4 --cluster --workers 2\n"
    "  edgekit evaluate --model inception_v4 --data val/ --cluster ray://head:10001 --send-data",
)
@click.argument("subject", required=False)
@model_options
@data_options
@label_options
@preprocessing_options
@answer_options
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    metavar="X",
    help="To embed: a cosine; of sets of labels a probability.",
)
@click.option(
    "--precision", type=click.Choice(("fp32", "bf16")), help="Of a model that is not quantized. Default: fp32."
)
@click.option(
    "--crops",
    type=click.Choice((1, 10, 12, 144)),
    default=1,
    help="Views of every image whose softmax is averaged. Default: 1, the model's own centre crop.",
)
@click.option(
    "--ensemble",
    shell_complete=known_members,
    metavar="A,B,...",
    help="Average with these: NAME, NAME.TAG, a bundle, an ONNX file, or NAME=FILE, that model with the weights of a"
    " file. --width, --num-classes and preprocessing hold for NAME=FILE too, preprocessing for ONNX files.",
)
@click.option(
    "--exclude",
    metavar="FILE",
    help="Leave out the images listed: one a line, a name or the number that it ends in; # comments.",
)
@cluster_options
@click.option(
    "--send-data", is_flag=True, help="With --cluster: send image files to the nodes, which need not see them."
)
@store_options
@json_option
def command(
    subject: str | None,
    precision: str | None,
    crops: int,
    ensemble: str | None,
    exclude: str | None,
    cluster: str | None,
    workers: int | None,
    wheel: str | None,
    send_data: bool,
    store: str | None,
    store_token_file: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Measure the accuracy of SUBJECT (or --model) on labelled images, on this processor: top-1 and top-5, or what the
    task of the network asks for.
    """
    recipe = subject_recipe(subject, flags)
    settings = cluster_settings(cluster, workers, wheel)
    if send_data and settings is None:
        raise click.UsageError("--send-data needs --cluster")
    from edgekit.build.ensemble import members_of, prepare_ensemble
    from edgekit.cli.evaluate_run import Where, run
    from edgekit.cli.evaluate_task import evaluate_task
    from edgekit.cli.events import shown_on
    from edgekit.validate.scores import scored

    kept = driver_store(store, store_token_file, settings is not None)
    where = None if settings is None else Where(settings, send_data, kept)
    items = () if ensemble is None else members_of(ensemble)
    keep, left_out = _exclusion(exclude)
    with progress() as bars:
        networks = prepare_ensemble(recipe, items, precision, kept, warned(shown_on(bars)))
        for line in dict.fromkeys(line for each in networks for line in each.runnable.notes):
            warn(line)
        if networks[0].runnable.question.task != "classify":
            if items or crops != 1:
                raise click.UsageError("--crops and --ensemble average the probabilities of classes")
            images = _opened(recipe, networks[0], keep)
            evaluate_task(networks[0], images, bars, where, as_json)
            return
        images, labels = _labelled(recipe, networks[0], keep)
        ran = run(networks, images, crops, where, bars)
    outcome = ran.outcome
    scores = scored(outcome, [each.label for each in networks], labels)
    _doubt(recipe, images, outcome)
    if as_json:
        emit_json(_told(networks, images, ran, scores, len(left_out)))
        return
    _say(networks, images, ran, scores)
    if left_out:
        say(f"{len(left_out)} images left out by --exclude")


def _exclusion(exclude: str | None) -> tuple[Keep | None, list[str]]:
    """What chooses the images that a list leaves, and the names of those that it left out once it has chosen.

    Raises:
        InputError: the list cannot be read; and, when choosing: it names no image, or all of them.
    """
    left_out: list[str] = []
    if exclude is None:
        return None, left_out
    from pathlib import Path

    from edgekit.data.exclusion import matched, read_list
    from edgekit.errors import InputError

    entries = read_list(Path(exclude))

    def keep(names: Sequence[str]) -> Sequence[int]:
        found = matched(names, entries)
        if len(found.kept) == len(names):
            raise InputError(
                f"none of the {len(entries)} lines of {exclude} names an image", f"Images are called {names[0]!r}."
            )
        if not found.kept:
            raise InputError(f"{exclude} leaves out all {len(names)} images", "Give a list of some of them.")
        if found.unmatched:
            count, first = len(found.unmatched), found.unmatched[0]
            warn(f"{count} of {len(entries)} lines of {exclude} name no image, first {first!r}")
        kept = set(found.kept)
        left_out.extend(name for place, name in enumerate(names) if place not in kept)
        return found.kept

    return keep, left_out


def _labelled(recipe: Recipe, first: Named, keep: Keep | None) -> tuple[ImageSet, Any]:
    """The images to evaluate on, and their labels."""
    from edgekit.errors import InputError

    images = _opened(recipe, first, keep)
    if images.labels is None:
        raise InputError(f"the images in {images.name} have no labels", "Give one sub-folder a class, or a table.")
    return images, images.labels


def _opened(recipe: Recipe, first: Named, keep: Keep | None) -> ImageSet:
    """The images to evaluate on."""
    from edgekit.data.folder import open_images
    from edgekit.data.labels import label_rules
    from edgekit.data.left_out import said_of
    from edgekit.data.rotated import rotation_warning
    from edgekit.errors import InputError

    data = recipe.data or first.runnable.default_data
    if data is None:
        raise InputError("there are no images to evaluate on", "Give labelled ones with --data.")
    task = first.runnable.question.task
    rules = label_rules(recipe.model_copy(update={"task": task}), first.runnable.classes or None)
    images = open_images(data, skip_bad=recipe.skip_bad_images, limit=recipe.images, labels=rules, keep=keep)
    rotated = None if first.runnable.preprocessing.exif else rotation_warning(images)
    for line in (*said_of(images, data), *filter(None, [rotated])):
        warn(line)
    return images


def _doubt(recipe: Recipe, images: ImageSet, outcome: Outcome) -> None:
    """Warns where the first network's answers have nothing to do with the labels, and of what explains them."""
    from edgekit.data.image_set import spread
    from edgekit.validate.chance import first_answers, near_chance
    from edgekit.validate.label_orders import PLAIN, Told, doubt, explained

    if images.labels is None or recipe.weights == "random":
        return
    some = spread(len(images), DOUBTED)
    labels, answers, names = images.labels[some], outcome.single[0][some], [images.identifier(at) for at in some]
    chance = near_chance(answers, labels)
    if not chance.doubtful and chance.top1 + PLAIN > 100:
        return
    told = Told(labels, names, images.folders, recipe.labels.offset, recipe.data or images.name)
    found = explained(first_answers(answers), answers.shape[1], told)
    what = doubt(chance, found, "the network")
    if what is not None:
        warn(what + ("" if found is None else f". {found.said}"))


def _told(networks: Sequence[Named], images: ImageSet, ran: Ran, scores: Scores, excluded: int) -> dict[str, Any]:
    """What --json prints."""
    from dataclasses import asdict

    from edgekit.data.left_out import as_json
    from edgekit.report.protocols import gain_values, score_values

    first, outcome = networks[0].runnable, ran.outcome
    told = {
        "model": first.name,
        "precision": first.compiled.precision,
        "runtime": first.compiled.backend,
        "data": {
            "name": images.name,
            "images": outcome.images,
            "digest": images.digest,
            "skipped": len(images.skipped),
            "left_out": as_json(images.left_out),
        },
        **score_values(scores.whole),
        "crops": outcome.crops,
        "views": outcome.views_per_image,
        "excluded": excluded,
        "throughput_ips": ran.images_per_s,
        "views_per_second": ran.views_per_s,
    }
    if ran.cluster is not None:
        told["cluster"] = asdict(ran.cluster)
    if scores.ensemble_gain is not None and scores.best is not None:
        told["members"] = [
            {
                "model": each.label,
                "precision": each.runnable.compiled.precision,
                "runtime": each.runnable.compiled.backend,
                **score_values(score),
            }
            for each, score in zip(networks, scores.members, strict=True)
        ]
        told["ensemble_gain"] = {"over": scores.best.name, **gain_values(scores.ensemble_gain)}
    return told


def _say(networks: Sequence[Named], images: ImageSet, ran: Ran, scores: Scores) -> None:
    """What is printed for people: one line for one network with one crop, else a table and what it says."""
    from edgekit.cli.evaluate_run import sentence
    from edgekit.report.protocols import PAPER_RESULTS, sentences, table

    outcome, first = ran.outcome, networks[0].runnable
    count = outcome.images
    if ran.cluster is not None:
        note(sentence(ran.cluster))
    if len(networks) == 1 and outcome.crops == 1:
        found = scores.whole.accuracy
        say(
            f"{first.name} ({first.compiled.precision}) on {count} images of {images.name}: top-1 {found.top1:.2f} %"
            f" (95 % interval {found.ci95[0]:.2f} to {found.ci95[1]:.2f}), top-5 {found.top5:.2f} %, {ran.speed}"
        )
        return
    names = [each.runnable.network for each in networks]
    is_imagenet = all(each.runnable.classes == 1000 for each in networks) and len(images.classes) in (0, 1000)
    beside = names if is_imagenet and any(name in PAPER_RESULTS for name in names) else None
    precisions = ", ".join(dict.fromkeys(each.runnable.compiled.precision for each in networks))
    say(
        f"{count} images of {images.name}, {precisions}, {outcome.views_per_image:.1f} views of each:"
        f" {ran.speed}" + ("" if ran.views_per_s is None else f", {ran.views_per_s:.1f} views/s")
    )
    print_table(*table(scores, outcome.crops, beside))
    for line in sentences(scores, outcome.crops, beside):
        say(line)
