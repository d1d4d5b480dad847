"""`edgekit bench`: latency and throughput of models, bundles or ONNX files side by side."""

from __future__ import annotations

from typing import Any

import click

from edgekit.cli.noise import asked_here, wait_idle_option
from edgekit.cli.options import (
    answer_options,
    json_option,
    model_options,
    preprocessing_options,
    subject_recipe,
    timing_options,
)
from edgekit.cli.output import emit_json, print_table, progress, warn


@click.command(
    epilog="\b\nExamples:\n  edgekit bench build/inception_v4-cpu\n"
    "  edgekit bench inception_v4 build/inception_v4-cpu --runs 500\n"
    "  edgekit bench --model inception_v4 --weights random --width 1.0 --precision bf16 --json",
)
@click.argument("subjects", nargs=-1)
@model_options
@preprocessing_options
@answer_options
@click.option(
    "--precision", type=click.Choice(("fp32", "bf16")), help="Of models that are not quantized. Default: fp32."
)
@timing_options("Timed runs of each.", "For all together.")
@wait_idle_option
@json_option
def command(
    subjects: tuple[str, ...],
    precision: str | None,
    runs: int,
    max_seconds: float,
    wait_idle: float | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Measure the latency of SUBJECTS at batch 1 in one fresh process, interleaved, once each is steady."""
    from edgekit.build.runnable import prepare
    from edgekit.cli.events import shown_on
    from edgekit.store import Store
    from edgekit.validate.latency import Candidate, measure

    recipes = [subject_recipe(each, flags) for each in subjects or (None,)]
    with progress() as bars:
        ready = [prepare(recipe, precision, Store(), shown_on(bars)) for recipe in recipes]
        shapes = [(1, each.height, each.width, 3) for each in ready]
        labels = [f"{place}:{each.name}" if len(ready) > 1 else each.name for place, each in enumerate(ready, 1)]
        told = [
            Candidate(label, each.compiled, shape) for label, each, shape in zip(labels, ready, shapes, strict=True)
        ]
        before = asked_here(wait_idle, bars)
        measured = measure(told, shapes[0], runs, max_seconds, lambda done, total: bars.update("measure", done, total))
        bars.finish("measure")
    said = [] if before.warning is None else [before.warning]
    warnings = (*said, *dict.fromkeys(line for each in ready for line in each.notes), *measured.warnings)
    rows = [{"name": name, **each.as_dict()} for name, each in measured.latency.items()]
    if as_json:
        first = {key: value for key, value in rows[0].items() if key not in ("name", "steady")}
        machine = {"before": before.reading.model_dump(mode="json"), "waited_s": before.waited_s}
        process = None if measured.conditions is None else measured.conditions.process
        told_of = None if process is None else process.model_dump(mode="json")
        emit_json(
            {"latency": first, "subjects": rows, "warnings": list(warnings), "machine": machine, "process": told_of}
        )
        return
    columns = ("p50", "p90", "p99", "mean", "throughput_ips")
    print_table(
        ["subject", "p50, ms", "p90, ms", "p99, ms", "mean, ms", "images/s", "runs"],
        [[row["name"], *(f"{row[key]:.2f}" for key in columns), row["runs"]] for row in rows],
    )
    for text in warnings:
        warn(text)
