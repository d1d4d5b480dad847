"""Golden inputs and what the network gave for them where it was built: whether this device computes the same."""

import os
import zipfile
from typing import Callable, Tuple

import numpy as np

from .errors import BundleError

GOLDEN = "golden.npz"
GOLDEN_COSINE = 0.99
"""Golden logits made elsewhere may differ by kernels and rounding: their directions must agree at least so much."""

MAX_GOLDEN_BYTES = 1 << 28
"""Unpacked; a few inputs are far from it."""


def check_golden(folder: str, size: Tuple[int, int], classes: int, infer: Callable[[np.ndarray], np.ndarray]) -> float:
    """Runs the golden inputs; returns the least cosine similarity to the kept logits.

    Args:
        size: (height, width) of the input; classes: of the manifest, 0 when unknown; infer: one picture at a time.
    Raises:
        BundleError: it is below GOLDEN_COSINE, or there are no golden inputs that fit the network.
    """
    inputs, wanted = _read(os.path.join(folder, GOLDEN), size)
    if classes and wanted.shape[1] != classes:
        raise BundleError("the manifest tells of %d classes, the golden outputs of %d" % (classes, wanted.shape[1]))
    made = np.concatenate([infer(inputs[i : i + 1]) for i in range(len(inputs))])
    if made.shape != wanted.shape:
        raise BundleError("the model gives %s where the golden outputs are %s" % (made.shape, wanted.shape))
    made, wanted = made.astype(np.float64), wanted.astype(np.float64)
    lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(wanted, axis=1)
    least = float(((made * wanted).sum(1) / np.maximum(lengths, 1e-12)).min())
    if not least >= GOLDEN_COSINE:
        raise BundleError("outputs differ from the golden ones (cosine %.4f): this machine computes otherwise" % least)
    return least


def _read(path: str, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Inputs, uint8 (n, height, width, 3), and logits, float32 (n, classes)."""
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
        if unpacked > MAX_GOLDEN_BYTES:
            raise BundleError("%s unpacks to %d bytes, which no golden inputs have" % (GOLDEN, unpacked))
        with np.load(path, allow_pickle=False) as kept:
            inputs, logits = kept["inputs"], kept["logits"]
    except BundleError:
        raise
    except Exception as error:  # damaged bytes make unpacking raise what it likes
        raise BundleError("cannot read the golden inputs: %s" % " ".join(str(error).split()))
    if inputs.dtype != np.uint8 or not len(inputs) or inputs.shape[1:] != size + (3,):
        raise BundleError("the golden inputs are %s %s, the network takes %d x %d" % (
            inputs.dtype, inputs.shape, size[0], size[1]))  # fmt: skip
    if logits.dtype != np.float32 or logits.ndim != 2 or len(logits) != len(inputs) or not np.isfinite(logits).all():
        raise BundleError("the golden outputs are no logits: %s %s" % (logits.dtype, logits.shape))
    return inputs, logits
