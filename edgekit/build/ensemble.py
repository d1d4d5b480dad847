"""Several networks beside each other: which ones are meant, and whether their answers can be averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.build.runnable import Runnable, is_bundle, prepare
from edgekit.build.runner import Listener, nobody
from edgekit.errors import InputError
from edgekit.recipe import PreprocessingRecipe, Recipe
from edgekit.store import Store, file_sha256

if TYPE_CHECKING:
    from edgekit.backends import Compiled


@dataclass(frozen=True)
class Named:
    """A network that is ready to run, and what it is called beside the others."""

    label: str
    runnable: Runnable


def members_of(told: str) -> tuple[str, ...]:
    """The networks of `A,B,...`.

    Raises:
        InputError: one of them is empty.
    """
    items = tuple(item.strip() for item in told.split(","))
    if not all(items):
        raise InputError(f"the ensemble {told!r} has an empty member", "Give A,B,... without blanks between commas.")
    return items


def recipe_of(item: str, main: Recipe) -> Recipe:
    """The recipe of a member of an ensemble, beside the main model.

    NAME, NAME.TAG and bundles have their own preprocessing and weights. NAME=FILE is NAME with the weights of a file,
    whose width, number of classes and preprocessing are as told for the main model; so is the preprocessing of an ONNX
    file.
    """
    name, equals, file = item.partition("=")
    if equals and "/" not in name and not Path(item).exists():
        return main.model_copy(update={"model": name, "weights": file})
    base = main.model_copy(update={"model": item, "weights": None, "width": None, "num_classes": None})
    is_onnx = Path(item).suffix == ".onnx"
    return base if is_onnx else base.model_copy(update={"preprocessing": PreprocessingRecipe()})


def labels(main: Recipe, items: Sequence[str]) -> tuple[str, ...]:
    """What the main model and those beside it are called: names without their folders where these tell them apart."""
    whole = (main.model if main.weights is None else f"{main.model}={main.weights}", *items)
    short = tuple(_short(each) for each in whole)
    return short if len(set(short)) == len(short) else whole


def _short(item: str) -> str:
    if Path(item).exists():
        return Path(item).absolute().name
    name, equals, file = item.partition("=")
    return name + equals + (Path(file).name if equals else "")


def prepare_ensemble(
    main: Recipe,
    items: Sequence[str],
    precision: str | None,
    store: Store,
    on_event: Listener = nobody,
) -> tuple[Named, ...]:
    """Makes the main model and those beside it ready; alone, it is called by its name.

    Args:
        precision: fp32 or bf16, of what is no bundle and not quantized.
    Raises:
        InputError: one of them is not there or cannot be read, is there twice, or has other classes than the first.
    """
    first = prepare(main, precision, store, on_event)
    if not items:
        return (Named(first.name, first),)
    names = labels(main, items)
    made = [Named(names[0], first)]
    for label, item in zip(names[1:], items, strict=True):
        recipe = recipe_of(item, main)
        made.append(Named(label, prepare(recipe, None if is_bundle(recipe) else precision, store, on_event)))
        _check_beside(made)
    return tuple(made)


def _check_beside(made: Sequence[Named]) -> None:
    """Raises InputError when the last cannot be averaged with those before it."""
    from edgekit.validate.protocols import different_classes

    first, last = made[0], made[-1]
    if first.runnable.classes and last.runnable.classes and first.runnable.classes != last.runnable.classes:
        raise different_classes(first.label, first.runnable.classes, last.label, last.runnable.classes)
    content = _content(last.runnable.compiled)
    for each in made[:-1]:
        if _content(each.runnable.compiled) == content:
            raise InputError(
                f"{last.label} is the same network as {each.label} and would count twice",
                "Leave one out, or give it other weights with NAME=FILE.",
            )


def _content(compiled: Compiled) -> tuple[str, ...]:
    """What decides a network's answers: the digests of its files, and the precision they are run in."""
    path = Path(compiled.path)
    files = (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,)
    return (compiled.precision, *(file_sha256(file) for file in files))
