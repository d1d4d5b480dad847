"""`edgekit inspect`: what is in a bundle or an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table, say, warn

if TYPE_CHECKING:
    from edgekit.backends import LayerTime
    from edgekit.bundle.manifest import Manifest
    from edgekit.report.model_pruning import Pruning

USUAL_SIDE: Final = 224
"""Pixels that a network is looked at with which leaves its size open."""


@click.command(
    epilog="\b\nExamples:\n  edgekit inspect build/inception_v4-cpu\n  edgekit inspect net.onnx --json\n"
    "  edgekit inspect build/inception_v4-cpu --layers",
)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--layers", is_flag=True, help="Also time each layer of a bundle's model on this machine.")
@json_option
def command(path: Path, layers: bool, as_json: bool) -> int:
    """Say what is in PATH, a bundle or an ONNX file, and whether a bundle is whole (exit code 2 if not)."""
    if path.suffix == ".onnx":
        _show_graph(path, as_json)
        return 0
    from edgekit.bundle import trtexec
    from edgekit.bundle.directory import check_bundle, read_manifest

    manifest, problems = read_manifest(path), check_bundle(path)
    timed = _layers(path, manifest) if layers and not problems else []
    pruning = None if problems else _pruning(path)
    if as_json:
        from dataclasses import asdict

        emit_json(
            {
                "manifest": manifest.as_json(),
                "problems": problems,
                "ok": not problems,
                "layers": [asdict(each) for each in timed],
                "trtexec": trtexec.of_bundle(manifest),
                "pruning": pruning.as_dict() if pruning is not None else None,
            }
        )
    else:
        _show_bundle(manifest, timed)
        if pruning is not None:
            _show_pruning(pruning)
        if (line := trtexec.of_bundle(manifest)) is not None:
            say("", f"the same engine by NVIDIA's own tool: {line}")
        for problem in problems:
            warn(problem)
    return 2 if problems else 0


def _show_graph(path: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from edgekit.models.onnx_graph import pixel_facts, takes_pixels

    if not takes_pixels(path):
        from edgekit.models.answer import TOLD_NOTHING
        from edgekit.models.canonical import canonical
        from edgekit.models.graph_input import peek

        found = peek(path, TOLD_NOTHING)
        size = (found.height or USUAL_SIDE, found.width or USUAL_SIDE)
        known = {**asdict(canonical(path, TOLD_NOTHING, size).facts), "height": found.height, "width": found.width}
    else:
        seen = pixel_facts(path)
        known = {
            "input": [1, *seen.size, 3],
            "dtype": seen.dtype,
            "classes": seen.classes,
            "quantized": seen.quantized,
            "for TensorRT": seen.for_tensorrt,
        }
    if as_json:
        emit_json(known)
    else:
        print_table(["what", "value"], list(known.items()))


def _layers(path: Path, manifest: Manifest) -> Sequence[LayerTime]:
    from edgekit.backends import backend
    from edgekit.build.runnable import compiled_of_bundle

    compiled, notes = compiled_of_bundle(path, manifest)
    for line in notes:
        warn(line)
    return backend(compiled.backend).profile(compiled)


def _pruning(path: Path) -> Pruning | None:
    """What the report in a whole bundle tells of pruning; a bundle may have no report."""
    from edgekit.errors import InputError
    from edgekit.report import read

    file = path / "report.json"
    try:
        return read(file).pruning if file.exists() else None
    except InputError as error:
        raise InputError(f"{file} holds no report: {error.what}", "Build again.") from error


def _show_pruning(pruning: Pruning) -> None:
    """The verdict on pruning, and the layers that are narrower in this bundle."""
    from edgekit.report import pruned

    say("", f"{pruned.sentence(pruning)}")
    if not pruning.kept:
        return
    for table in pruned.tables(pruning):
        if table.name == "size":
            say("")
            print_table(table.titles, table.rows)
    say("")
    if pruning.blocks is not None:
        say("", f"residual blocks removed: {pruned.blocks(pruning.blocks)}")
    rows = [[each.layer, *map(_arrow, each.before, each.after)] for each in pruned.changed(pruning)]
    print_table(["layer", "in", "out"], rows)


def _arrow(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} -> {after}"


def _show_bundle(manifest: Manifest, timed: Sequence[LayerTime]) -> None:
    model, target, taken = manifest.model, manifest.target, manifest.input
    shape = " x ".join(str(side) for side in taken.shape)
    say(f"{model.name}{'.' + model.tag if model.tag else ''} for {target.name}, {manifest.precision}")
    say(f"input {taken.dtype} {shape} {taken.layout} {taken.color}")
    say(f"{model.classes} classes, runtime {target.runtime} {target.runtime_version}", "")
    rows = [[name, f"{facts.size_bytes / 1e6:.2f}", facts.sha256[:16]] for name, facts in manifest.files.items()]
    print_table(["file", "MB", "sha256"], rows)
    if timed:
        say("")
        print_table(["layer", "kind", "us"], [[t.name, t.kind, f"{t.microseconds:.0f}"] for t in timed[:20]])
