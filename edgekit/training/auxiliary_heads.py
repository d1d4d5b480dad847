"""Classifiers inside a network, which it has only while it is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.size import Size


class AuxiliaryHeads(nn.Module):
    """Classifiers on modules inside a network (section 4 of arXiv 1512.00567), there only while it is trained.

    A tap joins the mean and the maximum of each channel of its module's output and feeds them to a linear layer.
    """

    def __init__(self, network: nn.Module, names: tuple[str, ...], size: Size, channels: int = 3) -> None:
        super().__init__()
        self._seen: list[Tensor] = []
        self.heads = nn.ModuleList()
        if not names:
            return
        for name in names:
            network.get_submodule(name).register_forward_hook(lambda module, given, made: self._seen.append(made))
        was_training, device = network.training, next(network.parameters()).device
        with torch.no_grad():
            classes = network.eval()(torch.zeros(1, channels, *size, device=device)).shape[1]
        network.train(was_training)
        for seen in self._seen:
            self.heads.append(nn.Linear(2 * seen.shape[1], classes, device=device))
        self._seen.clear()

    def loss(self, labels: Tensor, smoothing: float) -> Tensor | float:
        """Mean cross-entropy of the classifiers on what the network's last forward pass left; 0 without any."""
        seen, self._seen = self._seen, []
        losses = [
            nn.functional.cross_entropy(
                head(torch.cat([made.float().mean((2, 3)), made.float().amax((2, 3))], 1)),
                labels,
                label_smoothing=smoothing,
            )
            for head, made in zip(self.heads, seen, strict=True)
        ]
        return torch.stack(losses).sum() if losses else 0.0
