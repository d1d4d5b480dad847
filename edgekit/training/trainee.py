"""The network that a recipe trains: of the registry, of timm, or of a factory of the user's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.models import create
from edgekit.models.registry import find_model
from edgekit.models.source import make_network, resolve
from edgekit.models.told_input import TIMM
from edgekit.models.torch_outputs import channels_of
from edgekit.recipe import Recipe
from edgekit.training.loop import Channels, seeded
from edgekit.training.recipe import TrainingRecipe


@dataclass(frozen=True)
class Trainee:
    """A network with fresh weights, and what its images are normalised with.

    Attributes:
        recipe: with what does not fit the network left out; notes: what that was, for people.
    """

    network: nn.Module
    mean: Channels
    std: Channels
    recipe: TrainingRecipe
    notes: tuple[str, ...] = ()


def trainee(recipe: TrainingRecipe, classes: int) -> Trainee:
    """Makes the network that a recipe names.

    Args:
        classes: of the data, or as many as the user says.
    Raises:
        InputError: there is no such network, it makes no classes or another number of them, or takes no colour images.
        UnavailableError: timm is not installed.
    """
    if recipe.model.endswith(".onnx"):
        raise InputError(f"{recipe.model} is a graph, which is not trained", "Give the torch network: module:factory.")
    if ":" in recipe.model:
        return _users(recipe, classes)
    entry, _ = find_model(recipe.model)
    if entry.task != "classify":
        raise InputError(f"{entry.name} makes no classes, and is not trained here", "Give weights of it to build.")
    network = seeded(recipe.seed, lambda: create(recipe.model, classes, recipe.width, recipe.dropout))
    missing = _missing(network, recipe.auxiliary)
    if missing:
        what = f"'auxiliary' in the training recipe: {recipe.model} has no module {', '.join(missing)}"
        raise InputError(what, "Name modules of it, such as features.5.")
    return Trainee(network, entry.mean, entry.std, recipe)


def _users(recipe: TrainingRecipe, classes: int) -> Trainee:
    size = recipe.stages[0].size
    asked = {"model": recipe.model, "weights": "random", "seed": recipe.seed, "preprocessing": {"size": size}}
    timms = recipe.model.startswith(TIMM)
    source = resolve(Recipe.model_validate(asked | ({"num_classes": classes} if timms else {})))
    network = make_network(source)
    if channels_of(network) != 3:
        raise InputError(f"{recipe.model} takes grey images, and is trained on colour ones", "Give it 3 channels.")
    with torch.no_grad():
        answers = network(torch.zeros(1, 3, *size))
    made = answers.shape[1] if answers.ndim == 2 else None
    if made != classes:
        gives = f"gives {made} answers" if made is not None else f"answers with {tuple(answers.shape)}"
        raise InputError(
            f"{recipe.model} {gives} to an image, and there are {classes} classes",
            "Let it give one for each class, or say with --num-classes how many it gives.",
        )
    told = recipe.model_fields_set
    notes = [
        f"'{name}' of the training recipe is not used: {recipe.model} is as its factory makes it"
        for name in ("width", "dropout")
        if name in told
    ]
    missing = _missing(network, recipe.auxiliary)
    if missing:
        notes.append(f"no classifiers in training on {', '.join(missing)}: {recipe.model} has no such modules")
    kept = tuple(name for name in recipe.auxiliary if name not in missing)
    preprocessing = source.preprocessing
    return Trainee(
        network, preprocessing.mean, preprocessing.std, recipe.model_copy(update={"auxiliary": kept}), tuple(notes)
    )


def _missing(network: nn.Module, names: tuple[str, ...]) -> list[str]:
    there = {name for name, _ in network.named_modules()}
    return [name for name in names if name not in there]
