"""`edgekit build`: the whole pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli import publishing, tracking
from edgekit.cli.cluster_options import cluster_options, cluster_settings
from edgekit.cli.completion import build_recipes, image_sources, known_device, known_targets
from edgekit.cli.matrix import MatrixAsked, matrix_here, matrix_on_cluster, refuse_beside_matrix
from edgekit.cli.noise import wait_idle_option, warned
from edgekit.cli.options import (
    PruneAmount,
    answer_options,
    calibration_settings,
    data_options,
    json_option,
    label_options,
    model_options,
    nested,
    preprocessing_options,
    pruning_options,
    sizes_option,
    tensorrt_options,
)
from edgekit.cli.output import emit_json, note, progress, say, warn
from edgekit.cli.publishing import check_hub, published_after_build, visibility_option
from edgekit.cli.store_options import opened_store, store_options, store_told
from edgekit.cli.tracking import track_options, tracked_after_build, tracking_of
from edgekit.errors import EdgekitError

if TYPE_CHECKING:
    from edgekit.build.lock import Lock
    from edgekit.build.pipeline import Built
    from edgekit.recipe import Recipe
    from edgekit.store import Store


@click.command(
    epilog="\b\nExamples:\n  edgekit build --model inception_v4 --target cpu\n"
    "  edgekit build --model net.onnx --data photos/ --calibration more-photos/ --mean 0.485,0.456,0.406 --std 0.23\n"
    "  edgekit build --model inception_v4 --target jetson --device ssh://me@orin.local\n"
    "  edgekit build --model inception_v4 --prune none            # quantization alone: a fifth of the time\n"
    "  edgekit build --recipe recipe.yaml --latency-budget 5 --out build/net\n"
    "  edgekit build --model inception_v4 --track mlflow --push-to-hub me/signs-cpu\n"
    "  edgekit build --matrix release.yaml --out release         # all models for all targets\n"
    "  edgekit build --matrix release.yaml --cluster",
)
@model_options
@click.option(
    "--target",
    shell_complete=known_targets,
    metavar="TARGET",
    help="What to build for; `edgekit targets` lists them. Default: cpu.",
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    shell_complete=build_recipes,
    metavar="FILE",
    help="Settings; flags are laid over them.",
)
@data_options
@click.option(
    "--calibration",
    shell_complete=image_sources,
    metavar="SET",
    help="A manifest of `edgekit calibrate`, or images to choose from. Default: the shipped set of signs.",
)
@click.option("--calibration-images", type=click.IntRange(min=1), metavar="N", help="How many to choose. Default: 300.")
@click.option("--strategy", type=click.Choice(("random", "stratified", "coverage")), help="How they are chosen.")
@click.option(
    "--calibration-seeds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Quantize with N sets in turn: does the drop depend on the choice? Default: 1.",
)
@preprocessing_options
@sizes_option
@answer_options
@label_options
@click.option(
    "--allow-chance", is_flag=True, default=None, help="Go on where FP32 is no better than with shuffled labels."
)
@click.option(
    "--max-drop", type=click.FloatRange(min=0), metavar="POINTS", help="Budget of top-1 points lost. Default: 1.0."
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Without labels: images that must keep FP32's answer. Default: 97.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    metavar="COSINE",
    help="To embed: from which cosine two images are one class. Default: FP32's at 1 % false accepts.",
)
@click.option(
    "--latency-budget", type=click.FloatRange(0, min_open=True), metavar="MS", help="Budget of the median latency."
)
@click.option(
    "--prune",
    type=PruneAmount(),
    help="Channels to remove: as many as pay (auto, needs training images), none, or a ratio. Default: auto.",
)
@pruning_options
@click.option(
    "--precision",
    type=click.Choice(("int8", "mixed", "fp16", "bf16", "fp32")),
    help="What to build; mixed looks for the fastest network within --max-drop. Default: int8.",
)
@click.option(
    "--time-budget",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="What --precision mixed may look for. Default: 10.",
)
@click.option(
    "--memory-budget",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    help="What --precision mixed may hold. Default: 1.4 times what plain quantization took, at least 1.7.",
)
@tensorrt_options
@click.option("--jetpack", metavar="X.Y", help="JetPack of the Jetson built for. Default: the target's usual one.")
@click.option("--dla", is_flag=True, default=None, help="Let a Jetson's deep-learning accelerator run what it can.")
@click.option("--dla-core", type=click.IntRange(0, 3), metavar="N", help="Which of its accelerators. Default: 0.")
@click.option(
    "--device",
    shell_complete=known_device,
    metavar="NAME",
    help="Compile, judge and time there: a saved device or ssh://user@host.",
)
@click.option(
    "--decide",
    type=click.Choice(["point", "bound"]),
    help="What decides of --max-drop: the drop itself, or its 95 % bound on as few images as do. Default: bound.",
)
@click.option("--strict", is_flag=True, default=None, help="Exit 3 where the images cannot decide of --max-drop.")
@wait_idle_option
@click.option("--seed", type=int, metavar="N", help="Of random weights and of the choice of calibration images.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: build/MODEL-TARGET.")
@click.option(
    "--license", metavar="SPDX", help="Licence of the weights, for the manifest. Default: what is known of them."
)
@click.option(
    "--sbom", is_flag=True, default=None, help="Write sbom.json, a CycloneDX bill of materials, into the bundle."
)
@click.option(
    "--keep-answers/--no-keep-answers",
    default=None,
    help="Write answers.npz, which images were right, so that `edgekit compare` pairs them. Default: yes.",
)
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign the bundle with this SSH key.")
@click.option(
    "--runtime",
    metavar="NAME",
    help="What executes it, of those that the target has (`edgekit targets NAME`), or auto: the fastest.",
)
@click.option(
    "--locked",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Follow the decisions of a recipe.lock.yaml: recipe, widths, recovery, precisions.",
)
@track_options
@click.option(
    "--push-to-hub",
    metavar="OWNER/NAME",
    help="Publish the bundle to this repository of a Hugging Face hub, with a card.",
)
@visibility_option
@click.option("--no-cache", is_flag=True, help="Do every stage again, and keep nothing but the bundle.")
@click.option(
    "--matrix",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Build all that a file asks for, models for targets; the flags are laid over each. See docs/matrix.md.",
)
@cluster_options
@store_options
@json_option
def command(
    recipe: Path | None,
    out: Path | None,
    matrix: Path | None,
    cluster: str | None,
    workers: int | None,
    wheel: str | None,
    locked: Path | None,
    no_cache: bool,
    store: str | None,
    store_token_file: Path | None,
    sign: Path | None,
    track: str | None,
    track_bundle: bool,
    push_to_hub: str | None,
    private: bool | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Compress a classifier for a target and prove what it cost: prune, quantize, compile, validate, bundle.

    Leaves a bundle directory with the compiled model, its evidence (report.json, .md, .html) and golden outputs.
    Exit code 3: a budget was not met; the best found is still written. With --matrix that of the worst build: 1 a fault
    of edgekit's own, then 2 bad input, then 4 unavailable, then 3.
    """
    from edgekit.recipe import merged, read_yaml

    where = cluster_settings(cluster, workers, wheel)
    if where is not None and (matrix is None or no_cache):
        raise click.UsageError("--cluster of build needs --matrix, and goes without --no-cache")
    if matrix is not None:
        of_one = {"locked": locked, "track": track, "track_bundle": track_bundle or None, "push_to_hub": push_to_hub}
        refuse_beside_matrix({**flags, **of_one, "private": private})
        asked = MatrixAsked(matrix, out, recipe, _as_recipe(flags), as_json, _signing(sign))
        if where is not None:
            return matrix_on_cluster(asked, where, store_told(store, store_token_file))
        with opened_store(store, store_token_file, no_cache) as kept:
            return matrix_here(asked, kept)
    lock = _lock(locked, recipe, flags)
    laid = _as_recipe(flags)
    settings = lock.recipe if lock is not None else merged(read_yaml(recipe) if recipe is not None else {}, laid)
    signing = _signing(sign)
    how = tracking_of(track, track_bundle)
    if push_to_hub is not None:
        check_hub(push_to_hub, private)
    elif private is not None:
        raise click.UsageError("--private and --public need --push-to-hub")
    with opened_store(store, store_token_file, no_cache) as kept:
        built = _build(settings, out, kept, lock)
    if signing is not None:
        signing(built.directory)
    told: dict[str, str | dict[str, str | int | list[str]] | None] = {"bundle": str(built.directory)}
    if track is not None and how is not None:
        told["tracked"] = tracking.said(tracked_after_build(how, built.directory, track))
    refusal: EdgekitError | None = None
    if push_to_hub is not None:
        try:
            told["published"] = publishing.said(published_after_build(built.directory, push_to_hub, private))
        except EdgekitError as error:
            told["published"], refusal = None, error
    if as_json:
        emit_json({**built.report.as_dict(), **told})
    else:
        _say(built)
    if refusal is not None:
        raise refusal
    return 0 if built.ok else 3


def _as_recipe(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags as a recipe has them; None stays None and says nothing."""
    laid = nested(flags)
    given = (laid.pop(key) for key in ("calibration", "calibration_images", "strategy"))
    laid["calibration"] = {**calibration_settings(*given), "seeds": laid.pop("calibration_seeds")}
    laid["latency"] = {"wait_idle_s": laid.pop("wait_idle")}
    laid["latency_budget_ms"] = laid.pop("latency_budget")
    laid["tuning"] = {"minutes": laid.pop("time_budget"), "memory_gb": laid.pop("memory_budget")}
    return laid


PLACES = ("data", "labels", "calibration", "train_data", "weights", "device", "keep_answers", "wait_idle")
"""What may be told beside a lock: where its files are on this machine, what measures and when, and what is kept."""


def _lock(path: Path | None, recipe: Path | None, flags: dict[str, Any]) -> Lock | None:
    """The lock to follow, with files of this machine in the place of those that it names; None without one."""
    if path is None:
        return None
    from edgekit.build.lock import read_lock
    from edgekit.errors import InputError
    from edgekit.recipe import merged

    decided = [name for name, value in flags.items() if value not in (None, (), False) and name not in PLACES]
    if recipe is not None or decided:
        told = ", ".join(f"--{name.replace('_', '-')}" for name in sorted([*decided, *(["recipe"] if recipe else [])]))
        raise InputError(f"a lock decides what {told} would", "Leave it out, or build without --locked.")
    lock = read_lock(path)
    places = _as_recipe({**dict.fromkeys(flags), **{name: flags[name] for name in PLACES}})
    return lock.model_copy(update={"recipe": merged(lock.recipe.model_dump(), places)})


def _build(settings: Recipe, out: Path | None, store: Store, lock: Lock | None) -> Built:
    from edgekit.build.pipeline import build
    from edgekit.cli.events import shown_on

    with progress() as bars:
        return build(settings, out, store, warned(shown_on(bars)), lock)


def _signing(key: Path | None) -> Callable[[Path], None] | None:
    """What signs a bundle with a key, which is looked at before the build; None without one."""
    if key is None:
        return None
    from edgekit.bundle.signing import check_key, sign
    from edgekit.errors import InputError

    check_key(key)

    def signed(directory: Path) -> None:
        try:
            sign(directory, key)
        except InputError as error:
            again = f"The bundle is there; sign it with: edgekit sign {directory} --key FILE"
            raise InputError(error.what, again) from error

    return signed


def _say(built: Built) -> None:
    """The verdict, the table of variants, the warnings and where the bundle is."""
    from edgekit.cli.report import print_report
    from edgekit.report.summary import model_name

    digest = built.report.model.weights_sha256
    note(f"weights: {model_name(built.report)}" + (f", sha256 {digest[:16]}" if digest else ""))
    print_report(built.report)
    say("", f"bundle: {built.directory}   report: {built.directory / 'report.html'}")
    if not built.ok:
        warn("a budget was not met; the best that was found is in the bundle")
