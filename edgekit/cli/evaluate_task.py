"""What `edgekit evaluate` says of networks whose outputs are no classes: vectors, or sets of labels."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edgekit.cli.output import Progress, emit_json, say

if TYPE_CHECKING:
    from edgekit.build.ensemble import Named
    from edgekit.cli.evaluate_run import Where
    from edgekit.cluster.evaluate import Facts
    from edgekit.data.image_set import ImageSet
    from edgekit.validate.embedding import EmbeddingScore
    from edgekit.validate.multilabel import MultilabelScore


def evaluate_task(named: Named, images: ImageSet, bars: Progress, where: Where | None, as_json: bool) -> None:
    """Runs a network on images, here or on a cluster, and says what the metric of its task is.

    Raises:
        InputError: the images have no labels, or too few of a kind.
    """
    from edgekit.errors import InputError

    network = named.runnable
    score, cluster = _score(named, images, bars, where)
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
                **({} if cluster is None else {"cluster": asdict(cluster)}),
            }
        )
        return
    say(f"{network.name} ({network.compiled.precision}) on {score.images} images of {images.name}: {_said(score)}")


def _score(
    named: Named, images: ImageSet, bars: Progress, where: Where | None
) -> tuple[EmbeddingScore | MultilabelScore | None, Facts | None]:
    from edgekit.backends import backend
    from edgekit.cli.evaluate_run import STAGE, run
    from edgekit.validate.evaluation import Views, predict
    from edgekit.validate.tasks import judge

    network, count, cluster = named.runnable, len(images), None
    bars.update(STAGE, 0, count)
    views = Views(images, range(count), network.preprocessing, True, network.question)
    if where is not None:
        ran = run([named], images, 1, where, bars)
        made, cluster = ran.outcome.single[0], ran.cluster
    else:
        with backend(network.compiled.backend).load(network.compiled, "throughput") as session:
            made = predict(
                {"": session},
                images,
                network.preprocessing,
                views.indices,
                lambda done: bars.update(STAGE, done, count),
            )[""]
        bars.finish(STAGE)
    found = judge(network.question, made, views.truth)(made, True)
    return found.embedding or found.multilabel, cluster


def _said(score: EmbeddingScore | MultilabelScore) -> str:
    from edgekit.validate.embedding import EmbeddingScore

    low, high = score.ci95
    if isinstance(score, EmbeddingScore):
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
