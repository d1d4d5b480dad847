"""How pictures are prepared by those who train networks: by name, from the files that they publish, and from graphs.

A preset is a mapping of the recipe's `preprocessing` keys, mean and std on the 0 to 1 scale.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from edgekit.data.preprocessing import Channels
from edgekit.errors import InputError
from edgekit.recipe import PreprocessingRecipe, checked
from edgekit.yaml_files import yaml_file

Preset = Mapping[str, Any]
"""Also what somebody else's file holds, before it is read."""

IMAGENET: Final = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_PLAIN: Final = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
_RAW: Final = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
_AS_OPENCV: Final = {"resize": "squash", "crop_fraction": 1.0, "interpolation": "bilinear", "antialias": False}

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "torchvision": {
            "resize": "crop",
            "crop_fraction": 0.875,
            "interpolation": "bilinear",
            "antialias": True,
            "color": "rgb",
            **IMAGENET,
        },
        "keras-caffe": {
            **_AS_OPENCV,
            "color": "bgr",
            "mean": (103.939 / 255, 116.779 / 255, 123.68 / 255),
            "std": _RAW["std"],
        },
        "keras-tf": {**_AS_OPENCV, "color": "rgb", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
        "opencv": {**_AS_OPENCV, "color": "bgr", **_RAW},
    }
)
"""torchvision: what its classifiers are evaluated with. keras-caffe, keras-tf: two modes of keras.applications, of
pictures that were resized as Keras and TensorFlow do. opencv: imread, resize, and the pixels as they are."""

RESAMPLE: Final = MappingProxyType({0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"})
"""Pillow's numbers of filters, which Hugging Face's files have."""


def preset_of_file(path: Path) -> Preset:
    """The preset of a YAML or JSON file: the recipe's own keys, Hugging Face's preprocessor_config, or timm's config.

    Raises:
        InputError: it cannot be read, is none of these, or says what is not done here.
    """
    try:
        told = yaml_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the preprocessing {path}: {_line(error)}", _known()) from error
    if not isinstance(told, dict):
        raise InputError(f"the preprocessing {path} is no mapping", _known())
    if "pretrained_cfg" in told or ("crop_pct" in told and "input_size" in told):
        return _guarded(path, of_timm, told.get("pretrained_cfg", told))
    if any(key in told for key in ("image_mean", "do_normalize", "image_processor_type", "feature_extractor_type")):
        return _guarded(path, _of_hugging_face, told)
    own = told["preprocessing"] if isinstance(told.get("preprocessing"), dict) else told
    return layer(checked(PreprocessingRecipe, own, f"preprocessing {path}"))


def layer(told: PreprocessingRecipe) -> Preset:
    """What a recipe tells, with mean and std on the 0 to 1 scale; what it leaves out is not there."""
    given = {key: value for key, value in told.model_dump().items() if value is not None}
    scale = given.pop("scale", 1)
    for key in ("mean", "std"):
        if key in given:
            given[key] = tuple(value / scale for value in given[key])
    given.pop("preset", None)
    return with_whole(given)


def with_whole(told: Preset) -> Preset:
    """The same; where pictures are not cropped and nothing is told of a crop fraction, it is 1."""
    whole = {"crop_fraction": 1.0} if told.get("resize", "crop") != "crop" else {}
    return {**whole, **told}


def preset_of_metadata(properties: Mapping[str, str]) -> Preset | None:
    """What the metadata properties of an ONNX file say of its preprocessing; None where they say nothing.

    They are those of Ultralytics' exporter for classifiers, and those that ONNX's own standard names for images.
    """
    if "imgsz" in properties and "stride" in properties and properties.get("task") == "classify":
        found = {"resize": "crop", "crop_fraction": 1.0, "interpolation": "bilinear", "color": "rgb"}
        size = _literal(properties["imgsz"])
        if isinstance(size, list | tuple) and len(size) == 2 and all(isinstance(each, int) for each in size):
            found["size"] = tuple(size)
        return found | _PLAIN
    said = dict(_FORMATS.get(properties.get("Image.BitmapPixelFormat", ""), {}))
    said |= _RANGES.get(properties.get("Image.NominalPixelRange", ""), {})
    return said or None


_FORMATS: Final[Mapping[str, Preset]] = {
    "Gray8": {"color": "grey"},
    "Rgb8": {"color": "rgb"},
    "Bgr8": {"color": "bgr"},
}
_RANGES: Final[Mapping[str, Preset]] = {
    "NominalRange_0_255": _RAW,
    "Normalized_0_1": _PLAIN,
    "Normalized_1_1": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _guarded(path: Path, read: Any, told: Any) -> Preset:
    """A preset of somebody else's file, checked as a recipe is."""
    try:
        made = read(told)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        why = f"nothing is said of {error.args[0]}" if isinstance(error, KeyError) else _line(error)
        raise InputError(f"the preprocessing {path} is not understood: {why}", _known()) from error
    return with_whole(layer(checked(PreprocessingRecipe, made, f"preprocessing {path}")))


def of_timm(told: Preset) -> Preset:
    """The preset of what timm says of a network: input_size, crop_pct, crop_mode, interpolation, mean and std.

    Raises:
        KeyError, ValueError: it says less, or what is not done here.
    """
    channels, height, width = told["input_size"]
    if channels not in (1, 3):
        raise ValueError(f"the network takes {channels} channels")
    fraction, mode = float(told.get("crop_pct") or 0.875), told.get("crop_mode") or "center"
    interpolation = told.get("interpolation") or "bicubic"
    made = {
        "size": (height, width),
        "interpolation": "bilinear" if interpolation == "random" else interpolation,
        "mean": tuple(told["mean"]),
        "std": tuple(told["std"]),
        "color": "grey" if channels == 1 else "rgb",
    }
    if mode == "border":
        if fraction != 1:
            raise ValueError("pictures are padded, and cropped too")
        return {**made, "resize": "letterbox", "pad_color": tuple(round(255 * each) for each in _three(told["mean"]))}
    if mode not in ("center", "squash"):
        raise ValueError(f"its crop mode is {mode}")
    return {**made, "resize": "crop" if mode == "center" else "squash", "crop_fraction": fraction}


def _three(values: Any) -> tuple[float, ...]:
    return tuple(values) * (3 // len(values))


def _of_hugging_face(told: Preset) -> Preset:
    """Of a preprocessor_config.json of Hugging Face's transformers."""
    interpolation = RESAMPLE.get(told.get("resample", 2))
    if interpolation is None:
        raise ValueError(f"its resample is {told['resample']}")
    factor = float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1.0
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)
    if told.get("do_normalize", True):
        mean, std = tuple(told["image_mean"]), tuple(told["image_std"])
    shift = 1.0 if told.get("rescale_offset") else 0.0
    color = "bgr" if told.get("do_flip_channel_order") else "rgb"
    return {
        **_geometry(told),
        "interpolation": interpolation,
        "mean": tuple((each + shift) / (255 * factor) for each in mean),
        "std": tuple(each / (255 * factor) for each in std),
        "color": "grey" if len(mean) == 1 else color,
    }


def _geometry(told: Preset) -> Preset:
    if not told.get("do_resize", True):
        raise ValueError("pictures are not resized")
    size, crop = told["size"], told.get("crop_size") if told.get("do_center_crop") else None
    cropped = None if crop is None else _sides(crop)
    if isinstance(size, dict) and "shortest_edge" in size:
        return _by_short_side(told, int(size["shortest_edge"]), cropped)
    # A plain number was the short side where the centre was cropped, and a square where it was not.
    if isinstance(size, int) and cropped is not None:
        return _by_short_side(told, size, cropped)
    sides = _sides(size)
    if cropped is None:
        return {"size": sides, "resize": "squash", "crop_fraction": 1.0}
    return {"size": cropped, "resize": "squash", "crop_fraction": cropped[0] / sides[0]}


def _by_short_side(told: Preset, short: int, cropped: tuple[int, int] | None) -> Preset:
    if cropped is not None:
        return {"size": cropped, "resize": "crop", "crop_fraction": min(1.0, min(cropped) / short)}
    if "crop_pct" not in told and "ConvNext" not in str(told.get("image_processor_type")):
        raise ValueError("pictures keep their ratio, and nothing is cropped")
    if short >= 384:
        return {"size": (short, short), "resize": "squash", "crop_fraction": 1.0}
    return {"size": (short, short), "resize": "crop", "crop_fraction": float(told.get("crop_pct") or 0.875)}


def _sides(size: Any) -> tuple[int, int]:
    if isinstance(size, dict):
        return int(size["height"]), int(size["width"])
    sides = [size, size] if isinstance(size, int) else list(size)
    return int(sides[0]), int(sides[1])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__


def _known() -> str:
    return (
        f"Give {', '.join(PRESETS)}, timm:NAME, or a file: a recipe's preprocessing keys in YAML or JSON,"
        " a preprocessor_config.json of Hugging Face or a config.json of timm."
    )


def preset_named(name: str) -> Preset:
    """The preset of a name or a file; `timm:NAME` is edgekit.models.told_input's.

    Raises:
        InputError: there is neither, or the file is not understood.
    """
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.is_dir():
        inside = [path / each for each in ("preprocessor_config.json", "config.json") if (path / each).is_file()]
        if inside:
            return preset_of_file(inside[0])
    if not path.is_file():
        raise InputError(f"there is no preprocessing {name!r}", _known())
    return preset_of_file(path)
