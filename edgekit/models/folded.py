"""Batch norms multiplied into the layers before them, in the order of onnxscript's optimizer: to the same bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float32]


def folded(layer: nn.Module, norm: nn.Module | None) -> tuple[Array, Array | None]:
    """Weight and bias of a layer together with the batch norm that alone reads it.

    Args:
        layer: a convolution or a linear layer; norm: in evaluation mode; what is no batch norm with statistics is left
            out.
    Returns:
        weight, of the layer's shape; bias (outputs,), or None where there is none.
    """
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    weight, bias = _array(layer.weight), None if layer.bias is None else _array(layer.bias)
    if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.running_mean is not None:
        assert norm.running_var is not None
        mean, variance = _array(norm.running_mean), _array(norm.running_var)
        scale, shift = (_array(norm.weight), _array(norm.bias)) if norm.affine else (np.float32(1), np.float32(0))
        factor = scale / np.sqrt(variance + np.float32(norm.eps))
        weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
        bias = ((np.float32(0) if bias is None else bias) - mean) * factor + shift
    return weight, bias


def _array(tensor: Tensor) -> Array:
    return tensor.detach().numpy()
