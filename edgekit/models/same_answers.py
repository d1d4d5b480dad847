"""Whether a graph that was put together without torch's exporter answers as the torch network does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.models.graph_input import INPUT
from edgekit.models.onnx_graph import to_proto
from edgekit.models.run_graph import plain, run_often
from edgekit.size import Size

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

APART: Final = 1e-3
"""Part of the largest logit by which two ways to compute a network in float32 may differ."""


def noise(size: Size, channels: int = 3) -> NDArray[np.float32]:
    """(1, channels, *size), one picture of noise, the same each time."""
    return np.random.Generator(np.random.PCG64(0)).standard_normal((1, channels, *size), np.float32)


def differs(model: ir.Model, network: nn.Module, pictures: NDArray[np.float32]) -> str | None:
    """Why a graph is not the network; None where both answer the pictures alike.

    Args:
        model: a canonical graph, batch 1; network: in evaluation mode.
        pictures: (N, C, H, W), as both take them.
    Raises:
        InputError: ONNX Runtime cannot run the graph.
    """
    import torch

    try:
        with torch.no_grad():
            wanted = network(torch.from_numpy(pictures)).numpy()
    except Exception as error:  # whatever a network does that is made for another size
        return f"the network does not take it: {plain(error)}"
    answers = run_often(to_proto(model), ({INPUT: picture[None]} for picture in pictures))
    found = np.concatenate([answer for (answer,) in answers])
    if found.shape != wanted.shape:
        return f"it answers with {found.shape[1:]} numbers, the network with {wanted.shape[1:]}"
    apart = float(np.abs(found - wanted).max())
    if apart <= APART * max(1.0, float(np.abs(wanted).max())):
        return None
    return f"a picture's answers differ by {apart:.3g} from the network's"
