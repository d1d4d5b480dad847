"""The manifest of a bundle, typed: what manifest.json holds beside its kind and schema.

What the device runtime goes by is checked by edgekit.runtime.manifest first; the rest may be missing in a manifest of
another release, and keys that this one does not know are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from edgekit.data.preprocessing import Preprocessing
from edgekit.runtime.manifest import KIND
from edgekit.size import plain, size_of


def _read(told: Any) -> Any:
    if not isinstance(told, Mapping) or "size" not in told:
        return told
    wanted = (1, 3) if told.get("color") == "grey" else (3,)
    for key in ("mean", "std"):
        if isinstance(told.get(key), list) and len(told[key]) not in wanted:
            raise ValueError(f"preprocessing.{key} has {len(told[key])} values")
    return {**told, "size": size_of(told["size"])}


def _written(preprocessing: Preprocessing) -> dict[str, Any]:
    """As it was before there was more than a centre crop; of what came later, what is not as it was then."""
    told = {**asdict(preprocessing), "size": plain(preprocessing.size)}
    later = {field.name: field.default for field in fields(Preprocessing) if field.name in LATER}
    return {key: value for key, value in told.items() if value != later.get(key, NotImplemented)}


LATER: Final = ("resize", "antialias", "pad_color", "pad_align", "exif")
"""Parts of Preprocessing that manifests of schema 1 did not have."""


def schema_of(preprocessing: Preprocessing, output: Output | None) -> int:
    """The schema of a manifest: 2 where a runtime that knows 1 alone would misread it.

    It would make other pixels of pictures, or probabilities of outputs that are none.
    """
    height, width = preprocessing.size
    pixels = (
        height == width
        and preprocessing.interpolation != "area"
        and (preprocessing.resize, preprocessing.antialias, preprocessing.exif) == ("crop", True, False)
    )
    classes = output is None or (output.activation, output.task) == ("softmax", "classify")
    return 1 if pixels and classes else 2


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Network(_Part):
    """The network as it came; input is (1, channels, height, width), classes 0 when unknown."""

    name: str | None = None
    tag: str | None = None
    weights_sha256: str | None = None
    params: int | None = None
    macs: int | None = None
    input: tuple[int, ...] | None = None
    classes: int


class BuiltFor(_Part):
    """The target that it was built for, and with which runtime."""

    name: str | None = None
    runtime: str
    runtime_version: str | None = None
    device: str | None = None
    features: tuple[str, ...] = ()
    plugin: str | None = None


class Input(_Part):
    """What the graph takes: uint8 (1, H, W, 3), NHWC, RGB."""

    name: str = "image"
    dtype: str = "uint8"
    shape: tuple[int, int, int, int]
    layout: str = "NHWC"
    color: str = "RGB"


class Output(_Part):
    """What the network's outputs are.

    Attributes:
        name: of the output in the file that the network came in.
        activation: what makes probabilities of them; task: what they are.
        threshold: cosine from which two pictures are one class (embed), probability from which a label is given
            (multilabel); None for none.
    """

    name: str | None = None
    activation: str = "softmax"
    task: str = "classify"
    threshold: float | None = None


class Arithmetic(_Part):
    """How the processor that an INT8 graph was made for adds products up; see edgekit.runtime.processor.

    Attributes:
        int8_sums: exact or 16-bit; what was made for 16-bit is right on every processor.
        features: of x86-64, with any of which sums are exact; empty where none is needed.
    """

    int8_sums: str
    features: tuple[str, ...] = ()


class Licenses(_Part):
    """SPDX expressions; None when unknown."""

    weights: str | None = None
    data: str | None = None


class Engine(_Part):
    """What a finished engine runs on: compute capabilities such as "8.9", a version of TensorRT, a platform."""

    name: str
    compute_capabilities: tuple[str, ...]
    tensorrt: str | None
    platform: str


class FileFacts(_Part):
    """A file by content."""

    sha256: str
    size_bytes: int


class Manifest(_Part):
    """What a bundle says of itself.

    Attributes:
        labels: class names by index; empty when unknown.
        arithmetic: what an INT8 graph for processors was made for.
        versions: of what made it, by name.
        engine: of a bundle with a finished engine; engine_settings: how a device builds one (edgekit.runtime.settings).
        files: all but the manifest and its signature, by name.
    """

    model: Network
    target: BuiltFor
    precision: str
    input: Input
    preprocessing: Annotated[Preprocessing, BeforeValidator(_read), PlainSerializer(_written)]
    output: Output | None = None
    arithmetic: Arithmetic | None = None
    labels: tuple[str, ...] = ()
    versions: Mapping[str, str | None] = {}
    licenses: Licenses = Licenses()
    engine: Engine | None = None
    engine_settings: Mapping[str, bool | int | list[int]] | None = None
    files: Mapping[str, FileFacts] = {}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Manifest:
        """The manifest that a JSON object is.

        Raises:
            pydantic.ValidationError: it is none.
        """
        return cls.model_validate({key: value for key, value in content.items() if key not in ("kind", "schema")})

    def as_json(self) -> dict[str, Any]:
        """As manifest.json has it: the keys that were given, without an engine or settings that there are not."""
        absent = {name for name in ("output", "arithmetic", "engine", "engine_settings") if getattr(self, name) is None}
        told = self.model_dump(mode="json", exclude_unset=True, exclude=absent)
        return {"kind": KIND, "schema": schema_of(self.preprocessing, self.output), **told}
