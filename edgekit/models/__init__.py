"""Networks: the registry, their weights, and models from outside."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgekit.models.registry import find_model

if TYPE_CHECKING:
    from torch import nn


def create(name: str, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2) -> nn.Module:
    """A network of the registry with fresh weights, its state-dict names those of the public weights.

    Args:
        name: a name of `edgekit models`, with or without a tag; a tag's weights are not loaded.
        num_classes: outputs of the classifier.
        width: channel multiplier.
        dropout: probability of dropping a feature in training.
    Raises:
        InputError: there is no such model.
    """
    module, _, factory = find_model(name)[0].factory.partition(":")
    made = getattr(importlib.import_module(module), factory)
    network: nn.Module = made(num_classes=num_classes, width=width, dropout=dropout)
    return network
