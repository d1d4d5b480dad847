"""Optimisers by name. Muon moves convolutions by orthogonalised momentum: a deep plain network learns faster by it.

Muon (Jordan et al. 2024) is torch's own; it takes matrices only, so that each convolution is handed to it as the matrix
(outputs, inputs x kernel) that shares its memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.training.recipe import TrainingRecipe

PartState = dict[str, Any]
"""A torch optimiser's own dictionary."""


Together = Callable[[Sequence[Callable[[], Any]]], Any]


def one_by_one(work: Sequence[Callable[[], Any]]) -> None:
    """Does each piece of work in turn."""
    for each in work:
        each()


class Optimizer:
    """One or two torch optimisers that step together; rates are set as a factor of each one's own."""

    def __init__(self, parts: list[torch.optim.Optimizer], views: list[tuple[Tensor, Tensor]]) -> None:
        self._parts, self._views = parts, views
        self._rates = [[group["lr"] for group in part.param_groups] for part in parts]

    def set_rate(self, factor: float) -> None:
        """Multiplies every learning rate of the recipe by `factor`."""
        for part, rates in zip(self._parts, self._rates, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def step(self, together: Together = one_by_one) -> None:
        """One step along the gradients, which are then dropped; `together` runs what does not depend on each other."""
        for matrix, weight in self._views:
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
            weight.grad = None
        together([part.step for part in self._parts])
        for part in self._parts:
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, PartState]:
        """The state of every part, by position."""
        return {str(place): part.state_dict() for place, part in enumerate(self._parts)}

    def load_state_dict(self, state: Mapping[str, PartState]) -> None:
        """Takes back what `state_dict` gave."""
        for place, part in enumerate(self._parts):
            part.load_state_dict(state[str(place)])


def optimizer_for(network: nn.Module, recipe: TrainingRecipe) -> Optimizer:
    """The optimiser of a recipe; vectors (batch norm, biases) are never decayed.

    The paper's RMSProp has decay 0.9 and epsilon 1 (section 4 of arXiv 1602.07261).
    """
    weights = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    if recipe.optimizer == "muon":
        convolutions = [p for p in weights if p.ndim == 4]
        matrices = [_as_matrix(p.data).requires_grad_() for p in convolutions]
        rate, decay = recipe.learning_rate, recipe.weight_decay
        halves = [half for half in (matrices[::2], matrices[1::2]) if half]  # each matrix is moved by itself
        rest = [p for p in weights if p.ndim != 4] + vectors
        adamw = torch.optim.AdamW(rest, lr=recipe.plain_learning_rate, weight_decay=0.0, foreach=True)
        muons = [torch.optim.Muon(half, lr=rate, weight_decay=decay, momentum=0.95) for half in halves]
        return Optimizer([*muons, adamw], list(zip(matrices, convolutions, strict=True)))
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    if recipe.optimizer == "rmsprop":
        return Optimizer([torch.optim.RMSprop(groups, lr=recipe.learning_rate, alpha=0.9, eps=1.0)], [])
    return Optimizer([torch.optim.AdamW(groups, lr=recipe.learning_rate)], [])


def _as_matrix(weight: Tensor) -> Tensor:
    """(outputs, inputs, height, width) as (outputs, height x width x inputs), a view of channels-last memory."""
    return weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
