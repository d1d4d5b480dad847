"""Options that several verbs share. Each passes None when it was not given, so that a recipe's value can stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.completion import image_sources, known_models, known_networks
from edgekit.cli.image_options import ChannelValues as ChannelValues
from edgekit.cli.image_options import preprocessing_options as preprocessing_options
from edgekit.cli.image_options import sizes_option as sizes_option
from edgekit.cli.stacking import AnyFunction
from edgekit.cli.stacking import stack as _stack

if TYPE_CHECKING:
    from edgekit.recipe import Recipe

PARTS: Mapping[str, Mapping[str, str]] = {
    "preprocessing": {
        key: key
        for key in (
            *("preset", "size", "crop_fraction", "interpolation", "mean", "std", "scale", "color"),
            *("resize", "pad_color", "pad_align", "antialias", "exif"),
        )
    },
    "output": {"output": "name", "activation": "activation", "layout": "layout"},
    "labels": {"labels": "file", "label_offset": "offset", "allow_chance": "allow_chance"},
    "pruning": {
        "importance": "importance",
        "prune_blocks": "blocks",
        "train_data": "train_data",
        "recovery_images": "images",
        "recovery_minutes": "minutes",
        "sensitivity": "sensitivity",
    },
    "tensorrt": {
        key: key
        for key in (
            *("jetpack", "compute_capabilities", "optimization_level", "workspace_mb"),
            *("batch", "dla", "dla_core"),
        )
    },
}
"""Part of a recipe: the flags that belong in it, and what they are called there."""

_PLACES = {flag: (part, name) for part, flags in PARTS.items() for flag, name in flags.items()}


class Batches(click.ParamType):  # type: ignore[type-arg]
    """Numbers of pictures, separated by commas."""

    name = "N,N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse to numbers of at least 1; a usage error otherwise."""
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"{value!r} is no number of images, or several such as 1,4,8", param, ctx)
        return tuple(int(part) for part in parts)


def model_options(function: AnyFunction) -> AnyFunction:
    """Add --model, --weights, --arch, --width and --num-classes.

    The verb's function gets model, weights, arch (text), width (float) and num_classes (int).
    """
    return _stack(
        function,
        click.option(
            "--model",
            shell_complete=known_models,
            metavar="MODEL",
            help="NAME or NAME.TAG of `edgekit models`, timm:NAME, a .onnx or .pth file, or package.module:factory.",
        ),
        click.option("--weights", metavar="FILE", help="Weights: a safetensors or torch file, or `random`."),
        click.option(
            "--arch",
            shell_complete=known_networks,
            metavar="NAME",
            help="With a .pth as --model: the network its weights are of.",
        ),
        click.option(
            "--width",
            type=click.FloatRange(0, min_open=True),
            metavar="X",
            help="Channel multiplier of a registry model.",
        ),
        click.option(
            "--num-classes", type=click.IntRange(min=1), metavar="N", help="Number of classes of a registry model."
        ),
    )


def data_options(function: AnyFunction) -> AnyFunction:
    """Add --data, --images and --skip-bad-images.

    The verb's function gets data (text), images (int) and skip_bad_images (True or None).
    """
    return _stack(
        function,
        click.option(
            "--data",
            shell_complete=image_sources,
            metavar="DATA",
            help="`signs`, a folder with one sub-folder a class, or a CSV, TSV or JSONL file with path,label.",
        ),
        click.option("--images", type=click.IntRange(min=1), metavar="N", help="Use N images, evenly spread."),
        click.option(
            "--skip-bad-images",
            is_flag=True,
            default=None,
            help="Leave out unreadable images (they are counted) instead of stopping.",
        ),
    )


class PruneAmount(click.ParamType):  # type: ignore[type-arg]
    """`auto`, `none`, or the share of every layer's channels to remove."""

    name = "auto|none|RATIO"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Parse; a usage error for what is no ratio between 0 and 1."""
        if value in ("auto", "none") or isinstance(value, float):
            return value  # type: ignore[no-any-return]
        try:
            ratio = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither auto, none nor a ratio such as 0.3", param, ctx)
        if not 0 < ratio < 1:
            self.fail(f"{value!r} is out of range: a ratio is above 0 and below 1; 0.3 removes 30 %", param, ctx)
        return ratio


def answer_options(function: AnyFunction) -> AnyFunction:
    """Add --task, --output, --activation and --layout; the verb's function gets them as text."""
    return _stack(
        function,
        click.option(
            "--task",
            type=click.Choice(("classify", "multilabel", "embed")),
            help="One class an image, sets of labels, or vectors that are compared by cosine. Default: classify.",
        ),
        click.option("--output", metavar="NAME", help="Which output of the network holds the answers."),
        click.option(
            "--activation",
            type=click.Choice(("none", "softmax", "sigmoid")),
            help="What makes probabilities of the answers. Default: what the graph ends in; softmax to classify.",
        ),
        click.option(
            "--layout", type=click.Choice(("nchw", "nhwc")), help="Of the network's input, where it cannot be told."
        ),
    )


def label_options(function: AnyFunction) -> AnyFunction:
    """Add --labels and --label-offset; the verb's function gets labels (text) and label_offset (int)."""
    return _stack(
        function,
        click.option(
            "--labels", metavar="FILE", help="Names of the classes: lines, a JSON list or map, or an ONNX file's own."
        ),
        click.option("--label-offset", type=int, metavar="N", help="Added to every label of --data. Default: 0."),
    )


def pruning_options(function: AnyFunction) -> AnyFunction:
    """Add --importance, --prune-blocks/--no-prune-blocks, --train-data, --recovery-images, --recovery-minutes and
    --sensitivity/--no-sensitivity.
    """
    return _stack(
        function,
        click.option(
            "--importance",
            type=click.Choice(("fisher", "taylor", "magnitude")),
            help="What channels are worth by. Default: fisher; magnitude where there are no images.",
        ),
        click.option(
            "--prune-blocks/--no-prune-blocks",
            default=None,
            help="Whole residual blocks may go, beside channels. Default: no.",
        ),
        click.option(
            "--train-data",
            metavar="DATA",
            help="Images to recover with: as --data, or without labels. Default: `signs` for the signs networks.",
        ),
        click.option(
            "--recovery-images",
            type=click.IntRange(min=1),
            metavar="N",
            help="To train on, to win back accuracy. Default: as many as fit into the minutes, found from the pace.",
        ),
        click.option(
            "--recovery-minutes",
            type=click.FloatRange(min=0),
            metavar="MIN",
            help="Ceiling of winning back accuracy, in all attempts. Default: 7 where there may be two, else 4.5.",
        ),
        click.option(
            "--sensitivity/--no-sensitivity", default=None, help="Look at how sensitive blocks are. Default: no."
        ),
    )


def json_option(function: AnyFunction) -> AnyFunction:
    """Add --json; the verb's function gets as_json (bool)."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


def timing_options(runs: str, seconds: str) -> Callable[[AnyFunction], AnyFunction]:
    """Adds --runs (int) and --max-seconds (float, any above 0, as in recipes), with what they are said to be of."""
    several, limit = click.IntRange(min=30), click.FloatRange(min=0, min_open=True)

    def add(function: AnyFunction) -> AnyFunction:
        function = click.option("--max-seconds", type=limit, default=90.0, show_default=True, help=seconds)(function)
        return click.option("--runs", type=several, default=200, show_default=True, help=runs)(function)

    return add


def tensorrt_options(function: AnyFunction) -> AnyFunction:
    """Add --compute-capability, --optimization-level, --workspace-mb and --batch.

    The verb's function gets compute_capabilities (a tuple of text), optimization_level and workspace_mb (int), and
    batch (a tuple of ints).
    """
    return _stack(
        function,
        click.option(
            "--compute-capability",
            "compute_capabilities",
            multiple=True,
            metavar="X.Y",
            help="GPU that rtx builds for; repeat for more. Default: 8.6, 8.9 and 12.0.",
        ),
        click.option(
            "--optimization-level", type=click.IntRange(0, 5), metavar="N", help="How hard TensorRT's builder tries."
        ),
        click.option("--workspace-mb", type=click.IntRange(min=1), metavar="MB", help="Memory for TensorRT's kernels."),
        click.option(
            "--batch", type=Batches(), help="Images at once for TensorRT: 1,4,8 makes a profile for each. Default: 1."
        ),
    )


def nested(flags: dict[str, Any]) -> dict[str, Any]:
    """click's flags as a recipe has them: those of PARTS in their parts, where they were given."""
    laid = {key: value for key, value in flags.items() if key not in _PLACES}
    for key, (part, name) in _PLACES.items():
        if flags.get(key) not in (None, ()):
            laid.setdefault(part, {})[name] = flags[key]
    return laid


def subject_recipe(subject: str | None, flags: dict[str, Any]) -> Recipe:
    """The recipe that click's flags say; `subject` is another way to say --model.

    Raises:
        click.UsageError: neither or both were given.
    """
    if (subject is None) == (flags.get("model") is None):
        raise click.UsageError("Give one model: an argument or --model")
    from edgekit.recipe import merged

    return merged({}, nested({**flags, "model": subject or flags["model"]}))


def calibration_settings(source: str | None, images: int | None, strategy: str | None) -> dict[str, str | int | None]:
    """--calibration and its companions as a recipe has them: a .json is a manifest, anything else is chosen from."""
    is_manifest = source is not None and source.endswith(".json")
    return {
        "file": source if is_manifest else None,
        "data": None if is_manifest else source,
        "images": images,
        "strategy": strategy,
    }
