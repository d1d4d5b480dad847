"""`edgekit calibrate`: chooses a calibration set and pins it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import answer_options, json_option, model_options, preprocessing_options, subject_recipe
from edgekit.cli.output import emit_json, progress, say, warn, write_document


@click.command(
    epilog="\b\nExamples:\n  edgekit calibrate --data photos/ --out calibration.json\n"
    "  edgekit calibrate --data photos/ --strategy coverage --model net.onnx --images 200 --out calibration.json",
)
@click.option("--data", required=True, metavar="DATA", help="`signs`, a folder or a table: what to choose from.")
@click.option("--images", type=click.IntRange(min=1), default=300, show_default=True, help="How many to choose.")
@click.option(
    "--strategy",
    type=click.Choice(("random", "stratified", "coverage")),
    default="stratified",
    show_default=True,
    help="coverage: greedy k-center on the FP32 network's features; it needs --model.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of random and stratified."
)
@click.option("--skip-bad-images", is_flag=True, default=None, help="Leave out unreadable images instead of stopping.")
@model_options
@preprocessing_options
@answer_options
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("calibration.json"), show_default=True
)
@json_option
def command(
    data: str,
    images: int,
    strategy: str,
    seed: int,
    skip_bad_images: bool | None,
    out: Path,
    as_json: bool,
    **flags: Any,
) -> None:
    """Choose a calibration set and write its manifest: content hashes, class coverage, how it was chosen."""
    from edgekit.cli.events import shown_on
    from edgekit.data.calibration import choose, class_coverage, to_json
    from edgekit.data.folder import open_images
    from edgekit.data.labels import UNJUDGED
    from edgekit.data.left_out import said_of
    from edgekit.errors import InputError
    from edgekit.store import Store

    if strategy == "coverage" and flags["model"] is None:
        raise InputError("the coverage strategy needs a network to see with", "Give --model.")
    pool = open_images(data, skip_bad=bool(skip_bad_images), labels=UNJUDGED, split="calibration")
    for line in said_of(pool, data):
        warn(line)
    features = None
    with progress() as bars:
        if strategy == "coverage":
            from edgekit.build.runnable import export_source
            from edgekit.build.runner import Runner
            from edgekit.quantize.features import penultimate_features

            source, exported = export_source(subject_recipe(None, flags), Runner(Store(), shown_on(bars)))
            features = penultimate_features(
                exported.graph.path,
                pool,
                source.preprocessing,
                lambda done: bars.update("features", done, len(pool)),
            )
            bars.finish("features")
        chosen = choose(pool, images, strategy, seed, features, data)
    write_document(out, to_json(chosen))
    coverage = class_coverage(chosen)
    if as_json:
        told = {"images": len(chosen.items), "strategy": strategy, "digest": chosen.digest}
        emit_json({"calibration": told, "class_coverage": coverage, "out": str(out)})
        return
    of = "" if coverage["of"] is None else f", {coverage['covered']} of {coverage['of']} classes"
    say(f"{out}: {len(chosen.items)} of {len(pool)} images, {strategy}{of}, digest {chosen.digest[:16]}")
