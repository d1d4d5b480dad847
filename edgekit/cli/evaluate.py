"""`edgekit evaluate`: the accuracy of a model, a bundle or an ONNX file."""

from __future__ import annotations

import time
from typing import Any

import click

from edgekit.cli.options import data_options, json_option, model_options, preprocessing_options, subject_recipe
from edgekit.cli.output import emit_json, progress


@click.command(
    epilog="\b\nExamples:\n  edgekit evaluate --model inception_v4 --data signs\n"
    "  edgekit evaluate build/inception_v4-cpu --data signs --images 1000 --json\n"
    "  edgekit evaluate net.onnx --data photos/ --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225",
)
@click.argument("subject", required=False)
@model_options
@data_options
@preprocessing_options
@click.option(
    "--precision", type=click.Choice(("fp32", "bf16")), help="Of a model that is not quantized. Default: fp32."
)
@json_option
def command(subject: str | None, precision: str | None, as_json: bool, **flags: Any) -> None:
    """Measure top-1 and top-5 of SUBJECT (or --model) on labelled images, with OpenVINO on this processor."""
    recipe = subject_recipe(subject, flags)
    from edgekit.cli.events import shown_on
    from edgekit.data.folder import open_images
    from edgekit.errors import InputError
    from edgekit.store import Store
    from edgekit.subjects import prepare

    with progress() as bars:
        ready = prepare(recipe, precision, Store(), shown_on(bars))
        data = recipe.data or ready.default_data
        if data is None:
            raise InputError("there are no images to evaluate on", "Give labelled ones with --data.")
        images = open_images(
            data, skip_bad=recipe.skip_bad_images, limit=recipe.images, num_classes=ready.classes or None
        )
        if images.labels is None:
            raise InputError(f"the images in {data} have no labels", "Give one sub-folder a class, or a table.")
        from edgekit.compile import load
        from edgekit.validate.accuracy import accuracy
        from edgekit.validate.judge import predict

        session = load(ready.compiled, "throughput")
        began, count = time.monotonic(), len(images)
        told = predict(
            {"it": session}, images, ready.preprocessing, range(count), lambda n: bars.update("evaluate", n, count)
        )
        ips = count / (time.monotonic() - began)
        bars.finish("evaluate")
    result = accuracy(told["it"], images.labels)
    if as_json:
        emit_json(
            {
                "model": ready.name,
                "precision": ready.compiled.precision,
                "runtime": ready.compiled.runtime,
                "data": {"name": images.name, "images": count, "digest": images.digest, "skipped": len(images.skipped)},
                "accuracy": {
                    "top1": result.top1,
                    "top5": result.top5,
                    "images": result.images,
                    "ci95": list(result.ci95),
                },
                "throughput_ips": ips,
            }
        )
        return
    click.echo(
        f"{ready.name} ({ready.compiled.precision}) on {count} images of {images.name}: top-1 {result.top1:.2f} %"
        f" (95 % interval {result.ci95[0]:.2f} to {result.ci95[1]:.2f}), top-5 {result.top5:.2f} %, {ips:.1f} images/s"
    )
    if images.skipped:
        click.echo(f"{len(images.skipped)} unreadable images left out: {', '.join(images.skipped[:3])}")
