"""`edgekit compile`: one stage alone, from an ONNX graph to what a runtime loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import json_option, model_options, preprocessing_options, subject_recipe
from edgekit.cli.output import emit_json, progress


@click.command(
    epilog="\b\nExamples:\n  edgekit compile int8.onnx --out compiled\n"
    "  edgekit compile --model inception_v4 --precision bf16 --out compiled",
)
@click.argument("subject", required=False)
@model_options
@preprocessing_options
@click.option("--target", default="cpu", show_default=True, help="What to compile for.")
@click.option(
    "--precision", type=click.Choice(("fp32", "bf16")), help="Of a model that is not quantized. Default: fp32."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("compiled"), show_default=True)
@json_option
def command(subject: str | None, target: str, precision: str | None, out: Path, as_json: bool, **flags: Any) -> None:
    """Compile SUBJECT (or --model) for a target: model.xml and model.bin of OpenVINO, in --out."""
    from edgekit.bundle import place_file
    from edgekit.cli.events import shown_on
    from edgekit.store import Store
    from edgekit.subjects import prepare
    from edgekit.targets import require

    require(target)
    recipe = subject_recipe(subject, flags)
    with progress() as bars:
        compiled = prepare(recipe, precision, Store(), shown_on(bars)).compiled
    made = Path(compiled.path)
    for file in (made, made.with_suffix(".bin")):
        place_file(file, out / file.name)
    if as_json:
        told = {"runtime": compiled.runtime, "precision": compiled.precision, "size_bytes": compiled.size_bytes}
        emit_json({**told, "out": str(out), "files": ["model.xml", "model.bin"]})
    else:
        click.echo(f"{out}: {compiled.precision}, {compiled.size_bytes / 1e6:.1f} MB, for {compiled.runtime}")
