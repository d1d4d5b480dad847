"""`edgekit quantize`: one stage alone, from a model to an INT8 graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.completion import image_sources, known_targets
from edgekit.cli.options import (
    answer_options,
    json_option,
    model_options,
    preprocessing_options,
    subject_recipe,
)
from edgekit.cli.output import emit_json, progress, say, warn


@click.command(
    epilog="\b\nExamples:\n  edgekit quantize --model inception_v4 --out int8.onnx\n"
    "  edgekit quantize net.onnx --calibration calibration.json --mean 0.5 --std 0.5 --out int8.onnx\n"
    "  edgekit quantize --model inception_v4 --explain --plot why.html",
)
@click.argument("subject", required=False)
@model_options
@click.option(
    "--calibration",
    shell_complete=image_sources,
    metavar="SET",
    help="A manifest of `edgekit calibrate`, or images to choose from.",
)
@click.option("--calibration-images", type=click.IntRange(min=1), metavar="N", help="How many to choose. Default: 300.")
@preprocessing_options
@answer_options
@click.option(
    "--target",
    shell_complete=known_targets,
    default="cpu",
    show_default=True,
    help="Whose rules the graph keeps: TensorRT wants signed.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("int8.onnx"), show_default=True)
@click.option("--explain", "explained", is_flag=True, help="Say which layers lose accuracy, and why.")
@click.option(
    "--explain-images",
    type=click.IntRange(min=1),
    default=48,
    show_default=True,
    metavar="N",
    help="Calibration images to look at.",
)
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.html", help="Draw what --explain says."
)
@json_option
def command(
    subject: str | None,
    calibration: str | None,
    calibration_images: int | None,
    target: str,
    out: Path,
    explained: bool,
    explain_images: int,
    plot: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Quantize SUBJECT (or --model) to INT8: a Q/DQ graph that takes raw uint8 NHWC pixels, preprocessing inside."""
    if plot is not None and not explained:
        raise click.UsageError("--plot draws what --explain finds; give both")
    from edgekit.build.pipeline import quantize
    from edgekit.bundle.directory import place_file
    from edgekit.cli.events import shown_on
    from edgekit.cli.options import calibration_settings
    from edgekit.quantize.widened import read_widened
    from edgekit.store import file_sha256

    recipe = subject_recipe(
        subject,
        {**flags, "target": target, "calibration": calibration_settings(calibration, calibration_images, None)},
    )
    with progress() as bars:
        made, run = quantize(recipe, explain_images if explained else None, on_event=shown_on(bars))
    place_file(made.quantized.of("int8").path, out)
    chosen, why = made.calibration.chosen, made.explanation
    widened = read_widened(made.quantized.of("int8").path)
    from edgekit.report.explanation import Explanation

    explanation = Explanation.of(why) if why is not None else None
    if explanation is not None and plot is not None:
        from edgekit.report.explained import page

        plot.parent.mkdir(parents=True, exist_ok=True)
        plot.write_text(page(explanation, str(recipe.model)), encoding="utf-8")
    told: dict[str, Any] = {"out": str(out), "sha256": file_sha256(out), "size_bytes": out.stat().st_size}
    if as_json:
        told["calibration"] = {"images": len(chosen.items), "digest": chosen.digest}
        told["int8_sums"] = {"how": "exact"} if widened is None else {"how": "16-bit", **vars(widened)}
        emit_json(told if why is None else {**told, "explain": why})
    else:
        say(f"{out}: {told['size_bytes'] / 1e6:.1f} MB, calibrated with {len(chosen.items)} images")
        if widened is not None:
            say(f"for processors without VNNI: {widened.widened_channels} of {widened.channels} scales are wider")
        if explanation is not None:
            from edgekit.cli.explained import show

            show(explanation)
    for text in run.warnings:
        warn(text)
