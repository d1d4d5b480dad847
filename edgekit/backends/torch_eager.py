"""PyTorch without compilation: the reference that latencies are compared with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.backends import Compiled, Mode
from edgekit.models import create
from edgekit.models.weights import load_into

MANY = 8
"""Pictures at a time in `infer_many`."""


class TorchSession:
    """A network as torch runs it, the preprocessing before it; see edgekit.backends.Session."""

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        self._network = network.eval()
        self._mean = torch.tensor(mean).view(1, 3, 1, 1)
        self._std = torch.tensor(std).view(1, 3, 1, 1)

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        with torch.inference_mode():
            floats = torch.from_numpy(picture).permute(0, 3, 1, 2).float().div(255)
            out: NDArray[np.float32] = self._network((floats - self._mean) / self._std).numpy()
        return out

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), some pictures at a time."""
        return np.concatenate([self.infer(pictures[first : first + MANY]) for first in range(0, len(pictures), MANY)])


def load(compiled: Compiled, mode: Mode = "latency") -> TorchSession:
    """Makes the network that the JSON file at `compiled.path` describes.

    It holds name, num_classes, width, mean, std and weights (a path, or null for fresh ones, which take as long).
    """
    told = json.loads(Path(compiled.path).read_text())
    network = create(told["name"], num_classes=told["num_classes"], width=told["width"])
    if told["weights"] is not None:
        load_into(network, Path(told["weights"]))
    return TorchSession(network, told["mean"], told["std"])
