"""The part of a recipe that tells how images are prepared for a network."""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from edgekit.size import LARGEST_SIDE, Size, plain, size_of

Alignment = Literal["top-left", "top", "top-right", "left", "center", "right", "bottom-left", "bottom", "bottom-right"]

_SIDE = {"type": "integer", "minimum": 1, "maximum": LARGEST_SIDE}
ImageSize = Annotated[
    Size,
    BeforeValidator(size_of),
    PlainSerializer(plain, when_used="json"),
    WithJsonSchema(
        {
            "anyOf": [
                _SIDE,
                {"type": "string", "pattern": "^[0-9]+(x[0-9]+)?$"},
                {"type": "array", "items": _SIDE, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
"""(height, width), pixels; read from 96, "48x192" or [48, 192], and kept as a number where it is square."""

Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
"""What every generator of random numbers takes."""

Outputs = Annotated[int, Field(ge=1, le=1_000_000)]
"""How many numbers a network answers with."""

Width = Annotated[float, Field(gt=0, le=16)]
"""Channel multiplier of a network."""

_Level = Annotated[int, Field(ge=0, le=255)]


def _three(told: Any) -> Any:
    """One value for all three channels, or three."""
    if isinstance(told, int | float) and not isinstance(told, bool):
        return (told,) * 3
    return (*told,) * 3 if isinstance(told, list | tuple) and len(told) == 1 else told


def _one_or_three(item: dict[str, str | int]) -> WithJsonSchema:
    """What `_three` takes, for a schema."""
    lists = [{"type": "array", "items": item, "minItems": count, "maxItems": count} for count in (1, 3)]
    return WithJsonSchema({"anyOf": [item, *lists]})


Channels = Annotated[tuple[float, float, float], BeforeValidator(_three), _one_or_three({"type": "number"})]
PixelColor = Annotated[
    tuple[_Level, _Level, _Level],
    BeforeValidator(_three),
    _one_or_three({"type": "integer", "minimum": 0, "maximum": 255}),
]

MOST: Final = 1.5
"""Times the range of pixels: what mean and std may be."""


class PreprocessingRecipe(BaseModel):
    """What is told about the images a model wants; what is not told comes from the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: ImageSize | None = Field(default=None, description="224, or height x width: 48x192")
    crop_fraction: float | None = Field(
        default=None, gt=0, le=1, description="of the shorter side that the crop of the centre takes"
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] | None = Field(
        default=None, description="between pixels when images are resized"
    )
    mean: Channels | None = Field(default=None, description="subtracted: one value or three")
    std: Channels | None = Field(default=None, description="divided by: one value or three")
    scale: Literal[1, 255] | None = Field(default=None, description="white, for mean and std; 1 by default")
    color: Literal["rgb", "bgr", "grey"] | None = Field(default=None, description="order of the channels")
    resize: Literal["crop", "squash", "letterbox", "pad"] | None = Field(
        default=None, description="how a picture of another shape is made to fit"
    )
    antialias: bool | None = Field(default=None, description="resize as Pillow does, not as OpenCV does")
    pad_color: PixelColor | None = Field(default=None, description="RGB, 0 to 255")
    pad_align: Alignment | None = Field(default=None, description="where a padded picture lies")
    exif: bool | None = Field(default=None, description="turn pictures as their EXIF orientation says")
    preset: str | None = Field(default=None, description="of edgekit.data.presets, timm:NAME, or a file")

    @model_validator(mode="after")
    def _fits_the_scale(self) -> PreprocessingRecipe:
        """mean and std must be on the scale that was said; the wrong one leaves a network that sees next to nothing."""
        scale = self.scale or 1
        for name, values in (("mean", self.mean), ("std", self.std)):
            wrong = values is not None and misfit(values, scale)
            if wrong:
                raise ValueError(f"{name} {values} {wrong}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std {self.std} must be above 0")
        return self


def misfit(values: tuple[float, ...], scale: int) -> str:
    """Why mean or std cannot be on the 0 to `scale` scale, in words; empty where they can."""
    largest = max(abs(value) for value in values)
    if not math.isfinite(largest):
        return "has values that are no numbers"
    if scale == 1 and largest > MOST:
        return "is not on the 0 to 1 scale; divide by 255, or give --scale 255 (`scale: 255` in a recipe)"
    if scale == 255 and largest > MOST * 255:
        return "is not on the 0 to 255 scale"
    if scale == 255 and 0 < largest < 1:
        return "is on the 0 to 1 scale, not 0 to 255; leave --scale 255 out"
    return ""
