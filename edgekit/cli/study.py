"""`edgekit study`: networks trained against each other by one protocol."""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgekit.cli.completion import study_recipes
from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, note, print_document, progress


@click.command(
    epilog="\b\nExamples:\n  edgekit study --recipe residual --out study\n  edgekit study --recipe mine.yaml --jobs 4",
)
@click.option(
    "--recipe",
    shell_complete=study_recipes,
    default="residual",
    show_default=True,
    metavar="FILE",
    help="What is trained against what: a file, or the name of a shipped one (residual).",
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("study"), show_default=True, help="For runs and results."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    show_default="processors",
    metavar="N",
    help="Runs at a time.",
)
@json_option
def command(recipe: str, out: Path, jobs: int | None, as_json: bool) -> None:
    """Train networks side by side and compare their error epoch by epoch; goes on where it was stopped.

    Leaves study.json, study.md and a figure for each comparison. The shipped study repeats the paper's: Inception
    networks with residual connections against those without.
    """
    from edgekit.recipe import checked, read_yaml, recipe_path
    from edgekit.report.study import figures, markdown
    from edgekit.runtime.cgroup import usable_cores
    from edgekit.study.grid import collected, study
    from edgekit.study.recipe import StudyRecipe

    told = checked(StudyRecipe, read_yaml(recipe_path("study", recipe)), "study recipe")
    with progress() as bars:
        study(told, out, jobs or usable_cores(), lambda done, total, what: bars.update("study", done, total, what))
        bars.finish("study")
    found = collected(told, out)
    (out / "study.json").write_text(json.dumps(found.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    (out / "study.md").write_text(markdown(found), encoding="utf-8")
    for name, drawn in figures(found).items():
        (out / name).write_text(drawn, encoding="utf-8")
    if as_json:
        emit_json(found.model_dump(mode="json"))
    else:
        print_document(markdown(found) + "\n")
        note(f"figures: {', '.join(str(out / name) for name in figures(found))}")
