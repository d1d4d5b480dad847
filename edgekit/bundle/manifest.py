"""The manifest of a bundle, typed: what manifest.json holds beside its kind and schema.

What the device runtime goes by is checked by edgekit.runtime.manifest first; the rest may be missing in a manifest of
another release, and keys that this one does not know are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from edgekit.data.preprocessing import Preprocessing
from edgekit.runtime.manifest import KIND, SCHEMA
from edgekit.size import plain, size_of


def _read(told: Any) -> Any:
    return {**told, "size": size_of(told["size"])} if isinstance(told, Mapping) and "size" in told else told


def _written(preprocessing: Preprocessing) -> dict[str, Any]:
    return {**asdict(preprocessing), "size": plain(preprocessing.size)}


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


class Input(_Part):
    """What the graph takes: uint8 (1, H, W, 3), NHWC, RGB."""

    name: str = "image"
    dtype: str = "uint8"
    shape: tuple[int, int, int, int]
    layout: str = "NHWC"
    color: str = "RGB"


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
        versions: of what made it, by name.
        engine: of a bundle with a finished engine; engine_settings: how a device builds one (edgekit.runtime.settings).
        files: all but the manifest and its signature, by name.
    """

    model: Network
    target: BuiltFor
    precision: str
    input: Input
    preprocessing: Annotated[Preprocessing, BeforeValidator(_read), PlainSerializer(_written)]
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
        absent = {name for name in ("engine", "engine_settings") if getattr(self, name) is None}
        return {"kind": KIND, "schema": SCHEMA, **self.model_dump(mode="json", exclude_unset=True, exclude=absent)}
