"""How the pictures of a network are prepared: what comes with it, a preset over that, and what is told over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isclose
from typing import Final

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.presets import Preset, layer, of_timm, preset_named, preset_of_metadata
from edgekit.errors import InputError
from edgekit.recipe import PreprocessingRecipe
from edgekit.runtime.contract import WITHOUT_ANTIALIAS
from edgekit.size import Size

TIMM: Final = "timm:"
"""What a model's name begins with when it is timm's."""

AS_THEY_COME: Final = 1 / 255
"""The std that leaves pixels at 0 to 255, on the scale of 0 to 1 that mean and std are kept on."""


def said_by_file(base: Preprocessing, properties: Mapping[str, str]) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing of an ONNX file by its metadata, and what the user should know of that.

    Args:
        base: what holds where they say nothing; its size, and whether it is grey, are the graph's own.
        properties: the metadata of the file.
    """
    preset = dict(preset_of_metadata(properties) or {})
    preset.pop("size", None)
    if (preset.get("color") == "grey") != (base.color == "grey"):
        preset.pop("color", None)
    if not preset:
        return base, ()
    made = replace(base, **preset)
    said = ", ".join(f"{key} {_shown(getattr(made, key))}" for key in preset)
    return made, (f"the metadata of the file say how images are prepared: {said}; flags go over that",)


def _shown(value: object) -> str:
    return ",".join(f"{each:g}" for each in value) if isinstance(value, tuple) else str(value)


def told_input(base: Preprocessing, told: PreprocessingRecipe) -> Preprocessing:
    """The preprocessing of a recipe.

    Args:
        base: what holds where nothing is told.
    Raises:
        InputError: there is no such preset, or what is told does not go together.
        UnavailableError: the preset is timm's, which is not installed.
    """
    given = layer(told)
    preset = {} if told.preset is None else dict(_preset(told.preset))
    if given.get("resize") == "crop" and preset.get("resize", "crop") != "crop" and "crop_fraction" not in given:
        preset.pop("crop_fraction", None)  # it was of the other way to resize
    merged: Preset = {"color": base.color, **preset, **given}
    _check(base, merged)
    return replace(base, **_one_channel(base, merged, given))


def of_whole_numbers(found: Preprocessing) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing of a network that takes uint8 pixels, and notes on it.

    It scales the pixels itself, so a mean of 0 and a std of 1, of whichever scale, can only mean to leave them alone:
    numbers from 0 to 1 are next to nothing in uint8.

    Raises:
        InputError: mean and std would make other numbers of the pixels than the network can take.
    """
    untouched = not any(found.mean)
    if untouched and all(isclose(value, AS_THEY_COME) for value in found.std):
        return found, ()
    if untouched and set(found.std) == {1.0}:
        whole = replace(found, std=(AS_THEY_COME,) * len(found.std))
        return whole, ("the network takes uint8 pixels, 0 to 255, and is given them as they are",)
    raise InputError(
        "the network takes uint8 pixels, 0 to 255, and scales them itself: mean and std were told beside that",
        "Leave --mean and --std out, or give --mean 0 --std 1.",
    )


def told_size(told: PreprocessingRecipe) -> Size | None:
    """The size that a recipe tells, or its preset."""
    if told.size is not None or told.preset is None:
        return told.size
    size: Size | None = _preset(told.preset).get("size")
    return size


def _preset(name: str) -> Preset:
    if not name.startswith(TIMM):
        return preset_named(name)
    from edgekit.models.timm_models import config_of

    try:
        return of_timm(config_of(name.removeprefix(TIMM)))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{name} prepares pictures in a way that edgekit does not: {error}", "Tell it by flags."
        ) from None


def _check(base: Preprocessing, merged: Preset) -> None:
    """Refuses what does not go together."""
    resize = merged.get("resize", base.resize)
    interpolation = merged.get("interpolation", base.interpolation)
    if not merged.get("antialias", base.antialias) and interpolation not in WITHOUT_ANTIALIAS:
        hint = f"Give --antialias, or one of: {', '.join(WITHOUT_ANTIALIAS)}."
        raise InputError(f"--interpolation {interpolation} is always antialiased here", hint)
    if resize in ("letterbox", "pad") and merged.get("crop_fraction", 1.0) != 1.0:
        raise InputError(f"--resize {resize} shows whole pictures, and a crop fraction was told", "Give one of them.")
    for key, of in (("pad_color", ("letterbox", "pad")), ("pad_align", ("pad",))):
        if key in merged and resize not in of:
            flag = f"--{key.replace('_', '-')}"
            raise InputError(f"{flag} says nothing with --resize {resize}", f"Give --resize {' or '.join(of)}.")


def _one_channel(base: Preprocessing, merged: Preset, given: Preset) -> Preset:
    """What is told, with mean and std as they are for the channels: of one channel they have one value each."""
    made = dict(merged)
    for key in ("mean", "std"):
        if merged["color"] == "grey" and len(set(given.get(key, ()))) > 1:
            raise InputError(f"--{key} has three values, and the network is for grey pictures", "Give one.")
        if merged["color"] != "grey" and key not in merged and len(getattr(base, key)) == 1:
            made[key] = getattr(base, key) * 3
    return made
