"""A bundle on the device: hashes checked, golden outputs compared, then raw pixels in and classes out.

Written for Python 3.6, numpy and one inference runtime, so that it can be copied to a device as it is.
"""

import hashlib
import json
import os
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np

from .engines import FILES, load
from .errors import BundleError

GOLDEN_COSINE = 0.99
"""Golden logits made elsewhere may differ by kernels and rounding: their directions must agree at least so much."""


class Bundle:
    """An opened bundle; see `Bundle.open`. A context manager.

    Attributes:
        manifest: the content of manifest.json (dict).
        labels: class names by index (list of str; may be empty).
        size: side of the square input in pixels (int).
    """

    def __init__(
        self, path: str, manifest: Dict[str, Any], infer: Optional[Callable[[np.ndarray], np.ndarray]]
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.labels = list(manifest.get("labels") or [])
        self.size = int(manifest["input"]["shape"][1])
        self._infer = infer

    @classmethod
    def open(
        cls,
        path: Union[str, "os.PathLike[str]"],
        verify: bool = True,
        threads: Optional[int] = None,
        runtime: Optional[str] = None,
    ) -> "Bundle":
        """Opens the bundle in directory `path`.

        Args:
            path: directory that a build wrote.
            verify: compares every file with its SHA-256 and the golden inputs' outputs with those kept.
            threads: processor threads; all that the machine has by default.
            runtime: another one than the bundle was built for, such as onnxruntime to try a Jetson's on a processor.
        Raises:
            BundleError: missing, damaged, of another kind, or its outputs are not the golden ones.
        """
        folder = os.fspath(path)
        manifest = _read_manifest(folder)
        try:
            engine = runtime or manifest["target"]["runtime"]
            if verify:
                _check_files(folder, manifest["files"], FILES.get(engine, ()))
            settings = dict(manifest.get("engine_settings") or {})
            if threads is not None:
                settings["threads"] = threads
            infer = load(engine, folder, manifest["precision"], settings)
            bundle = cls(folder, manifest, infer)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError("the manifest of %s is not whole: %r" % (folder, error))
        if verify:
            bundle.check_golden()
        return bundle

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, *_: object) -> None:
        self._infer = None

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits, float32 (N, classes), of raw RGB pixels, uint8 (N, H, W, 3) or (H, W, 3), at the bundle's size."""
        pixels = np.asarray(images)
        if pixels.ndim == 3:
            pixels = pixels[None]
        wanted = (self.size, self.size, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != wanted:
            raise BundleError(
                "images must be uint8 (N, %d, %d, 3) RGB, not %s %s" % (wanted[:2] + (pixels.dtype, pixels.shape))
            )
        if self._infer is None:
            raise BundleError("the bundle is closed")
        return np.concatenate([self._infer(pixels[i : i + 1]) for i in range(len(pixels))])

    def classify(self, images: np.ndarray, top: int = 5) -> List[List[Tuple[Any, float]]]:
        """For each image the `top` classes, best first, as (label, probability); label is a name, or an index."""
        return [self._ranked(row, top) for row in self.logits(images).astype(np.float64)]

    def _ranked(self, row: np.ndarray, top: int) -> List[Tuple[Any, float]]:
        weights = np.exp(row - row.max())
        weights /= weights.sum()
        order = np.argsort(-weights, kind="stable")[:top]
        return [(self.labels[i] if i < len(self.labels) else int(i), float(weights[i])) for i in order]

    def check_golden(self) -> float:
        """Runs the golden inputs; returns the least cosine similarity to the kept logits.

        Raises:
            BundleError: it is below GOLDEN_COSINE.
        """
        kept = np.load(os.path.join(self.path, "golden.npz"), allow_pickle=False)
        made, wanted = self.logits(kept["inputs"]), kept["logits"]
        if made.shape != wanted.shape:
            raise BundleError("the model gives %s where the golden outputs are %s" % (made.shape, wanted.shape))
        lengths = np.linalg.norm(made, axis=1) * np.linalg.norm(wanted, axis=1)
        least = float(((made * wanted).sum(1) / np.maximum(lengths, 1e-12)).min())
        if not least >= GOLDEN_COSINE:
            raise BundleError(
                "outputs differ from the golden ones (cosine %.4f): this machine computes otherwise" % least
            )
        return least


def _read_manifest(folder: str) -> Dict[str, Any]:
    try:
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError) as error:
        raise BundleError("%s holds no bundle: %s" % (folder, error))
    if not isinstance(manifest, dict) or manifest.get("kind") != "edgekit-bundle" or "files" not in manifest:
        raise BundleError("%s holds no bundle of edgekit's" % folder)
    return manifest


def _check_files(folder: str, files: Dict[str, Any], loaded: Tuple[str, ...]) -> None:
    for needed in loaded + ("golden.npz",):
        if needed not in files:
            raise BundleError("the manifest does not name %s" % needed)
    for name, facts in files.items():
        if os.path.basename(name) != name:
            raise BundleError("the manifest points out of the bundle: %s" % name)
        digest = hashlib.sha256()
        try:
            with open(os.path.join(folder, name), "rb") as file:
                for piece in iter(lambda: file.read(1 << 20), b""):
                    digest.update(piece)
        except OSError as error:
            raise BundleError("cannot read %s: %s" % (name, error))
        if digest.hexdigest() != facts["sha256"]:
            raise BundleError("%s was changed or damaged: its SHA-256 is not the manifest's" % name)
