"""`edgekit compile`: one stage alone, from an ONNX graph to what a runtime loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.completion import known_targets
from edgekit.cli.options import (
    answer_options,
    json_option,
    model_options,
    preprocessing_options,
    subject_recipe,
    tensorrt_options,
)
from edgekit.cli.output import emit_json, progress, say, warn


@click.command(
    epilog="\b\nExamples:\n  edgekit compile int8.onnx --out compiled\n"
    "  edgekit compile --model inception_v4 --precision bf16 --out compiled\n"
    "  edgekit compile int8.onnx --target rtx --compute-capability 8.9",
)
@click.argument("subject", required=False)
@model_options
@preprocessing_options
@answer_options
@click.option(
    "--target",
    shell_complete=known_targets,
    default="cpu",
    show_default=True,
    help="What to compile for: cpu, igpu, npu, gpu, rtx or an ARM board.",
)
@click.option(
    "--precision",
    type=click.Choice(("fp32", "bf16", "fp16")),
    help="Of a model that is not quantized. Default: fp32.",
)
@tensorrt_options
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("compiled"), show_default=True)
@json_option
def command(subject: str | None, target: str, precision: str | None, out: Path, as_json: bool, **flags: Any) -> None:
    """Compile SUBJECT (or --model) for a target, in --out: model.xml and model.bin of OpenVINO, model.onnx of ONNX
    Runtime, or model.engine.
    """
    import platform
    from dataclasses import replace

    from edgekit.backends import CompileSettings, backend
    from edgekit.build.runnable import graph_for, saturates_here
    from edgekit.bundle.directory import place_file
    from edgekit.cli.events import shown_on
    from edgekit.errors import InputError, UnavailableError
    from edgekit.store import Store
    from edgekit.targets import find, release_of
    from edgekit.temporary import temporary_folder

    found = find(target)
    if found.releases and found.can.device:
        raise UnavailableError(
            f"an engine for {found.name} can only be built on it",
            f"`edgekit build --target {target}` makes a bundle that does so at first use.",
        )
    recipe = subject_recipe(subject, flags)
    if recipe.tensorrt.batch and not found.releases:
        raise InputError(f"--batch is for TensorRT, and {found.name} has none", "Leave it out.")
    told = recipe.tensorrt
    settings = CompileSettings(
        told.compute_capabilities or found.compute_capabilities,
        told.optimization_level,
        None if told.workspace_mb is None else told.workspace_mb << 20,
        batches=told.batch,
    )
    with progress() as bars, temporary_folder() as folder:
        name = found.backends[found.default_runtime(platform.machine())]
        compiler, release = backend(name), release_of(found)
        form = replace(compiler.graph_format(release), open_batch=bool(told.batch))
        graph, made_of = graph_for(recipe, precision, form, Store(), shown_on(bars))
        if made_of not in compiler.PRECISIONS:
            raise InputError(f"{found.name} computes no {made_of}", f"It computes {', '.join(compiler.PRECISIONS)}.")
        saturating = saturates_here(graph, name) if made_of == "int8" else ()
        compiled = compiler.compile(graph, folder, made_of, settings, lambda share: bars.update("compile", share, 1))
        bars.finish("compile")
        files = compiler.files(compiled) or {"model.onnx": Path(compiled.path)}
        for file_name, file in files.items():
            place_file(file, out / file_name)
    for text in saturating:
        warn(text)
    if as_json:
        row = {"runtime": compiler.RUNTIME, "precision": compiled.precision, "size_bytes": compiled.size_bytes}
        emit_json({**row, "out": str(out), "files": list(files)})
    else:
        say(f"{out}: {compiled.precision}, {compiled.size_bytes / 1e6:.1f} MB, for {compiler.RUNTIME}")
