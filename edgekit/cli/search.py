"""`edgekit search`: networks that are accurate, fast and small, looked for on one machine or several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.cluster_options import cluster_options, cluster_settings
from edgekit.cli.completion import build_recipes, image_sources, known_device, known_targets
from edgekit.cli.noise import warned
from edgekit.cli.options import (
    answer_options,
    calibration_settings,
    json_option,
    label_options,
    model_options,
    nested,
    preprocessing_options,
)
from edgekit.cli.output import emit_json, note, print_table, progress, say, tell, warn
from edgekit.cli.store_options import store_options, store_told

if TYPE_CHECKING:
    from edgekit.cluster.search.request import Request
    from edgekit.cluster.search.results import BuiltPoint, SearchResult
    from edgekit.recipe import Recipe

OBJECTIVES = ("accuracy", "latency", "size")


class Objectives(click.ParamType):  # type: ignore[type-arg]
    """What is to be good at once, separated by commas."""

    name = "NAME,NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Parse to two or three of the names; a usage error otherwise."""
        told = value if isinstance(value, tuple) else tuple(part.strip() for part in str(value).split(","))
        if len(set(told)) != len(told) or len(told) < 2 or not set(told) <= set(OBJECTIVES):
            self.fail(f"{value!r} are not two or three of {', '.join(OBJECTIVES)}", param, ctx)
        return told


@click.command(
    epilog="\b\nExamples:\n  edgekit search --model inception_v4 --out search\n"
    "  edgekit search --model net.onnx --data photos/ --train-data more/ --trials 20 --out search\n"
    "  edgekit search --model inception_v4 --space space.yaml --cluster ray://head:10001 --workers 8 --out search\n"
    "  edgekit build --locked search/front/trial-007/recipe.lock.yaml --out build/net",
)
@model_options
@click.option(
    "--target", shell_complete=known_targets, metavar="TARGET", help="What to search for; see `edgekit targets`."
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    shell_complete=build_recipes,
    metavar="FILE",
    help="Settings that no trial varies; flags are laid over them.",
)
@click.option(
    "--data",
    shell_complete=image_sources,
    metavar="DATA",
    help="Labelled images: `signs`, a folder with one sub-folder a class, or a CSV, TSV or JSONL file with path,label.",
)
@click.option("--skip-bad-images", is_flag=True, default=None, help="Leave out unreadable images (they are counted).")
@click.option("--calibration", shell_complete=image_sources, metavar="SET", help="As `edgekit build` takes it.")
@click.option("--train-data", metavar="DATA", help="Images to recover with: as --data, or without labels.")
@preprocessing_options
@answer_options
@label_options
@click.option(
    "--space",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What may be varied, as YAML, laid over what fits the model and the target. See docs/search.md.",
)
@click.option("--trials", type=click.IntRange(min=1), default=40, show_default=True, metavar="N", help="In all.")
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    metavar="N",
    help="Trials that are proposed, made and timed together; the same, however many workers there are.",
)
@click.option(
    "--images",
    type=click.IntRange(min=20),
    default=600,
    show_default=True,
    metavar="N",
    help="That trials are judged by.",
)
@click.option(
    "--trial-minutes",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    metavar="MIN",
    help="Ceiling of one trial's recovery.",
)
@click.option(
    "--sampler",
    type=click.Choice(("tpe", "nsga2", "random")),
    default="tpe",
    show_default=True,
    help="What proposes trials.",
)
@click.option(
    "--objectives",
    type=Objectives(),
    default=",".join(OBJECTIVES),
    show_default=True,
    help="What it is to be good at together.",
)
@click.option(
    "--front",
    type=click.IntRange(min=0),
    metavar="N",
    help="Build at most N points of the front in full, the undecided ones last, beside the default build; 0: nothing."
    " Default: all.",
)
@click.option("--front-images", type=click.IntRange(min=1), metavar="N", help="For these. Default: all images.")
@click.option(
    "--front-minutes",
    type=click.FloatRange(min=0),
    metavar="MIN",
    help="Ceiling of recovery of each. Default: build's.",
)
@click.option(
    "--device", shell_complete=known_device, metavar="NAME", help="Time there: a saved device or ssh://user@host."
)
@click.option("--seed", type=int, metavar="N", help="Of proposals, of training and of the choice of images.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="For journal, bundles and results; a search that was stopped goes on there. Default: search/MODEL-TARGET.",
)
@store_options
@cluster_options
@json_option
def command(
    recipe: Path | None,
    out: Path | None,
    cluster: str | None,
    workers: int | None,
    wheel: str | None,
    store: str | None,
    store_token_file: Path | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Search for networks that are accurate, fast and small: builds cut short, judged side by side.

    Varies how a model is pruned, quantized and calibrated, its input size and more. Trials that cannot come to anything
    are stopped early. Latency is always measured alone. Those that no other one beats are built in full, each a bundle
    with its recipe.lock.yaml, and compared with the build that nobody has changed. Leaves trials.jsonl, search.json,
    index.html and front/. Exit code 3: no network could be measured.
    """
    from edgekit.cli.events import shown_on
    from edgekit.cluster.search.run import search

    where = cluster_settings(cluster or "local", workers, wheel)
    assert where is not None
    asked = _request(recipe, **flags)
    model = Path(asked.recipe.model)
    name = model.stem if model.exists() else model.name.replace(":", "-")
    place = (out or Path("search") / f"{name}-{asked.recipe.target}").absolute()
    with progress() as bars:
        found = search(asked, where, place, store_told(store, store_token_file), warned(shown_on(bars)))
    if as_json:
        emit_json({**found.model_dump(mode="json", by_alias=True), "out": str(place)})
    else:
        _say(found, place)
    return 0 if found.front else 3


def _request(recipe: Path | None, **flags: Any) -> Request:
    from edgekit.cluster.search.request import Request, with_whole_paths

    own = ("space", "trials", "batch", "images", "trial_minutes", "sampler", "objectives")
    given = {name: flags.pop(name) for name in (*own, "front", "front_images", "front_minutes")}
    return Request(with_whole_paths(_recipe(recipe, **flags)), **given)


def _recipe(path: Path | None, **flags: Any) -> Recipe:
    from edgekit.recipe import merged, read_yaml

    laid = nested(flags)
    laid["calibration"] = calibration_settings(laid.pop("calibration"), None, None)
    return merged(read_yaml(path) if path is not None else {}, laid)


def _say(found: SearchResult, out: Path) -> None:
    """How many trials, the table of the bundles, and what is better than the build that nobody has changed."""
    counts = found.counts
    tell(
        f"{found.model} for {found.target}: {len(found.trials)} trials, {counts.complete} measured, {counts.stopped}"
        f" stopped early, {counts.failed} failed, {counts.repeated} proposed again."
    )
    say("")
    words = {each.number: each.setting.words for each in found.trials}
    if not found.built:
        _say_trials(found)
        say("", f"search: {out}")
        return
    headers = ("bundle", "top-1, %", "p50, ms", "of default", "drop, points", "MB", "setting")
    print_table(headers, [_row(each, words) for each in found.built], ("MB", "drop, points"))
    say("")
    better = [f"trial {each.number}" for each in found.built if each.dominates_default]
    tell(
        f"Faster than the default build, and not known to be less accurate: {', '.join(better)}."
        if better
        else "None is known to be faster than the default build without being less accurate."
    )
    if found.left_out:
        note(f"not built in full: trials {', '.join(map(str, found.left_out))} (--front)")
    if found.why_not is not None:
        warn(f"the bundles were not timed side by side: {found.why_not}")
    say("", f"search: {out}   report: {out / 'index.html'}")


def _say_trials(found: SearchResult) -> None:
    """The front as the trials have it, where nothing was built in full."""
    from edgekit.report.summary import milliseconds, number

    rows = []
    for each in found.trials:
        if each.number in (*found.front, *found.undecided) and each.accuracy is not None and each.latency is not None:
            mark = "* " if each.number in found.front else "  "
            figures = (number(each.accuracy.top1, 2), milliseconds(each.latency.p50), number(each.latency.ratio, 2))
            rows.append([f"{mark}trial {each.number}", *figures, each.setting.words])
    print_table(("trial", "top-1, %", "p50, ms", "of unpruned", "setting"), rows)


def _row(each: BuiltPoint, words: dict[int, str]) -> list[str]:
    from edgekit.report.summary import interval, megabytes, milliseconds, number

    name = "default" if each.number is None else f"trial {each.number}"
    mark = "* " if each.on_front else "  "
    setting = "as `edgekit build` builds it" if each.number is None else words[each.number]
    if each.bundle is None:
        return [f"  {name}", *["–"] * 5, f"{setting}; could not be built: {each.why}"]
    notes = [setting]
    if each.beaten_by is not None:
        notes.append(f"undecided against trial {each.beaten_by}")
    if not each.as_asked:
        notes.append(f"{each.chosen} is in the bundle")
    against = each.against_default
    slower, drop = (None, None) if against is None else (against.slower, against.drop)
    ends = None if against is None else against.slower_ci95
    return [
        f"{mark}{name}",
        f"{number(each.top1, 2)} {interval(each.top1_ci95, 1)}".strip(),
        milliseconds(each.p50),
        f"{number(slower, 2)} {interval(ends, 2)}".strip(),
        f"{number(drop, 2)} {interval(None if against is None else against.drop_ci95, 1)}".strip(),
        megabytes(each.size_bytes),
        "; ".join(notes),
    ]
