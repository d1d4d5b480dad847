"""A bundle on the device: files and signature checked, golden outputs compared, then images in and classes out.

Written for Python 3.6, numpy and one inference runtime, so that it can be copied to a device as it is.
"""

import os
import warnings
from typing import List, Optional, Tuple, Union
from weakref import WeakSet

import numpy as np

from . import golden
from .decoding import MAX_IMAGE_BYTES, MAX_PIXELS
from .engines import FILES, Network, choose, load
from .errors import BundleError, DeviceWarning
from .files import problems
from .kernels import KernelFindings, findings_of
from .manifest import Checked, read_manifest
from .openvino_plugins import PLUGINS, PROCESSOR, lacking
from .processor import what_differs
from .session import Limits, Ranked, Session
from .signers import Signed, signer_of

MODES = ("latency", "throughput")


class Bundle:
    """An opened bundle; see `Bundle.open`. A context manager.

    Attributes:
        path: its directory (str); manifest: the content of manifest.json (dict, as JSON has it).
        labels: class names by index (list of str; may be empty).
        size: (height, width) of the input in pixels (ints).
        runtime: what it is run with here (str); plugin: of OpenVINO, what drives the device here (str: "CPU", "GPU" or
            "NPU").
        warnings: why that is not the device, or not the kind of processor, that it was built for (list of str; empty
            where it is).
        signer: who signed it, of the allowed signers: an identity, or the fingerprint of a key (str; None when that was
            not asked for).
    """

    def __init__(self, path: str, told: Checked, runtime: str, verify: bool) -> None:
        self.path, self.runtime, self._told, self._verify = path, runtime, told, verify
        self.manifest = told.content
        self.plugin, self.warnings = plugin_here(told.settings.plugin, runtime)
        self.labels = list(told.labels)
        self.size = told.contract.size
        self.signer: Optional[str] = None
        differs = what_differs(self.manifest.get("arithmetic"), runtime) if self.plugin == PROCESSOR else None
        self.warnings += [differs] if differs else []
        self._sessions: "WeakSet[Session]" = WeakSet()
        self._asked: Tuple[str, Optional[int], str] = (runtime, None, "latency")
        self._network: Optional[Network] = None
        self._own: Optional[Session] = None

    @classmethod
    def open(
        cls,
        path: Union[str, "os.PathLike[str]"],
        verify: bool = True,
        threads: Optional[int] = None,
        runtime: Optional[str] = None,
        mode: str = "latency",
        allowed_signers: Optional[Union[str, "os.PathLike[str]"]] = None,
        identity: Optional[str] = None,
    ) -> "Bundle":
        """Opens the bundle in directory `path`. Nothing in it is run or unpacked before it has been checked.

        A bundle for a GPU or an NPU of OpenVINO's runs on the processor where there is none, with a DeviceWarning.

        Args:
            path: directory that a build wrote.
            verify: compares every file with its size and SHA-256, refuses what the manifest does not name, and compares
                what the network gives for the golden inputs here with what it gave where it was built.
            threads: processor threads; by default all that this process may use, by affinity and quota.
            runtime: openvino, onnxruntime, tensorrt or tensorrt-rtx; by default the one that the bundle was built for,
                or, where that is not installed, another that can run one of its files.
            mode: "latency" for one image at a time, "throughput" for many at once.
            allowed_signers: a file of identities and SSH keys (see ssh-keygen), or of public keys in PEM (P-256, P-384,
                P-521); one of them must have signed the bundle, or it is refused.
            identity: the one who must have, of SSH keys.
        Raises:
            BundleError: missing, damaged, of a newer schema, not signed by whom it must be, or its outputs are not the
                golden ones.
            MissingError: no runtime for it is installed, or ssh-keygen is missing.
        """
        folder = os.fspath(path)
        raw, manifest = read_manifest(folder)
        signer = None
        if allowed_signers is not None:
            signer = signer_of(Signed(folder, raw, manifest.files), os.fspath(allowed_signers), identity)
        files = manifest.files
        if verify or signer is not None:
            for problem in problems(folder, files):
                raise BundleError("the bundle %s was damaged or changed: %s" % (folder, problem))
        runtime = runtime or choose(manifest.runtime, files)
        for needed in FILES.get(runtime, ()) + (golden.GOLDEN,):
            if needed not in files:
                raise BundleError("the manifest does not name %s, which %s needs" % (needed, runtime))
        bundle = cls(folder, manifest, runtime, verify)
        for text in bundle.warnings:
            warnings.warn(text, DeviceWarning, stacklevel=2)
        bundle.signer = signer
        bundle._asked = (runtime, threads, mode)
        bundle._network = bundle._load(runtime, threads, mode)
        return bundle

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def session(
        self,
        runtime: Optional[str] = None,
        threads: Optional[int] = None,
        mode: Optional[str] = None,
        warmup: int = 1,
        max_bytes: int = MAX_IMAGE_BYTES,
        max_pixels: int = MAX_PIXELS,
    ) -> Session:
        """A session, which images are given to. What is not told is as the bundle was opened with.

        Args:
            runtime, threads, mode: see `open`; others than there load the network once more, and check it again.
            warmup: times that each of the network's requests is run before the session is given out.
            max_bytes, max_pixels: of an image file; larger ones are refused before they are decoded.
        Raises:
            BundleError: the bundle is closed, or that runtime cannot load it.
            MissingError: that runtime is not installed.
        """
        if self._network is None:
            raise BundleError("the bundle is closed")
        asked = (runtime or self._asked[0], threads or self._asked[1], mode or self._asked[2])
        network = self._network if asked == self._asked else self._load(*asked)
        made = Session(network, self._told.contract, self.labels, Limits(max_bytes, max_pixels), self._told.output)
        made.warm_up(warmup)
        self._sessions.add(made)
        return made

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Logits, float32 (N, classes), of raw RGB pixels, uint8 (N, H, W, 3) or (H, W, 3), at the bundle's size."""
        return self._default().logits(images, ready=True)

    def classify(self, images: np.ndarray, top: int = 5) -> List[Ranked]:
        """For each image, at the bundle's size, the `top` classes, best first, as (label, probability).

        A label is a name, or an index. Images of other sizes, and files: see `session`.
        """
        pixels = np.asarray(images)
        return self._default().classify(pixels[None] if pixels.ndim == 3 else pixels, top, ready=True)  # type: ignore[no-any-return]

    def check_golden(self) -> float:
        """Runs the golden inputs; returns the least cosine similarity to the kept logits.

        Raises:
            BundleError: they differ too much.
        """
        return self.compare_golden().cosine

    def compare_golden(self) -> golden.Alike:
        """Runs the golden inputs: how what comes out compares with what came out where the bundle was built.

        Raises:
            BundleError: the answers are others.
        """
        return self._check(self._network)

    def kernels(self) -> KernelFindings:
        """Which kernels its runtime took here for the layers with weights, and whether they compute as it was built.

        No layers are told of where a runtime does not tell its kernels (TensorRT).

        Raises:
            BundleError: the bundle is closed, or they cannot be read.
        """
        if self._network is None:
            raise BundleError("the bundle is closed")
        return findings_of(*self._network.kernels())

    def close(self) -> None:
        """Closes its sessions, each when what it works on is done."""
        for session in list(self._sessions):
            session.close()
        self._network = self._own = None

    def _default(self) -> Session:
        if self._own is None:
            self._own = self.session(warmup=0)
        return self._own

    def _load(self, runtime: str, threads: Optional[int], mode: str) -> Network:
        if mode not in MODES:
            raise BundleError("there is no mode %r; there are %s" % (mode, " and ".join(MODES)))
        settings = self._told.settings._replace(threads=threads or 0, mode=mode, keep=True, plugin=self.plugin)
        network = load(runtime, self.path, self._told.precision, settings)
        if self._verify:
            self._check(network)
        return network

    def _check(self, network: Optional[Network]) -> golden.Alike:
        if network is None:
            raise BundleError("the bundle is closed")
        return golden.check_golden(self.path, self.size, self._told.classes, network, self._told.output.activation)


def plugin_here(own: str, runtime: str) -> Tuple[str, List[str]]:
    """What drives the device that a bundle runs on here, and what must be said where that is not its own.

    Args:
        own: what it was built for; runtime: what it is run with.
    """
    if own == PROCESSOR:
        return PROCESSOR, []
    try:
        why = lacking(own) if runtime == "openvino" else "it is run with %s" % runtime
    except ImportError:  # told of when it is loaded
        return own, []
    if why is None:
        return own, []
    text = "the bundle was built and measured for %s, and runs on the processor: %s. %s"
    return PROCESSOR, [text % (PLUGINS[own].words, why, PLUGINS[own].needs)]
