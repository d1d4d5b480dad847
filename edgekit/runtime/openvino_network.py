"""OpenVINO on one of its devices: compiled once, kept, and run by as many requests as are of use."""

import io
import os
import threading
from collections import deque
from typing import Any, Deque, Dict, List, Optional, Tuple

import numpy as np

from .errors import BundleError, MissingError
from .kept import drop_oldest, keep, kept, path_for, place
from .kernels import Kernel, of_openvino
from .openvino_core import core
from .openvino_plugins import PLUGINS, PROCESSOR, Plugin, asked, lacking, said
from .processor_kind import processor_kind
from .settings import Settings
from .shown import first_line

KEPT_NETWORKS = 20
"""Compiled networks that are kept, of all bundles together."""


def load(folder: str, precision: str, settings: Settings) -> Tuple["Requests", int]:
    """A function from pixels to logits for any number of threads, and how many calls at once are of use.

    Raises:
        BundleError: OpenVINO cannot load it, or the device that is asked for computes no such precision.
        MissingError: OpenVINO sees no such device.
    """
    plugin, path = PLUGINS[settings.plugin], os.path.join(folder, "model.xml")
    if precision not in plugin.hints:
        raise BundleError("OpenVINO's %s computes no %s" % (settings.plugin, precision))
    why = None if settings.plugin == PROCESSOR else lacking(settings.plugin)
    if why is not None:
        raise MissingError("%s. %s" % (why, plugin.needs))
    wanted = asked(settings.plugin, precision, settings.mode, settings.threads)
    try:
        if plugin.threads:  # the processor
            compiled = _compiled(path, wanted) if settings.keep else _fresh(path, wanted)
        else:
            compiled = _on_device(path, plugin, wanted, settings.keep)
        told = path if plugin.threads else ""  # other devices call their layers and kernels otherwise
        return Requests(compiled, told), max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
    except RuntimeError as error:
        raise BundleError("OpenVINO cannot load %s: %s" % (path, said(error)))


def _fresh(path: str, wanted: Dict[str, str]) -> Any:
    return core().compile_model(path, PLUGINS[PROCESSOR].device, wanted)


def _on_device(path: str, plugin: Plugin, wanted: Dict[str, str], keeps: bool) -> Any:
    """Compiled for another device than the processor: OpenVINO knows by what it must be compiled again."""
    if not keeps or not plugin.caches:
        return core().compile_model(path, plugin.device, wanted)
    try:
        folder = os.path.join(place(), "openvino")
        os.makedirs(folder, exist_ok=True)
    except (BundleError, OSError):  # nowhere to keep it
        return core().compile_model(path, plugin.device, wanted)
    made = core().compile_model(path, plugin.device, dict(wanted, CACHE_DIR=folder))
    drop_oldest(".blob", KEPT_NETWORKS, folder)
    return made


def _compiled(path: str, wanted: Dict[str, str]) -> Any:
    """The network as it was compiled for this processor before, which is several times faster than compiling it."""
    known = core()  # switches telemetry off before openvino is imported
    import openvino

    facts = {"openvino": str(openvino.__version__), "processor": processor_kind()}
    sources = [path, path[: -len("xml")] + "bin"]
    try:
        place = path_for(["openvino", facts["processor"]], sources, [wanted, facts], ".blob")
    except BundleError:  # nowhere to keep it
        return _fresh(path, wanted)
    content = kept(place, facts)
    if content is not None:
        try:
            return known.import_model(io.BytesIO(content), PLUGINS[PROCESSOR].device, wanted)
        except RuntimeError:  # another build of the same release: compile it again
            pass
    made = _fresh(path, wanted)
    try:
        exported = made.export_model()
        keep(place, exported.getvalue() if hasattr(exported, "getvalue") else bytes(exported), facts)
        drop_oldest(".blob", KEPT_NETWORKS)
    except (BundleError, RuntimeError):  # a device where nothing can be written compiles each time
        pass
    return made


class Requests:
    """Infer requests, made when they are needed, up to as many as are of use; a caller waits for a free one.

    Where several threads call, a request runs on OpenVINO's own thread. On theirs, each with a oneTBB arena, tasks
    whose workers come late are never freed: some 600 bytes a call where there are more threads to run than cores
    (github.com/uxlfoundation/oneTBB/issues/1403). A single thread calls without a change of threads.
    """

    def __init__(self, compiled: Any, path: str) -> None:
        self._compiled, self._output, self._path = compiled, compiled.output(0), path
        count = max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
        self._turns = threading.Semaphore(count)
        self._free: Deque[Any] = deque()
        self._caller: Optional[int] = None
        self._callers_differ = False

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with self._turns:
            try:
                request = self._free.pop()  # the one used last: its memory is in the caches
            except IndexError:
                request = self._compiled.create_infer_request()
            try:
                # The pixels are read where they are: they outlive the call.
                if self._is_shared():
                    request.start_async([pixels], share_inputs=True)
                    request.wait()
                    made = request.results
                else:
                    made = request.infer([pixels], share_inputs=True)
                return np.array(made[self._output], dtype=np.float32)
            finally:
                self._free.append(request)

    def _is_shared(self) -> bool:
        """Whether more than one thread has called until now."""
        me = threading.get_ident()
        if self._caller is None:
            self._caller = me
        self._callers_differ = self._callers_differ or self._caller != me
        return self._callers_differ

    def threads(self) -> Optional[int]:
        """How many threads compute; None of another device than the processor."""
        try:
            return int(self._compiled.get_property("INFERENCE_NUM_THREADS")) or None
        except (RuntimeError, TypeError, ValueError):
            return None

    def kernels(self) -> List[Kernel]:
        """What OpenVINO took for each layer with weights; empty of another device than the processor.

        Raises:
            BundleError: it does not tell.
        """
        if not self._path:
            return []
        try:
            return of_openvino(self._compiled, core().read_model(self._path))
        except RuntimeError as error:
            raise BundleError("OpenVINO does not tell its kernels: %s" % first_line(error))
