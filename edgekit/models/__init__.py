"""Networks: the registry, their weights, and models from outside."""

from __future__ import annotations

import importlib
from inspect import signature
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.models.registry import find_model

if TYPE_CHECKING:
    from torch import nn


def create(
    name: str, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2, scale: float | None = None
) -> nn.Module:
    """A network of the registry with fresh weights, its state-dict names those of the public weights.

    Args:
        name: a name of `edgekit models`, with or without a tag; a tag's weights are not loaded.
        num_classes: outputs of the classifier.
        width: channel multiplier.
        dropout: probability of dropping a feature in training.
        scale: what residuals are multiplied with, 0.1 to 0.3 in the paper; None for the network's own.
    Raises:
        InputError: there is no such model, or it has no residuals to scale.
    """
    entry = find_model(name)[0]
    module, _, factory = entry.factory.partition(":")
    made = getattr(importlib.import_module(module), factory)
    told = {} if scale is None else {"scale": scale}
    if told and "scale" not in signature(made).parameters:
        raise InputError(f"{entry.name} has no residuals to scale", "Leave the scale out.")
    network: nn.Module = made(num_classes=num_classes, width=width, dropout=dropout, **told)
    return network
