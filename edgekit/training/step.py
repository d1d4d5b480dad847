"""One step of training: gradients of a batch, clipped, and the running average of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from edgekit.errors import InputError
from edgekit.training.autocast import autocast
from edgekit.training.auxiliary_heads import AuxiliaryHeads
from edgekit.training.checkpoint import Stateful
from edgekit.training.distillation import Loss, Taught
from edgekit.training.optimizers import Optimizer
from edgekit.training.recipe import TrainingRecipe
from edgekit.training.replicas import Replicas


@dataclass(frozen=True)
class Parts:
    """What is learned, its running average, and what it is learned with.

    Attributes:
        replicas: of the network, for parts of a batch; losses: of each of them, beside a teacher; None without one.
    """

    network: nn.Module
    average: nn.Module
    taps: AuxiliaryHeads
    optimizer: Optimizer
    replicas: Replicas
    losses: Sequence[Loss] | None = None

    def stateful(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        return {"network": self.network, "average": self.average, "taps": self.taps, "optimizer": self.optimizer}


@dataclass(frozen=True)
class Part:
    """Pictures that go through the network together: uint8 (N, H, W, C), labels (N,), and what was taught."""

    pictures: Tensor
    labels: Tensor
    taught: Taught = ()


def backward(
    parts: Parts,
    recipe: TrainingRecipe,
    batch: Sequence[Part],
    normalised: Callable[[Tensor], Tensor],
    progress: float,
) -> tuple[float, int]:
    """Gradients of a batch; the network's own mean loss and how many pictures it had right.

    As many parts as there are replicas run side by side; a single replica takes them one after another.
    """
    count = sum(len(part.labels) for part in batch)

    def one(part: Part, place: int = 0) -> tuple[float, int]:
        return _part_backward(parts, recipe, normalised(part.pictures), part, (progress, count, place))

    if len(parts.replicas.networks) > 1:
        made = parts.replicas.run(lambda place: one(batch[place], place))
    else:
        made = [one(part) for part in batch]
    return sum(loss for loss, _ in made), sum(right for _, right in made)


def _part_backward(
    parts: Parts, recipe: TrainingRecipe, inputs: Tensor, part: Part, where: tuple[float, int, int]
) -> tuple[float, int]:
    """Gradients of a part; where: progress, how many pictures the whole batch has, and which of the replicas runs."""
    progress, count, place = where
    tap_weight, labels = recipe.auxiliary_weight * (1 - progress), part.labels
    with autocast(inputs.device.type, recipe.bf16):
        logits = answers(parts.replicas.networks[place], inputs)
    if parts.losses is not None:
        loss = parts.losses[place](part.taught, logits, labels, progress)
    else:
        loss = nn.functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    share = len(labels) / count
    whole = share * (loss + tap_weight * parts.taps.loss(labels, recipe.label_smoothing))
    whole.backward()  # type: ignore[no-untyped-call]
    return share * float(loss.detach()), int((logits.argmax(1) == labels).sum())


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
    kept, new = average.state_dict().values(), network.state_dict().values()
    floats = [pair for pair in zip(kept, new, strict=True) if pair[0].dtype.is_floating_point]
    with torch.no_grad():
        get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
            [pair[0] for pair in floats], [pair[1] for pair in floats], 0
        )
        for ours, theirs in zip(kept, new, strict=True):
            if not ours.dtype.is_floating_point:
                ours.copy_(theirs)
