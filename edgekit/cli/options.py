"""Options that several verbs share. Each passes None when it was not given, so that a recipe's value can stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from edgekit.recipe import Recipe

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")

PARTS: Mapping[str, Mapping[str, str]] = {
    "preprocessing": {key: key for key in ("size", "crop_fraction", "interpolation", "mean", "std", "color")},
    "output": {"output": "name", "activation": "activation", "layout": "layout"},
    "labels": {"labels": "file", "label_offset": "offset", "allow_chance": "allow_chance"},
    "pruning": {
        "importance": "importance",
        "train_data": "train_data",
        "recovery_images": "images",
        "recovery_minutes": "minutes",
        "sensitivity": "sensitivity",
    },
    "tensorrt": {
        **{key: key for key in ("jetpack", "compute_capabilities", "optimization_level", "workspace_mb")},
        "batch": "batch",
        **{key: key for key in ("dla", "dla_core")},
    },
}
"""Part of a recipe: the flags that belong in it, and what they are called there."""

_PLACES = {flag: (part, name) for part, flags in PARTS.items() for flag, name in flags.items()}


class SizeValue(click.ParamType):  # type: ignore[type-arg]
    """`N`, the side of a square, or `HxW`."""

    name = "N or HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse to (height, width); a usage error for what is no size."""
        from edgekit.size import size_of

        try:
            return size_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Batches(click.ParamType):  # type: ignore[type-arg]
    """Numbers of pictures, separated by commas."""

    name = "N,N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Parse to numbers of at least 1; a usage error otherwise."""
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and int(part) for part in parts):
            self.fail(f"{value!r} is no number of images, or several such as 1,4,8", param, ctx)
        return tuple(int(part) for part in parts)


class ChannelValues(click.ParamType):  # type: ignore[type-arg]  # older releases of click cannot subscript it
    """One value for all three channels, or three separated by commas or blanks, on the 0 to 1 scale."""

    name = "V or R,G,B"

    def __init__(self, positive: bool) -> None:
        self.positive = positive

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float, float]:
        """Parse to three finite numbers; a usage error otherwise."""
        if isinstance(value, tuple):
            return (value[0], value[1], value[2])
        try:
            numbers = [float(part) for part in str(value).replace(",", " ").split()]
        except ValueError:
            self.fail(f"{value!r} is not one number or three, such as 0.5 or 0.485,0.456,0.406", param, ctx)
        if len(numbers) == 1:
            numbers *= 3
        if len(numbers) != 3 or not all(math.isfinite(number) for number in numbers):
            self.fail(f"{value!r} is not one number or three, such as 0.5 or 0.485,0.456,0.406", param, ctx)
        if any(number > 1.5 or number < -1.5 for number in numbers):
            self.fail(f"{value!r} is not on the 0 to 1 scale; divide by 255", param, ctx)
        if self.positive and any(number <= 0 for number in numbers):
            self.fail(f"{value!r} must be above 0", param, ctx)
        return (numbers[0], numbers[1], numbers[2])


def _stack(function: AnyFunction, *options: Callable[[AnyFunction], AnyFunction]) -> AnyFunction:
    """Apply click options so that --help lists them in the order given."""
    for option in reversed(options):
        function = option(function)
    return function


def preprocessing_options(function: AnyFunction) -> AnyFunction:
    """Add --size, --crop-fraction, --interpolation, --mean, --std and --color.

    The verb's function gets size (height, width), crop_fraction, interpolation, mean and std (three floats) and color.
    """
    return _stack(
        function,
        click.option("--size", type=SizeValue(), help="Side of the input in pixels, or height x width: 48x192."),
        click.option(
            "--crop-fraction",
            type=click.FloatRange(0, 1, min_open=True),
            metavar="F",
            help="Part of the resized short side that the centre crop keeps.",
        ),
        click.option("--interpolation", type=click.Choice(INTERPOLATIONS), help="How images are resized."),
        click.option(
            "--mean", type=ChannelValues(positive=False), help="Subtracted, one value or three, 0 to 1 scale."
        ),
        click.option("--std", type=ChannelValues(positive=True), help="Divided by, one value or three, 0 to 1 scale."),
        click.option("--color", type=click.Choice(("rgb", "bgr")), help="Channel order that the network wants."),
    )


def model_options(function: AnyFunction) -> AnyFunction:
    """Add --model, --weights, --width and --num-classes.

    The verb's function gets model, weights (text), width (float) and num_classes (int).
    """
    return _stack(
        function,
        click.option(
            "--model",
            metavar="MODEL",
            help="NAME or NAME.TAG of `edgekit models`, timm:NAME, a .onnx file, or package.module:factory.",
        ),
        click.option("--weights", metavar="FILE", help="Weights: a safetensors or torch file, or `random`."),
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
            metavar="DATA",
            help="`signs`, a folder with one sub-folder a class, or a CSV/JSONL file with path,label.",
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
    """Add --task, --output, --activation, --layout, --labels and --label-offset.

    The verb's function gets task, output, activation, layout and labels (text) and label_offset (int).
    """
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
        click.option(
            "--labels", metavar="FILE", help="Names of the classes: lines, a JSON list or map, or an ONNX file's own."
        ),
        click.option("--label-offset", type=int, metavar="N", help="Added to every label of --data. Default: 0."),
    )


def pruning_options(function: AnyFunction) -> AnyFunction:
    """Add --importance, --train-data, --recovery-images, --recovery-minutes and --sensitivity/--no-sensitivity."""
    return _stack(
        function,
        click.option(
            "--importance",
            type=click.Choice(("fisher", "taylor", "magnitude")),
            help="What channels are worth by. Default: fisher; magnitude where there are no images.",
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
            help="Ceiling of winning back accuracy, in all attempts. Default: 11 where there may be two, else 7.",
        ),
        click.option(
            "--sensitivity/--no-sensitivity", default=None, help="Look at how sensitive blocks are. Default: yes."
        ),
    )


def json_option(function: AnyFunction) -> AnyFunction:
    """Add --json; the verb's function gets as_json (bool)."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")(function)


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
