"""What a bundle keeps of its evaluation image by image, so that two builds can be compared on those that both saw."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.directory import read_manifest
from edgekit.errors import InputError

NAME: Final = "answers.npz"

HASH_BYTES: Final = 8
"""Of an image's SHA-256: two of a million images have the same in one of 37 million cases."""

MOST_BYTES: Final = 256 << 20
"""Unpacked: what is larger is of no evaluation."""

ARRAYS: Final = frozenset({"images", "labels", "baseline", "chosen", "shown"})
HINT: Final = "Build it again, or leave the file out: builds are then compared without pairing their images."


@dataclass(frozen=True)
class Answers:
    """Which images the network in a bundle had right, and FP32.

    Attributes:
        images: uint8 (N, 8), the beginning of the SHA-256 of each, in the order in which they were shown.
        labels: int32 (N,), the class that each was judged by.
        baseline: bool (N,), whether FP32 had it right.
        chosen: bool (n,), the same of the network in the bundle, which may have been shown the first n alone.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    baseline: NDArray[np.bool_]
    chosen: NDArray[np.bool_]

    def to_bytes(self) -> bytes:
        """As a file: compressed arrays, of what is right a bit each."""
        into = io.BytesIO()
        np.savez_compressed(
            into,
            images=self.images,
            labels=self.labels,
            baseline=np.packbits(self.baseline),
            chosen=np.packbits(self.chosen),
            shown=np.array([len(self.baseline), len(self.chosen)], np.int64),
        )
        return into.getvalue()


def short_hash(sha256: str) -> bytes:
    """What is kept of the SHA-256 of an image, which is given in hexadecimal digits."""
    return bytes.fromhex(sha256[: 2 * HASH_BYTES])


def read_answers(directory: Path) -> Answers | None:
    """The answers that a bundle keeps, checked against its manifest; None where it keeps none.

    Raises:
        InputError: the manifest cannot be read, or the file is not what it says or makes no sense.
    """
    facts = read_manifest(directory).files.get(NAME)
    if facts is None:
        return None
    file = directory / NAME
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", HINT) from error
    if hashlib.sha256(content).hexdigest() != facts.sha256:
        raise InputError(f"{file} is not the file that the bundle's manifest names", HINT)
    try:
        return _of_arrays(_arrays(content))
    except Exception as error:  # damaged bytes make unpacking raise what it likes
        raise InputError(f"{file} holds no answers: {error}", HINT) from error


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(each.file_size for each in packed.infolist()) > MOST_BYTES:
            raise ValueError("it is too large")
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        if set(kept.files) != ARRAYS:
            raise ValueError(f"it has the arrays {', '.join(sorted(kept.files)[:9])}")
        told = {name: kept[name] for name in ARRAYS}
    if not all(isinstance(each, np.ndarray) for each in told.values()):  # numpy gives other members as bytes
        raise ValueError("it holds what is no array")
    return told


def _of_arrays(told: dict[str, NDArray[Any]]) -> Answers:
    shown, images, labels = told["shown"], told["images"], told["labels"]
    if shown.shape != (2,) or shown.dtype != np.int64:
        raise ValueError("it does not say how many images there were")
    count, of_chosen = (int(each) for each in shown)
    if not 0 < of_chosen <= count:
        raise ValueError(f"{of_chosen} of {count} images are no number of images")
    if images.shape != (count, HASH_BYTES) or images.dtype != np.uint8:
        raise ValueError(f"its images are {images.dtype} {images.shape}")
    if labels.shape != (count,) or labels.dtype != np.int32:
        raise ValueError(f"its labels are {labels.dtype} {labels.shape}")
    return Answers(images, labels, _bits(told["baseline"], count), _bits(told["chosen"], of_chosen))


def _bits(packed: NDArray[Any], count: int) -> NDArray[np.bool_]:
    if packed.dtype != np.uint8 or packed.shape != (-(-count // 8),):
        raise ValueError(f"its bits are {packed.dtype} {packed.shape}")
    return np.unpackbits(packed, count=count).astype(np.bool_)
