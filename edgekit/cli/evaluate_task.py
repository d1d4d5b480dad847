"""What `edgekit evaluate` says of networks whose outputs are no classes: vectors, or sets of labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import Progress, emit_json

if TYPE_CHECKING:
    from edgekit.build.runnable import Runnable
    from edgekit.data.image_set import ImageSet
    from edgekit.validate.embedding import EmbeddingScore
    from edgekit.validate.multilabel import MultilabelScore


def evaluate_task(network: Runnable, images: ImageSet, bars: Progress, as_json: bool) -> None:
    """Runs a network on images, and says what the metric of its task is.

    Raises:
        InputError: the images have no labels, or too few of a kind.
    """
    from edgekit.errors import InputError

    score = _score(network, images, bars)
    if score is None:
        raise InputError(f"the images in {images.name} have no labels", "Give one sub-folder a class, or a table.")
    if as_json:
        emit_json(
            {
                "model": network.name,
                "task": network.question.task,
                "precision": network.compiled.precision,
                "runtime": network.compiled.backend,
                "data": {"name": images.name, "images": len(images), "digest": images.digest},
                "accuracy": asdict(score),
            }
        )
        return
    click.echo(
        f"{network.name} ({network.compiled.precision}) on {score.images} images of {images.name}: {_said(score)}"
    )


def _score(network: Runnable, images: ImageSet, bars: Progress) -> EmbeddingScore | MultilabelScore | None:
    from edgekit.backends import backend
    from edgekit.validate.evaluation import Views, predict
    from edgekit.validate.tasks import judge

    count = len(images)
    bars.update("evaluate", 0, count)
    views = Views(images, range(count), network.preprocessing, True, network.question)
    with backend(network.compiled.backend).load(network.compiled, "throughput") as session:
        made = predict(
            {"": session},
            images,
            network.preprocessing,
            views.indices,
            lambda done: bars.update("evaluate", done, count),
        )[""]
    bars.finish("evaluate")
    found = judge(network.question, made, views.truth)(made, True)
    return found.embedding or found.multilabel


def _said(score: Any) -> str:
    low, high = score.ci95
    if hasattr(score, "pairs"):
        pairs = score.pairs
        return (
            f"nearest-neighbour top-1 {score.top1:.2f} % (95 % interval {low:.2f} to {high:.2f}), ROC AUC of pairs"
            f" {pairs.roc_auc:.4f}; at a cosine of {pairs.threshold:.4f}, {pairs.false_accept:.2f} % false accepts and"
            f" {pairs.false_reject:.2f} % false rejects"
        )
    return (
        f"macro average precision {score.map:.2f} % (95 % interval {low:.2f} to {high:.2f}), macro F1 {score.f1:.2f} %"
        f" at a probability of {score.threshold:g}"
    )
