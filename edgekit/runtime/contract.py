"""What is done to an image before the network sees it, and what its outputs are: the values that a manifest names."""

from typing import Any, Dict, NamedTuple, Tuple

Table = Dict[str, Any]
"""A JSON object as it was read, not checked yet."""

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "area")
WITHOUT_ANTIALIAS = ("nearest", "bilinear", "bicubic", "area")
"""Those that can be had as OpenCV has them; `area` is only had so."""

RESIZES = ("crop", "squash", "letterbox", "pad")
"""How an image is brought to the input's size; see edgekit.runtime.geometry."""

ALIGNMENTS = {
    "top-left": (0, 0),
    "top": (1, 0),
    "top-right": (2, 0),
    "left": (0, 1),
    "center": (1, 1),
    "right": (2, 1),
    "bottom-left": (0, 2),
    "bottom": (1, 2),
    "bottom-right": (2, 2),
}
"""Where the image lies in a padded input: halves of the free width that are left of it, of the free height above."""

ACTIVATIONS = ("softmax", "sigmoid", "none")
TASKS = ("classify", "multilabel", "embed")


class Contract(NamedTuple):
    """What is done to an image before the network sees it; the rest is inside the graph.

    size: (height, width) of the input in pixels; crop_fraction: part of what it covers that the centre crop keeps.
    interpolation: of INTERPOLATIONS; antialias: as Pillow resizes, not as OpenCV does.
    resize: of RESIZES; pad_color: RGB, 0 to 255; pad_align: of ALIGNMENTS, for resize "pad".
    exif: whether an image is turned as its EXIF orientation says.
    """

    size: Tuple[int, int]
    crop_fraction: float = 1.0
    interpolation: str = "bicubic"
    resize: str = "crop"
    antialias: bool = True
    pad_color: Tuple[int, int, int] = (0, 0, 0)
    pad_align: str = "top-left"
    exif: bool = False


class Output(NamedTuple):
    """What the network's outputs are: what makes probabilities of them, of ACTIVATIONS, and for what, of TASKS."""

    activation: str = "softmax"
    task: str = "classify"


def is_whole_number(value: Any, least: int = 0) -> bool:
    """Whether a value of JSON is a whole number, and at least so large; there `true` is none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def contract_of(told: Table, size: Tuple[int, int]) -> Contract:
    """The contract that a manifest's `preprocessing` tells, for an input of `size` (height, width).

    Raises:
        ValueError: it makes no sense; in words what is wrong.
    """
    side = told.get("size")
    if (is_whole_number(side) and (side, side) != size) or (not is_whole_number(side) and side != list(size)):
        raise ValueError("preprocessing.size is %r, the input is %d x %d" % ((side,) + size))
    fraction: Any = told.get("crop_fraction")
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0.01 <= fraction <= 1:
        raise ValueError("preprocessing.crop_fraction is %r" % (fraction,))
    made = Contract(
        size,
        float(fraction),
        _one_of(told, "interpolation", INTERPOLATIONS, None),
        _one_of(told, "resize", RESIZES, "crop"),
        _flag(told, "antialias", True),
        _color(told.get("pad_color", [0, 0, 0])),
        _one_of(told, "pad_align", tuple(ALIGNMENTS), "top-left"),
        _flag(told, "exif", False),
    )
    if not made.antialias and made.interpolation not in WITHOUT_ANTIALIAS:
        raise ValueError("preprocessing has %s without antialias, which nobody defines" % made.interpolation)
    return made


def output_of(told: Any) -> Output:
    """What a manifest's `output` tells; classes by softmax where it tells nothing.

    Raises:
        ValueError: it makes no sense; in words what is wrong.
    """
    if told is None:
        return Output()
    if not isinstance(told, dict):
        raise ValueError("output is no table")
    words = {"activation": told.get("activation", "softmax"), "task": told.get("task", "classify")}
    for key, known in (("activation", ACTIVATIONS), ("task", TASKS)):
        if words[key] not in known:
            raise ValueError("output.%s is %r" % (key, words[key]))
    return Output(words["activation"], words["task"])


def _one_of(told: Table, key: str, known: Tuple[str, ...], default: Any) -> str:
    value = told.get(key, default)
    if value not in known:
        raise ValueError("preprocessing.%s is %r" % (key, value))
    return str(value)


def _flag(told: Table, key: str, default: bool) -> bool:
    value = told.get(key, default)
    if not isinstance(value, bool):
        raise ValueError("preprocessing.%s is %r" % (key, value))
    return value


def _color(told: Any) -> Tuple[int, int, int]:
    if not isinstance(told, list) or len(told) != 3 or not all(is_whole_number(each) and each <= 255 for each in told):
        raise ValueError("preprocessing.pad_color is %r" % (told,))
    return told[0], told[1], told[2]
