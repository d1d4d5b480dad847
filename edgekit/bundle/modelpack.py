"""A bundle as an OCI artifact, in the form of CNCF ModelPack: one layer a file, as it is, so that nothing changes.

The specification's words are kept: weights, their configuration, documentation, code and data sets are layers of their
own media types, and `org.cncf.model.filepath` is a layer's file name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from pydantic.alias_generators import to_camel

from edgekit.bundle.directory import read_manifest
from edgekit.bundle.manifest import Manifest
from edgekit.errors import InputError
from edgekit.json_files import json_file
from edgekit.runtime.manifest import MANIFEST, UNNAMED, is_file_name

OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG: Final = "application/vnd.cncf.model.config.v1+json"
FILE_NAME: Final = "org.cncf.model.filepath"
TITLE: Final = "org.opencontainers.image.title"
"""What clients that know nothing of models, such as oras, name a file by."""

KINDS: Final = (
    ("weight", (".onnx", ".xml", ".bin", ".engine")),
    ("weight.config", (".sig", "manifest.json", ".yaml")),
    ("doc", (".md", ".html", "report.json", "sbom.json")),
    ("code", (".pyz",)),
    ("dataset", (".npz", "calibration.json")),
)
"""Kind of a layer: how the names of its files end. What is none of these is documentation."""

PRECISIONS: Final = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}
"""The specification's names; a mix of several is not told."""

FORMATS: Final = {"openvino": "openvino", "onnxruntime": "onnx", "tensorrt": "onnx", "tensorrt-rtx": "onnx"}
"""Of what a runtime is given; every bundle has an ONNX file beside."""

MOST_BYTES: Final = 4 << 20
"""Of an artifact's manifest; what registries take."""

AGAIN: Final = "Push the bundle again."


class _Part(BaseModel):
    """Part of a document of the registry's: names in camel case, and what is not known is not written."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, protected_namespaces=())

    def written(self) -> bytes:
        """As JSON."""
        return f"{json.dumps(self.model_dump(mode='json', by_alias=True, exclude_none=True), indent=2)}\n".encode()


class Descriptor(_Part):
    """Something in a registry by content; of a layer, its annotations name the file."""

    media_type: str
    digest: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]
    size: Annotated[StrictInt, Field(ge=0)]
    annotations: dict[str, str] | None = None

    @property
    def name(self) -> str:
        """The name of a layer's file; empty where it has none."""
        told = self.annotations or {}
        return told.get(FILE_NAME) or told.get(TITLE) or ""

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self.digest.partition(":")[2]


class OciManifest(_Part):
    """What ties the layers of an artifact together."""

    schema_version: Literal[2] = 2
    media_type: str | None = OCI_MANIFEST
    artifact_type: str | None = None
    config: Descriptor
    layers: tuple[Descriptor, ...]


class _Described(_Part):
    created_at: str | None
    family: str | None
    name: str | None
    description: str
    licenses: tuple[str, ...] | None


class _Capabilities(_Part):
    input_types: tuple[str, ...] = ("image",)
    output_types: tuple[str, ...] = ("other",)


class _Technical(_Part):
    format: str | None
    param_size: str | None
    precision: str | None
    capabilities: _Capabilities


class _Files(_Part):
    type: str = "layers"
    diff_ids: tuple[str, ...]


class _ModelConfig(_Part):
    descriptor: _Described
    config: _Technical
    modelfs: _Files


@dataclass(frozen=True)
class Artifact:
    """A bundle as it is pushed: its layers, and the bytes of its configuration and of what ties them together."""

    layers: tuple[Descriptor, ...]
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """What the artifact is known by, whatever its tag."""
        return descriptor_of(self.manifest, OCI_MANIFEST).digest


def artifact_of(directory: Path, names: Collection[str]) -> Artifact:
    """A bundle as an artifact; the same bytes for the same bundle.

    Args:
        names: of its files, manifest and signatures among them.
    """
    told = read_manifest(directory)
    layers = []
    for name in sorted(names):
        titles = {FILE_NAME: name, TITLE: name}
        if name in told.files:
            digest, size = f"sha256:{told.files[name].sha256}", told.files[name].size_bytes
            layers.append(Descriptor(media_type=media_type_of(name), digest=digest, size=size, annotations=titles))
        else:
            made = descriptor_of((directory / name).read_bytes(), media_type_of(name))
            layers.append(made.model_copy(update={"annotations": titles}))
    config = _config(told, _created(directory), layers).written()
    tied = OciManifest(artifact_type=ARTIFACT, config=descriptor_of(config, CONFIG), layers=tuple(layers))
    return Artifact(tuple(layers), config, tied.written())


def descriptor_of(content: bytes, media_type: str) -> Descriptor:
    """What a registry calls these bytes."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Descriptor(media_type=media_type, digest=digest, size=len(content))


def media_type_of(name: str) -> str:
    """The media type of a file's layer."""
    kind = next((kind for kind, ends in KINDS if name.endswith(ends)), "doc")
    return f"application/vnd.cncf.model.{kind}.v1.raw"


def read_artifact(content: bytes, what: str) -> tuple[Descriptor, ...]:
    """The layers that an artifact's manifest names; nothing in it is believed before it makes sense.

    Args:
        what: the artifact's name, for errors.
    Raises:
        InputError: it is no bundle of edgekit's, or its layers cannot be one's files.
    """
    try:
        told = OciManifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{what} is no artifact that is known here: {place}: {first['msg']}", AGAIN) from error
    if told.artifact_type != ARTIFACT or told.config.media_type != CONFIG:
        hint = "`edgekit push` makes one; images of containers are none."
        raise InputError(f"{what} is no ModelPack artifact", hint)
    for layer in told.layers:
        if not is_file_name(layer.name):
            raise InputError(f"a layer of {what} is called {layer.name!r}, which is no plain file name", AGAIN)
        if not layer.media_type.endswith(".raw"):
            hint = "Only layers that are files as they are can be pulled."
            raise InputError(f"{layer.name} of {what} is packed ({layer.media_type})", hint)
    names = [layer.name for layer in told.layers]
    if len(set(names)) != len(names):
        raise InputError(f"{what} has a file twice", AGAIN)
    if MANIFEST not in names:
        raise InputError(f"{what} holds no bundle of edgekit's: it has no {MANIFEST}", "`edgekit push` makes one.")
    return told.layers


def check_layers(layers: Collection[Descriptor], told: Manifest, what: str) -> None:
    """Checks that an artifact has the files that its bundle's manifest names, and no others, before they are fetched.

    Raises:
        InputError: it has not.
    """
    there = {layer.name: (layer.sha256, layer.size) for layer in layers if layer.name not in UNNAMED}
    wanted = {name: (facts.sha256, facts.size_bytes) for name, facts in told.files.items()}
    for name in sorted(there.keys() | wanted.keys()):
        if there.get(name) != wanted.get(name):
            raise InputError(f"{what} is not what its {MANIFEST} says: {name}", AGAIN)


def _created(directory: Path) -> str | None:
    """When the bundle was built, as its report tells it: RFC 3339."""
    try:
        created = json_file(directory / "report.json")["created"]
        return created if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", created) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _config(told: Manifest, created: str | None, layers: Collection[Descriptor]) -> _ModelConfig:
    """What the network is, in the specification's words; what is not known is not told."""
    model = told.model
    name = ".".join(part for part in (model.name, model.tag) if part) or None
    is_embedding = told.output is not None and told.output.task == "embed"
    return _ModelConfig(
        descriptor=_Described(
            created_at=created,
            family=model.name,
            name=name,
            description=f"{name or 'A network'} for {told.target.name}, {told.precision}: a bundle of edgekit's",
            licenses=(told.licenses.weights,) if told.licenses.weights else None,
        ),
        config=_Technical(
            format=FORMATS.get(told.target.runtime),
            param_size=_count(model.params) if model.params else None,
            precision=PRECISIONS.get(told.precision),
            capabilities=_Capabilities(output_types=("embedding" if is_embedding else "other",)),
        ),
        modelfs=_Files(diff_ids=tuple(layer.digest for layer in layers)),
    )


def _count(params: int) -> str:
    """A number of parameters with a letter for its scale, one digit after the point."""
    for letter, scale in (("B", 1e9), ("M", 1e6)):
        if params >= scale:
            return f"{params / scale:.1f}{letter}"
    return f"{params / 1e3:.1f}K"
