"""`edgekit quantize`: one stage alone, from a model to an INT8 graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import json_option, model_options, preprocessing_options, subject_recipe
from edgekit.cli.output import emit_json, note, progress


@click.command(
    epilog="\b\nExamples:\n  edgekit quantize --model inception_v4 --out int8.onnx\n"
    "  edgekit quantize net.onnx --calibration calibration.json --mean 0.5 --std 0.5 --out int8.onnx",
)
@click.argument("subject", required=False)
@model_options
@click.option("--calibration", metavar="SET", help="A manifest of `edgekit calibrate`, or images to choose from.")
@click.option("--calibration-images", type=click.IntRange(min=1), metavar="N", help="How many to choose. Default: 300.")
@preprocessing_options
@click.option("--target", default="cpu", show_default=True, help="Whose rules the graph keeps: TensorRT wants signed.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("int8.onnx"), show_default=True)
@json_option
def command(
    subject: str | None,
    calibration: str | None,
    calibration_images: int | None,
    target: str,
    out: Path,
    as_json: bool,
    **flags: Any,
) -> None:
    """Quantize SUBJECT (or --model) to INT8: a Q/DQ graph that takes raw uint8 NHWC pixels, preprocessing inside."""
    from edgekit.bundle import place_file
    from edgekit.cli.events import shown_on
    from edgekit.cli.options import calibration_settings
    from edgekit.models.source import resolve
    from edgekit.stages import Run, calibrate, export_graph, quantize_graph
    from edgekit.store import Store, file_sha256
    from edgekit.targets import find, release_of

    recipe = subject_recipe(
        subject, {**flags, "calibration": calibration_settings(calibration, calibration_images, None)}
    )
    with progress() as bars:
        found = find(target)
        run = Run(recipe, resolve(recipe), Store(), ("fp32", "int8"), shown_on(bars), found, release_of(found))
        exported = export_graph(run)
        chosen, pool = calibrate(run, None, exported)
        made = quantize_graph(run, exported, chosen, pool, ("int8",)).path / "int8.onnx"
    place_file(made, out)
    told: dict[str, Any] = {"out": str(out), "sha256": file_sha256(out), "size_bytes": out.stat().st_size}
    if as_json:
        emit_json({**told, "calibration": {"images": len(chosen.items), "digest": chosen.digest}})
    else:
        click.echo(f"{out}: {told['size_bytes'] / 1e6:.1f} MB, calibrated with {len(chosen.items)} images")
    for text in run.warnings:
        note(f"edgekit: warning: {text}")
