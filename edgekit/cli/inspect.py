"""`edgekit inspect`: what is in a bundle or an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table, warn


@click.command(
    epilog="\b\nExamples:\n  edgekit inspect build/inception_v4-cpu\n  edgekit inspect net.onnx --json\n"
    "  edgekit inspect build/inception_v4-cpu --layers",
)
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--layers", is_flag=True, help="Also time each layer of a bundle's model on this processor.")
@json_option
def command(path: Path, layers: bool, as_json: bool) -> int:
    """Say what is in PATH, a bundle or an ONNX file, and whether a bundle is whole (exit code 2 if not)."""
    if path.suffix == ".onnx":
        _show_graph(path, as_json)
        return 0
    from edgekit.bundle.directory import check_bundle, read_manifest

    told, problems = read_manifest(path), check_bundle(path)
    timed = _layers(path, told) if layers and not problems else []
    pruning = None if problems else _pruning(path)
    if as_json:
        emit_json({"manifest": told, "problems": problems, "ok": not problems, "layers": timed, "pruning": pruning})
    else:
        _show_bundle(told, timed)
        if pruning is not None:
            _show_pruning(pruning)
        for problem in problems:
            warn(problem)
    return 2 if problems else 0


def _show_graph(path: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from edgekit.models.onnx_graph import facts, pixel_facts, read_onnx, takes_pixels

    if takes_pixels(path):
        seen = pixel_facts(path)
        told: dict[str, Any] = {
            "input": [1, seen.size, seen.size, 3],
            "dtype": "uint8",
            "classes": seen.classes,
            "quantized": seen.quantized,
            "for TensorRT": seen.for_tensorrt,
        }
    else:
        told = asdict(facts(read_onnx(path)))
    if as_json:
        emit_json(told)
    else:
        print_table(["what", "value"], list(told.items()))


def _layers(path: Path, told: dict[str, Any]) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from edgekit.backends import Compiled
    from edgekit.backends.openvino import profile

    return [asdict(each) for each in profile(Compiled("openvino", str(path / "model.xml"), told["precision"], 0))]


def _pruning(path: Path) -> dict[str, Any] | None:
    """What the report in a whole bundle tells of pruning; its hash is right, so it is as the build wrote it."""
    import json

    from edgekit.errors import InputError

    try:
        report = json.loads((path / "report.json").read_text(encoding="utf-8"))
        told: dict[str, Any] | None = report.get("pruning")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{path / 'report.json'} holds no report: {error}", "Build again.") from error
    return told


def _show_pruning(told: dict[str, Any]) -> None:
    """The verdict on pruning, and the layers that are narrower in this bundle."""
    from edgekit.report import pruned

    click.echo(f"\n{pruned.sentence(told)}")
    if not told["kept"]:
        return
    for table in pruned.tables(told):
        if table.name == "size":
            click.echo()
            print_table(table.titles, table.rows)
    click.echo()
    rows = [
        [each["layer"], *(_arrow(*ends) for ends in zip(each["before"], each["after"], strict=True))]
        for each in pruned.changed(told)
    ]
    print_table(["layer", "in", "out"], rows)


def _arrow(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} -> {after}"


def _show_bundle(told: dict[str, Any], timed: list[dict[str, Any]]) -> None:
    model, target = told["model"], told["target"]
    shape = " x ".join(str(side) for side in told["input"]["shape"])
    click.echo(f"{model['name']}{'.' + model['tag'] if model['tag'] else ''} for {target['name']}, {told['precision']}")
    click.echo(f"input {told['input']['dtype']} {shape} {told['input']['layout']} {told['input']['color']}")
    click.echo(f"{model['classes']} classes, runtime {target['runtime']} {target['runtime_version']}\n")
    rows = [[name, f"{facts['size_bytes'] / 1e6:.2f}", facts["sha256"][:16]] for name, facts in told["files"].items()]
    print_table(["file", "MB", "sha256"], rows)
    if timed:
        click.echo()
        print_table(["layer", "kind", "us"], [[t["name"], t["kind"], f"{t['microseconds']:.0f}"] for t in timed[:20]])
