"""One step of training: gradients of a batch, clipped, and the running average of the weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.training.autocast import autocast
from edgekit.training.auxiliary_heads import AuxiliaryHeads
from edgekit.training.checkpoint import Stateful
from edgekit.training.distillation import DistillationLoss
from edgekit.training.optimizers import Optimizer
from edgekit.training.recipe import TrainingRecipe


@dataclass(frozen=True)
class Parts:
    """What is learned, its running average, and what it is learned with."""

    network: nn.Module
    average: nn.Module
    taps: AuxiliaryHeads
    optimizer: Optimizer

    def stateful(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        return {"network": self.network, "average": self.average, "taps": self.taps, "optimizer": self.optimizer}


def backward(
    parts: Parts,
    recipe: TrainingRecipe,
    batch: list[tuple[Tensor, Tensor]],
    guide: DistillationLoss | None,
    progress: float,
) -> tuple[float, int]:
    """Gradients of a batch, (inputs, labels) of it at a time; the network's own mean loss and how many it had right."""
    count = sum(len(labels) for _, labels in batch)
    tap_weight = recipe.auxiliary_weight * (1 - progress)
    mean, right = 0.0, 0
    for inputs, labels in batch:
        with autocast(inputs.device.type, recipe.bf16):
            logits = answers(parts.network, inputs)
        if guide is not None:
            loss = guide.loss(inputs, logits, labels, progress)
        else:
            loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
        share = len(labels) / count
        whole = share * (loss + tap_weight * parts.taps.loss(labels, recipe.label_smoothing))
        whole.backward()  # type: ignore[no-untyped-call]
        mean += share * float(loss.detach())
        right += int((logits.argmax(1) == labels).sum())
    return mean, right


def answers(network: nn.Module, inputs: Tensor) -> Tensor:
    """The logits (N, classes) of a network in training.

    Raises:
        InputError: in training it fails, or gives something else, as some networks of others do.
    """
    try:
        made = network(inputs)
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError) as error:
        why = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"the network cannot be trained: {why}", "Build it with --prune none.") from error
    if not isinstance(made, Tensor) or made.ndim != 2:
        given = f"a tensor of {tuple(made.shape)}" if isinstance(made, Tensor) else f"a {type(made).__name__}"
        what = f"the network cannot be trained: in training it gives {given}, not logits (N, classes)"
        raise InputError(what, "Build it with --prune none.")
    return made


def clip(parts: Parts, recipe: TrainingRecipe) -> None:
    """Clips gradients as the recipe says."""
    parameters = [*parts.network.parameters(), *parts.taps.parameters()]
    if recipe.clip_tensor_norm is not None:
        for parameter in parameters:
            nn.utils.clip_grad_norm_([parameter], recipe.clip_tensor_norm)
    if recipe.clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, recipe.clip_norm)


def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the running average of weights and batch-norm statistics towards the network's."""
    with torch.no_grad():
        for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)
