"""Golden inputs and what the network gave for them where it was built: whether this device computes the same."""

import os
import zipfile
from typing import Callable, NamedTuple, Optional, Tuple

import numpy as np

from .activation import ACTIVATE
from .errors import BundleError

GOLDEN = "golden.npz"
GOLDEN_SHIFT, GOLDEN_PART = 0.1, 0.25
"""A probability may be another by so much where kernels and rounding differ, or by this part of the answer's own where
that is less; answers that are nearer than that are a tie, and either is right."""

GOLDEN_COSINE = 0.99
"""Outputs that are no probabilities must keep their direction so far."""

MAX_GOLDEN_BYTES = 1 << 28
"""Unpacked; a few inputs are far from it."""


class Alike(NamedTuple):
    """How what a network gives here compares with what it gave where it was built.

    images: golden pictures; same: those with the answer that they had, ties among them; near: those of which no
    probability moved by more than it may; shift: the largest difference of a probability, 0 to 1, None where outputs
    are no probabilities; cosine: the least of a picture's outputs.
    """

    images: int
    same: int
    near: int
    shift: Optional[float]
    cosine: float

    @property
    def ok(self) -> bool:
        """Whether this machine computes the same."""
        if self.shift is None:
            return self.cosine >= GOLDEN_COSINE
        return self.same == self.near == self.images

    def __str__(self) -> str:
        if self.shift is None:
            return "outputs of %d pictures keep a cosine of %.4f (%.2f must be)" % (
                self.images, self.cosine, GOLDEN_COSINE)  # fmt: skip
        answers = "%d of %d pictures have the answer that they had" % (self.same, self.images)
        return "%s, probabilities differ by at most %.1f points" % (answers, 100 * self.shift)


def check_golden(
    folder: str,
    size: Tuple[int, int],
    classes: int,
    infer: Callable[[np.ndarray], np.ndarray],
    activation: str = "softmax",
) -> Alike:
    """Runs the golden inputs, and compares the outputs with those that were kept.

    Args:
        size: (height, width) of the input; classes: that the manifest tells of, 0 when unknown; infer: one picture at a
            time; activation: what makes probabilities of outputs, "softmax", "sigmoid" or "none".
    Raises:
        BundleError: the answers are others, or there are no golden inputs that fit the network.
    """
    inputs, wanted = _read(os.path.join(folder, GOLDEN), size)
    if classes and wanted.shape[1] != classes:
        raise BundleError("the manifest tells of %d classes, the golden outputs of %d" % (classes, wanted.shape[1]))
    made = np.concatenate([infer(inputs[i : i + 1]) for i in range(len(inputs))])
    if made.shape != wanted.shape:
        raise BundleError("the model gives %s where the golden outputs are %s" % (made.shape, wanted.shape))
    found = compare(wanted, made, activation)
    if not found.ok:
        raise BundleError("this machine computes otherwise than where the bundle was built: %s" % (str(found),))
    return found


def compare(wanted: np.ndarray, made: np.ndarray, activation: str) -> Alike:
    """Outputs as they were and as they are, both (n, classes)."""
    before, after = wanted.astype(np.float64), made.astype(np.float64)
    if not np.isfinite(after).all():
        return Alike(len(before), 0, 0, None if activation == "none" else 1.0, -1.0)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosine = float(((before * after).sum(1) / np.maximum(lengths, 1e-12)).min())
    if activation == "none":
        return Alike(len(before), len(before), len(before), None, cosine)
    likely, now = ACTIVATE[activation](before), ACTIVATE[activation](after)
    rows, first, second = np.arange(len(likely)), likely.argmax(1), now.argmax(1)
    may = np.minimum(GOLDEN_SHIFT, GOLDEN_PART * likely[rows, first])
    same, shifts = likely[rows, first] - likely[rows, second] <= may, np.abs(likely - now).max(1)
    return Alike(len(likely), int(same.sum()), int((shifts <= may).sum()), float(shifts.max()), cosine)


def _read(path: str, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Inputs, uint8 (n, height, width, 3), and logits, float32 (n, classes)."""
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(each.file_size for each in packed.infolist())
        if unpacked > MAX_GOLDEN_BYTES:
            raise BundleError("%s unpacks to %d bytes, which no golden inputs have" % (GOLDEN, unpacked))
        with np.load(path, allow_pickle=False) as kept:
            inputs, logits = kept["inputs"], kept["logits"]
        # numpy gives members that are no arrays as bytes
        if not (isinstance(inputs, np.ndarray) and isinstance(logits, np.ndarray)):
            raise BundleError("the golden inputs hold what is no array")
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
