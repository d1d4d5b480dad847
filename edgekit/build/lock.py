"""The lock of a build: every decision that was measured, so that another build makes the same network of them.

recipe.lock.yaml is in every bundle; `edgekit build --locked FILE` takes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.errors import InputError
from edgekit.input_recipe import ImageSize
from edgekit.quantize.candidates import QuantConfig
from edgekit.quantize.graph_format import Sums
from edgekit.recipe import Recipe, checked
from edgekit.targets.packages import installed_version
from edgekit.training.record import TrainingRecord
from edgekit.yaml_files import yaml_file

NAME: Final = "recipe.lock.yaml"

HEAD: Final = (
    "# What this build decided by measuring. `edgekit build --locked recipe.lock.yaml` makes the same network again,\n"
    "# on any machine: what is measured then goes into its report and changes nothing that is built.\n"
)


DECIDING: Final = (
    *("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime", "openvino", "nncf"),
    *("numpy", "Pillow", "polygraphy", "tensorrt", "tensorrt-rtx-cu13-bindings"),
)
"""Packages whose versions can change what is built."""


def versions() -> dict[str, str | None]:
    """The versions of the packages that decide, of those that are installed."""
    return {name: found for name in DECIDING if (found := installed_version(name)) is not None}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LockedWidth(_Part):
    """Channels in and out of a layer, before and after."""

    layer: str
    before: tuple[int, int]
    after: tuple[int, int]


class LockedBlocks(_Part):
    """Of how many residual blocks which ones were removed, to be read and compared."""

    there: int = Field(ge=0)
    removed: tuple[str, ...]


class LockedPruning(_Part):
    """Which channels and blocks stay, and how the accuracy was won back.

    Attributes:
        widths: of each layer that stays, to be read and compared.
        units, keep: of the channel graph, see edgekit.prune.choice; it is these that are replayed.
        blocks: None where blocks were left alone, as in older locks; else each of them is a unit too.
        recovery: the training as it was run; None where nothing was trained.
        refit_images, norm_images: that weights were refit on, and statistics taken anew with; 0: they were left alone.
    """

    importance: str
    widths: tuple[LockedWidth, ...]
    units: int = Field(ge=0)
    keep: str = Field(pattern="^([0-9a-f]{2})*$")
    blocks: LockedBlocks | None = Field(default=None)
    recovery: TrainingRecord | None
    refit_images: int = Field(default=0, ge=0)
    norm_images: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_a_bit_for_each_unit(self) -> LockedPruning:
        if len(self.keep) != 2 * -(-self.units // 8):
            raise ValueError(f"{len(self.keep)} digits do not hold {self.units} units")
        return self


class LockedSearch(_Part):
    """The mix of precisions that was found: settings, operators in 16 bits, and training with quantizers."""

    config: QuantConfig
    training: TrainingRecord | None


class LockedCalibration(_Part):
    """The calibration set, by the content of its images."""

    images: int
    digest: str


class Lock(_Part):
    """A build's decisions.

    Attributes:
        made_on: the processor, for people.
        versions: of the packages that decide what is built.
        weights_sha256: of the network that came in.
        chosen: name of the variant that is in the bundle; backend: that ran it; None in older locks.
        precisions: that were compared, fp32 first.
        int8_sums: how products are added up by the processor that INT8 weights were made for.
        size: of the images that the network was pruned for, or its mix of precisions looked for; None: the usual one.
        pruning, search: None where nothing was pruned, or no mix was looked for.
    """

    format: Literal["edgekit lock, schema 1"] = "edgekit lock, schema 1"
    recipe: Recipe
    made_on: str
    versions: dict[str, str | None]
    weights_sha256: str | None
    calibration: LockedCalibration | None
    precisions: tuple[str, ...]
    chosen: str
    backend: str | None = Field(default=None)
    int8_sums: Sums = "exact"
    size: ImageSize | None = Field(default=None)
    pruning: LockedPruning | None = Field(default=None)
    search: LockedSearch | None = Field(default=None)


def to_yaml(lock: Lock) -> str:
    """The lock as YAML that `read_lock` reads back to the same lock; long lists of numbers stand in rows."""
    return HEAD + yaml.dump(lock.model_dump(mode="json"), Dumper=_Rows, sort_keys=False, width=120)


class _Rows(yaml.SafeDumper):
    """Lists of plain values in rows, everything else as blocks."""


def _list(dumper: _Rows, values: list[Any]) -> yaml.Node:
    plain = all(not isinstance(each, list | dict) for each in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=plain)


_Rows.add_representer(list, _list)


def read_lock(path: Path) -> Lock:
    """Reads a lock, without running anything in it.

    Raises:
        InputError: the file is missing, no lock, or says what makes no sense.
    """
    hint = "Give the recipe.lock.yaml of a bundle."
    try:
        content = yaml_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the lock {path}: {error}", hint) from error
    if not isinstance(content, dict) or "format" not in content:
        raise InputError(f"{path} is no lock of a build", hint)
    return checked(Lock, content, "lock")


def other_sums(locked: Sums, here: Sums) -> tuple[str, ...]:
    """What a user should know of a lock whose INT8 weights are for processors that add products up in another way."""
    if locked == here:
        return ()
    ways = {"exact": "exactly", "16-bit": "in 16 bits"}
    what = f"the lock's INT8 weights are for processors that add products {ways[locked]}, and this one does it"
    may = "sums may saturate here" if locked == "exact" else "answers are right, and could be a little more accurate"
    return (f"{what} {ways[here]}: {may}; they are kept",)


def differences(lock: Lock, versions: dict[str, str | None]) -> str | None:
    """What was of another version when the lock was made, in words; None where nothing was."""
    others = [
        f"{name} {was or 'none'} (now {versions.get(name) or 'none'})"
        for name, was in lock.versions.items()
        if versions.get(name) != was
    ]
    return None if not others else f"the lock was made with {', '.join(others)}: the network may differ in rounding"


def held_to(lock: Lock, weights_sha256: str | None) -> list[str]:
    """What a user should know of a lock that is followed.

    Raises:
        InputError: it is of other weights.
    """
    if lock.weights_sha256 != weights_sha256:
        raise InputError(
            f"the lock was made of other weights (sha256 {str(lock.weights_sha256)[:16]}, not"
            f" {str(weights_sha256)[:16]})",
            "Give those weights, or build without --locked.",
        )
    other = differences(lock, versions())
    return [] if other is None else [other]
