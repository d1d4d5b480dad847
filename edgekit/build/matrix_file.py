"""The file of a build matrix: which builds it asks for, each checked before the first one begins."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from edgekit.build.runtimes import backend_of
from edgekit.errors import InputError, UnavailableError
from edgekit.file_names import readable
from edgekit.models import timm_models
from edgekit.models.registry import find_model
from edgekit.models.source import WEIGHTS
from edgekit.models.told_input import TIMM
from edgekit.recipe import Recipe, checked, laid_over, merged
from edgekit.targets import find, release_of
from edgekit.yaml_files import yaml_file

Partial: TypeAlias = dict[str, JsonValue]
"""Some keys of a recipe."""

SIGNS: Final = "signs"
NAMES: Final = ("name.model", "name.target")
"""Where settings of a model and of a target have their names until they are put together."""

HINT: Final = "docs/matrix.md has examples."
MOST_TOLD: Final = 3


class Excluded(BaseModel):
    """Combinations that are left out: those that agree in every key that is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(default=None, description="as in `models`: its model, or its name")
    target: str | None = Field(default=None, description="as in `targets`: its target, or its name")
    recipe: str | None = Field(default=None, description="a name of `recipes`")


class MatrixFile(BaseModel):
    """What a matrix file may hold: the product of three lists, single builds, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Partial = Field(default_factory=dict, description="settings of every build")
    models: tuple[str | Partial, ...] = Field(default=(), description="what --model takes, or settings with `model`")
    targets: tuple[str | Partial, ...] = Field(default=(), description="what --target takes, or settings with `target`")
    recipes: dict[str, Partial] = Field(default_factory=dict, description="settings by a name for their folders")
    exclude: tuple[Excluded, ...] = Field(default=(), description="combinations of the three that are left out")
    builds: Annotated[tuple[Partial, ...], Field(description="settings of single builds; `name` names the folder")] = ()


@dataclass(frozen=True)
class Member:
    """One build of a matrix.

    Attributes:
        name: of its folder; variant: the name among `recipes`, empty where there are none.
    """

    name: str
    recipe: Recipe
    variant: str = ""


@dataclass(frozen=True)
class _Asked:
    """A build as the file has it: settings, and what its folder is called where that was told, in whole or in part."""

    settings: Partial
    place: str
    name: str | None = None
    variant: str = ""
    model: str | None = None
    target: str | None = None


def read_matrix(path: Path, base: Mapping[str, JsonValue], flags: Mapping[str, JsonValue]) -> tuple[Member, ...]:
    """The builds of a matrix file, in its order: products first, then single builds.

    Args:
        base: settings below those of the file; flags: above them.
    Raises:
        InputError: the file is no matrix, or a build of it cannot be: unknown keys, models, targets or runtimes, files
            that are missing, two builds of one folder.
    """
    told = _read(path)
    common = laid_over(base, told.recipe)
    asked = [*_products(told), *_singles(told)]
    if not asked:
        raise InputError(f"{path} asks for no build", f"It needs `models` and `targets`, or `builds`. {HINT}")
    members, wrong = list[Member](), list[str]()
    for each in asked:
        try:
            members.append(_member(each, common, flags))
        except InputError as error:
            wrong.append(f"{each.place}: {error.what}" + (f" ({error.hint.rstrip('.')})" if error.hint else ""))
    if wrong:
        more = f"; and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
        of = "a build" if len(wrong) == 1 else f"{len(wrong)} builds"
        raise InputError(f"{of} of {path} cannot be: {'; '.join(wrong[:MOST_TOLD])}{more}", "Nothing was built.")
    _check_folders(members)
    return tuple(members)


def _read(path: Path) -> MatrixFile:
    try:
        read = yaml_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the matrix {path}: {error}", HINT) from error
    if isinstance(read, list):
        read = {"builds": read}
    if not isinstance(read, dict):
        raise InputError(f"{path} is neither a list of builds nor a mapping", HINT)
    return checked(MatrixFile, read, f"matrix {path}")


def _products(told: MatrixFile) -> Iterator[_Asked]:
    """Every model for every target in every variant, without what is excluded."""
    if bool(told.models) != bool(told.targets):
        missing = "targets" if told.models else "models"
        raise InputError(f"the matrix has no `{missing}` for its product", HINT)
    used = set[int]()
    models = [_named(each, "model", place) for place, each in enumerate(told.models)]
    targets = [_named(each, "target", place) for place, each in enumerate(told.targets)]
    variants: list[tuple[str, Partial]] = list(told.recipes.items()) or [("", {})]
    for model, target, (variant, settings) in product(models, targets, variants):
        out = {n for n, each in enumerate(told.exclude) if _excludes(each, model, target, variant)}
        used |= out
        if not out:
            whole = laid_over(laid_over(settings, model), target)
            names = [None if each is None else str(each) for each in (whole.pop(key, None) for key in NAMES)]
            place = " ".join(filter(None, (str(model["model"]), "for", str(target["target"]), variant)))
            yield _Asked(whole, place, None, variant, *names)
    unused = [n for n in range(len(told.exclude)) if n not in used]
    if unused:
        raise InputError(f"`exclude` {unused[0] + 1} of the matrix leaves nothing out", "Check its names.")


def _named(told: str | Partial, key: str, place: int) -> Partial:
    """A member of `models` or `targets` as settings; a name of its own is under `name.KEY`."""
    settings: Partial = {key: told} if isinstance(told, str) else dict(told)
    if not isinstance(settings.get(key), str):
        raise InputError(f"`{key}s` {place + 1} of the matrix has no `{key}`", HINT)
    if "name" in settings:
        settings[f"name.{key}"] = settings.pop("name")
    return settings


def _excludes(told: Excluded, model: Partial, target: Partial, variant: str) -> bool:
    """Whether a combination agrees in all that is told; of an empty exclusion nothing does."""
    sides = (
        (told.model, (model["model"], model.get("name.model"))),
        (told.target, (target["target"], target.get("name.target"))),
        (told.recipe, (variant,)),
    )
    asked = [(wanted, names) for wanted, names in sides if wanted is not None]
    return bool(asked) and all(wanted in names for wanted, names in asked)


def _singles(told: MatrixFile) -> Iterator[_Asked]:
    for place, each in enumerate(told.builds):
        settings = dict(each)
        name = settings.pop("name", None)
        if name is not None and not isinstance(name, str):
            raise InputError(f"`builds` {place + 1} of the matrix has a `name` that is no text", HINT)
        yield _Asked(settings, f"`builds` {place + 1}" + (f" ({name})" if name else ""), name)


def _member(asked: _Asked, common: Mapping[str, JsonValue], flags: Mapping[str, JsonValue]) -> Member:
    recipe = merged(laid_over(common, asked.settings), flags)
    _check(recipe)
    parts = (asked.model or model_of(recipe), asked.target or recipe.target, asked.variant)
    name = asked.name or "-".join(filter(None, parts))
    if name != os.path.basename(name) or name in ("", ".", "..") or not name.isprintable():
        raise InputError(f"{name!r} is no name of a folder", "Give a `name` without slashes.")
    return Member(name, recipe, asked.variant)


def model_of(recipe: Recipe) -> str:
    """What a network is called in the name of its folder, without loading it."""
    model = recipe.arch if recipe.arch is not None and recipe.model.endswith(WEIGHTS) else recipe.model
    if model.endswith(".onnx"):
        return readable(Path(model).stem)
    if model.startswith(TIMM):
        return model.removeprefix(TIMM).partition(".")[0]
    return model.rpartition(":")[2] if ":" in model else model.partition(".")[0]


def _check(recipe: Recipe) -> None:
    """Refuses what can be seen to be wrong without loading a network.

    Raises:
        InputError: it is.
    """
    target = find(recipe.target)
    backend_of(recipe.runtime, target)
    release_of(target, recipe.tensorrt.jetpack)
    model = recipe.arch if recipe.arch is not None and recipe.model.endswith(WEIGHTS) else recipe.model
    if ":" not in model and not model.endswith((".onnx", ".pt2", *WEIGHTS)):
        find_model(model)
    if model.startswith(TIMM):
        with contextlib.suppress(UnavailableError):  # without timm that build alone will fail, and say so
            timm_models.find(model.removeprefix(TIMM))
    for what, place in files_of(recipe).items():
        if not os.path.exists(place):
            raise InputError(f"there is no file or folder {place} ({what})", "Paths are of the folder you are in.")


def files_of(recipe: Recipe) -> Mapping[str, str]:
    """The user's files and folders that a recipe names, by its keys."""
    is_file = recipe.model.endswith((".onnx", ".pt2", *WEIGHTS))
    told = {
        "model": recipe.model if is_file else None,
        "weights": None if recipe.weights == "random" else recipe.weights,
        "data": None if recipe.data == SIGNS else recipe.data,
        "calibration.file": recipe.calibration.file,
        "calibration.data": None if recipe.calibration.data == SIGNS else recipe.calibration.data,
        "pruning.train_data": None if recipe.pruning.train_data == SIGNS else recipe.pruning.train_data,
        "labels.file": recipe.labels.file,
    }
    return {key: place for key, place in told.items() if place is not None}


def _check_folders(members: list[Member]) -> None:
    """Two builds of one folder would overwrite each other; some disks take names that differ in case for one."""
    seen: dict[str, Member] = {}
    for each in members:
        folded = each.name.casefold()
        if folded in seen:
            raise InputError(f"two builds of the matrix would be written to {each.name}", "Give one of them a `name`.")
        seen[folded] = each
