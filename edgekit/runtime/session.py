"""A loaded network that an application gives images to: one, many, or without waiting; from any number of threads."""

import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Callable, Deque, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from .activation import ACTIVATE
from .contract import Contract, Output
from .decoding import MAX_IMAGE_BYTES, MAX_PIXELS, Image, picture
from .engines import Network
from .errors import BundleError, ImageError

WINDOW = 2048
"""Latencies that the counters look at: the last ones, so that memory stays what it is."""

WAITING = 4
"""Images that `submit` takes ahead of those being worked on, times the threads that work; then it waits."""

Ranked = List[Tuple[Union[str, int], float]]


class Limits(NamedTuple):
    """What an image file may be: its size in bytes, and its pixels once decoded."""

    max_bytes: int = MAX_IMAGE_BYTES
    max_pixels: int = MAX_PIXELS


class Session:
    """Made by `Bundle.session`. A context manager; may be used by any number of threads at once.

    An image is a path, the bytes of a JPEG or PNG file, or a uint8 (H, W, 3) RGB array (not OpenCV's BGR) of any size:
    it is fitted to the network's size as in evaluation. With `ready`, arrays are at that size already and go in as they
    are.

    Attributes:
        runtime: what runs the network (str).
        labels: class names by index; empty when unknown.
        size: (height, width) of the network's input, pixels.
    """

    def __init__(
        self,
        network: Network,
        contract: Contract,
        labels: Sequence[str],
        limits: Limits,
        output: Output = Output(),  # noqa: B008  a tuple: nothing in it changes
    ) -> None:
        self.runtime, self.labels, self.size = network.runtime, list(labels), contract.size
        self._network, self._contract, self._limits, self._output = network, contract, limits, output
        self._state = threading.Condition()
        self._latencies: Deque[float] = deque(maxlen=WINDOW)
        self._images = self._errors = self._running = 0
        self._closed = False
        self._workers = max(2, network.parallel)  # with one request, the second decodes while the first computes
        self._slots = threading.Semaphore(self._workers * (1 + WAITING))
        self._pool: Optional[ThreadPoolExecutor] = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def classify(self, image: Any, top: int = 5, ready: bool = False) -> Any:
        """The `top` classes of an image, best first, as [(label, probability), ...]; a label is a name, or an index.

        Probabilities are by softmax, of each class alone by sigmoid, or the outputs as they are, as the manifest says.

        Args:
            image: see the class; a list of them, or an array (N, H, W, 3), gives a list of answers.
        Raises:
            ImageError: an image cannot be read, is too large or is none.
            BundleError: the session is closed, the network failed, or it gives vectors, not classes.
        """
        self._check_classes()
        if _is_many(image):
            return [self._ranked(row, top) for row in self._rows(image, ready)]
        return self._ranked(self._row(image, ready), top)

    def logits(self, images: Any, ready: bool = False) -> np.ndarray:
        """The network's own outputs, float32 (N, classes); of one image (1, classes).

        Raises:
            ImageError, BundleError: see classify.
        """
        rows = self._rows(images, ready) if _is_many(images) else [self._row(images, ready)]
        return np.stack(rows) if rows else np.zeros((0, len(self.labels)), np.float32)

    def submit(self, image: Image, top: int = 5, ready: bool = False) -> "Future[Ranked]":
        """Takes an image and gives a Future of what `classify` gives.

        Waits when many are taken already, so that images that come too fast do not fill the memory. Not to be called
        from a Future's callback.

        Raises:
            BundleError: the session is closed, or the network gives vectors, not classes.
        """
        self._check_classes()
        return self._start(lambda: self._ranked(self._row(image, ready, taken=True), top))

    def submit_logits(self, image: Image, ready: bool = False) -> "Future[np.ndarray]":
        """The same of the network's own outputs, float32 (classes,).

        Raises:
            BundleError: the session is closed.
        """
        return self._start(lambda: self._row(image, ready, taken=True))

    def counters(self) -> Dict[str, Optional[float]]:
        """{"images", "errors", "mean_ms", "p50_ms", "p90_ms", "p99_ms"}: counted since the beginning, times of the
        last WINDOW images from being taken up to the answer, None before there are any."""
        with self._state:
            times = sorted(self._latencies)
            figures: Dict[str, Optional[float]] = {"images": self._images, "errors": self._errors}
        figures["mean_ms"] = sum(times) / len(times) if times else None
        for percent in (50, 90, 99):
            figures["p%d_ms" % percent] = times[(len(times) * percent - 1) // 100] if times else None
        return figures

    def warm_up(self, runs: int) -> None:
        """Runs a grey picture some times on every request that the network has; not counted."""
        grey = np.full((1,) + self.size + (3,), 128, np.uint8)
        if runs and self._network.parallel == 1:
            for _ in range(runs):
                self._network(grey)
        elif runs:
            started = [self._start(lambda: self._network(grey)) for _ in range(runs * self._workers)]
            for each in started:
                each.result()

    def close(self) -> None:
        """Waits for what is being worked on, and takes nothing more."""
        with self._state:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)
        with self._state:
            while self._running:
                self._state.wait()

    def _rows(self, images: Iterable[Image], ready: bool) -> List[np.ndarray]:
        images = list(images)
        if len(images) == 1:
            return [self._row(images[0], ready)]
        step = max(self._network.batches)
        if step > 1:
            groups = [images[first : first + step] for first in range(0, len(images), step)]
            return [row for group in groups for row in self._together(group, ready)]
        started: "List[Future[np.ndarray]]" = []
        try:
            for image in images:
                started.append(self._start(partial(self._row, image, ready, taken=True)))
            return [each.result() for each in started]
        finally:
            for each in started:  # after an error, the rest need not begin
                each.cancel()

    def _start(self, work: Callable[[], Any]) -> "Future[Any]":
        """Work for the pool, once there is room for it."""
        self._slots.acquire()
        try:
            with self._state:
                self._check_open()
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(self._workers)
                started = self._pool.submit(work)
        except BaseException:
            self._slots.release()
            raise
        started.add_done_callback(lambda _: self._slots.release())
        return started

    def _row(self, image: Image, ready: bool, taken: bool = False) -> np.ndarray:
        """Logits (classes,) of one image, counted."""
        return self._together([image], ready, taken)[0]

    def _together(self, images: List[Image], ready: bool, taken: bool = False) -> List[np.ndarray]:
        """Logits of as many images as the network takes in one call; each is counted with the time of the call.

        Args:
            taken: before the session was closed, perhaps: what was taken then is still done.
        """
        with self._state:
            if not taken:
                self._check_open()
            self._running += len(images)
        began, took = time.perf_counter(), None
        try:
            pixels = [self._checked(each) if ready else picture(each, self._contract, *self._limits) for each in images]
            together = np.stack(pixels) if len(pixels) > 1 else pixels[0][None]  # one is not copied
            rows = np.asarray(self._network(np.ascontiguousarray(together)))
            if not np.isfinite(rows).all():
                raise BundleError("the network gave values that are no numbers")
            took = (time.perf_counter() - began) * 1e3
            return list(rows)
        finally:
            for _ in images:
                self._count(took)

    def _count(self, took_ms: Optional[float]) -> None:
        """One image is done, or failed when it took no time."""
        with self._state:
            self._running -= 1
            if took_ms is None:
                self._errors += 1
            else:
                self._images += 1
                self._latencies.append(took_ms)
            if self._closed:
                self._state.notify_all()

    def _checked(self, image: Any) -> np.ndarray:
        wanted = self.size + (3,)
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape != wanted:
            found = "%s %s" % (image.dtype, image.shape) if isinstance(image, np.ndarray) else type(image).__name__
            raise ImageError("images must be uint8 (%d, %d, 3) RGB, not %s" % (wanted[:2] + (found,)))
        return image

    def _check_open(self) -> None:
        if self._closed:
            raise BundleError("the session is closed")

    def _ranked(self, row: np.ndarray, top: int) -> Ranked:
        if self.labels and len(self.labels) != len(row):
            raise BundleError("the network gives %d classes, the manifest names %d" % (len(row), len(self.labels)))
        shares = ACTIVATE[self._output.activation](row)
        order = np.argsort(-shares, kind="stable")[:top].tolist()
        return [(self.labels[i] if self.labels else i, float(shares[i])) for i in order]

    def _check_classes(self) -> None:
        if self._output.task == "embed":
            raise BundleError("the bundle gives vectors to compare, not classes: use logits(), or its task `embed`")


def _is_many(image: Any) -> bool:
    return isinstance(image, (list, tuple)) or (isinstance(image, np.ndarray) and image.ndim == 4)
