"""Options of how images are prepared. Each passes None when it was not given, so that a recipe's value can stand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from edgekit.cli.stacking import AnyFunction, stack

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "area")
ALIGNMENTS = ("top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right")


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


class SizeValues(click.ParamType):  # type: ignore[type-arg]
    """Several of them, separated by commas."""

    name = "N,N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, int], ...]:
        """Parse each; a usage error for what is no size."""
        one = SizeValue()
        return tuple(one.convert(part, param, ctx) for part in str(value).split(","))


def sizes_option(function: AnyFunction) -> AnyFunction:
    """Add --sizes; the verb's function gets sizes, a tuple of (height, width)."""
    text = "Input sizes to try beside the network's own, such as 256,224: what each costs and wins is measured."
    return click.option("--sizes", type=SizeValues(), help=text)(function)


class ChannelValues(click.ParamType):  # type: ignore[type-arg]  # older releases of click cannot subscript it
    """One value for all three channels, or three separated by commas or blanks, on the scale that --scale says."""

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
        from edgekit.input_recipe import misfit

        scale = ctx.params.get("scale") if ctx else None  # some releases of click have more than None for nothing
        if wrong := misfit(tuple(numbers), 255 if scale == 255 else 1):
            self.fail(f"{value!r} {wrong}", param, ctx)
        if self.positive and any(number <= 0 for number in numbers):
            self.fail(f"{value!r} must be above 0", param, ctx)
        return (numbers[0], numbers[1], numbers[2])


class White(click.ParamType):  # type: ignore[type-arg]
    """What white is on the scale of mean and std: 1 or 255."""

    name = "1|255"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse; a usage error for another number."""
        if str(value) not in ("1", "255"):
            self.fail(f"{value!r} is neither 1 nor 255", param, ctx)
        return int(value)


class PixelColor(click.ParamType):  # type: ignore[type-arg]
    """One level of grey, or red, green and blue, 0 to 255."""

    name = "V or R,G,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """Parse to three levels; a usage error for what is no colour."""
        if isinstance(value, tuple):
            return (value[0], value[1], value[2])
        parts = str(value).replace(",", " ").split()
        levels = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 4]
        if len(levels) != len(parts) or len(levels) not in (1, 3) or max(levels) > 255:
            self.fail(f"{value!r} is no colour of levels from 0 to 255, such as 114 or 124,116,104", param, ctx)
        levels *= 3 // len(levels)
        return (levels[0], levels[1], levels[2])


def preprocessing_options(function: AnyFunction) -> AnyFunction:
    """Add --preprocessing and the flags that say each part of it.

    The verb's function gets preset (text), size (height, width), crop_fraction, interpolation, mean and std (three
    floats), scale (1 or 255), color, resize, pad_color (three levels), pad_align, antialias and exif.
    """
    return stack(
        function,
        click.option(
            "--preprocessing",
            "preset",
            metavar="PRESET",
            help="torchvision, keras-caffe, keras-tf, opencv, timm:NAME or a file; the flags below go over it.",
        ),
        click.option("--size", type=SizeValue(), help="Side of the input in pixels, or height x width: 48x192."),
        click.option(
            "--crop-fraction",
            type=click.FloatRange(0, 1, min_open=True),
            metavar="F",
            help="Part of the resized short side that the centre crop keeps.",
        ),
        click.option("--interpolation", type=click.Choice(INTERPOLATIONS), help="How images are resized."),
        click.option("--antialias/--no-antialias", default=None, help="Resize as Pillow does (default), or as OpenCV."),
        *_fitting_options(),
        click.option("--exif", is_flag=True, default=None, help="Turn images as their EXIF orientation says."),
        click.option(
            "--mean",
            type=ChannelValues(positive=False),
            help="Subtracted, one value or three, on the scale of --scale.",
        ),
        click.option(
            "--std", type=ChannelValues(positive=True), help="Divided by, one value or three, on the scale of --scale."
        ),
        click.option(
            "--scale", type=White(), is_eager=True, help="White, for --mean and --std. Default: 1."
        ),  # eager: --mean and --std look at it
        click.option(
            "--color", type=click.Choice(("rgb", "bgr", "grey")), help="Channels that the network wants, of RGB images."
        ),
    )


def _fitting_options() -> tuple[Callable[[AnyFunction], AnyFunction], ...]:
    return (
        click.option(
            "--resize",
            type=click.Choice(("crop", "squash", "letterbox", "pad")),
            help="Crop the centre (default), squash to the size, or fit inside it: in the middle, or see --pad-align.",
        ),
        click.option("--pad-color", type=PixelColor(), help="Around images that are fitted inside. Default: 0,0,0."),
        click.option(
            "--pad-align", type=click.Choice(ALIGNMENTS), help="Where --resize pad puts images. Default: top-left."
        ),
    )
