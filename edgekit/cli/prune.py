"""`edgekit prune`: one stage alone, from a model to a narrower one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgekit.cli.completion import known_device, known_targets
from edgekit.cli.options import (
    PruneAmount,
    answer_options,
    data_options,
    json_option,
    model_options,
    preprocessing_options,
    pruning_options,
    subject_recipe,
)
from edgekit.cli.output import emit_json, note, print_table, progress, say, warn, write_document

FILES = ("weights.safetensors", "model.onnx", "pruning.json")


@click.command(
    epilog="\b\nExamples:\n  edgekit prune --model inception_v4 --out pruned\n"
    "  edgekit prune --model inception_v4 --latency-budget 2.5 --recovery-minutes 10 --out pruned\n"
    "  edgekit prune net.onnx --prune 0.3 --train-data photos/ --mean 0.485,0.456,0.406 --std 0.23 --out pruned\n"
    "  edgekit build --model inception_v4 --weights pruned/weights.safetensors --prune none --data signs",
)
@click.argument("subject", required=False)
@model_options
@click.option(
    "--target",
    shell_complete=known_targets,
    default="cpu",
    show_default=True,
    metavar="TARGET",
    help="What it is pruned for.",
)
@click.option(
    "--device", shell_complete=known_device, metavar="NAME", help="Measure there: a saved device or ssh://user@host."
)
@click.option("--prune", type=PruneAmount(), help="A ratio, or auto: as many channels as pay. Default: auto.")
@click.option(
    "--latency-budget", type=click.FloatRange(0, min_open=True), metavar="MS", help="Of the median, with --prune auto."
)
@click.option(
    "--max-drop", type=click.FloatRange(min=0), metavar="POINTS", help="Top-1 that auto may cost. Default: 1.0."
)
@click.option("--precision", type=click.Choice(("int8", "bf16", "fp32")), help="That will run: layers are timed in it.")
@pruning_options
@data_options
@preprocessing_options
@answer_options
@click.option("--seed", type=int, metavar="N", help="Of training and of the choice of images.")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Where the files go.")
@json_option
def command(subject: str | None, out: Path, latency_budget: float | None, as_json: bool, **flags: Any) -> None:
    """Remove channels of SUBJECT (or --model) for a latency on the target, and win back the accuracy.

    Leaves weights.safetensors, model.onnx (float32) and pruning.json: widths before and after, what was predicted and
    measured, and what recovery did. Exit code 3: the budget is below what the narrowest network reaches.
    """
    from edgekit.build.pipeline import prune
    from edgekit.cli.events import shown_on
    from edgekit.errors import BudgetError, InputError

    if flags["prune"] == "none":
        raise InputError("there is nothing to prune with --prune none", "Give a ratio, or auto.")
    if out.exists() and (not out.is_dir() or any(each.name not in FILES for each in out.iterdir())):
        raise InputError(f"{out} holds other files", "Give another --out.")
    recipe = subject_recipe(subject, {**flags, "latency_budget_ms": latency_budget})
    with progress() as bars:
        made, dense, run = prune(recipe, on_event=shown_on(bars))
    for line in run.warnings:
        warn(line)
    if made.recovered is None:
        refusal = BudgetError if latency_budget is not None and made.over_budget else InputError
        raise refusal(f"nothing was pruned: {made.reason}", made.hint)
    from edgekit.bundle.directory import place_file

    place_file(made.recovered.weights.path, out / FILES[0])
    place_file(made.recovered.exported.graph.path, out / FILES[1])
    import json

    from edgekit.build.assemble import pruning_part

    told = pruning_part(made, dense, kept=False, reason="not judged yet").as_dict()
    write_document(out / FILES[2], json.dumps(told, indent=2) + "\n")
    if as_json:
        emit_json({"out": str(out), **told})
        return
    _say(told, out)


def _say(told: dict[str, Any], out: Path) -> None:
    channels, latency, recovery = told["channels"], told["latency"], told["recovery"]
    rows = [
        ("channels", channels["before"], channels["after"]),
        ("parameters", f"{told['params']['before']:,}", f"{told['params']['after']:,}"),
        ("GMACs", f"{told['macs']['before'] / 1e9:.2f}", f"{told['macs']['after'] / 1e9:.2f}"),
    ]
    if latency is not None:
        rows.append((f"{latency['precision']}, ms", f"{latency['dense_ms']:.2f}", f"{latency['measured_ms']:.2f}"))
    if recovery["tuning"] is not None:
        tuning = recovery["tuning"]
        rows.append(
            (f"top-1 of {tuning['images']}, %", f"{tuning['dense_top1']:.2f}", f"{tuning['recovered_top1']:.2f}")
        )
    print_table(("", "before", "after"), rows)
    note(f"recovery: {recovery['method']}" + (f" ({recovery['why']})" if recovery["why"] else ""))
    say("", f"{out}: {', '.join(FILES)}")
