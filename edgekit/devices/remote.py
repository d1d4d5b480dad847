"""Networks on a device: sent, run and timed there."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.devices.facts import DeviceFacts
from edgekit.devices.ssh import Connection, DisconnectedError, Talk, understood
from edgekit.devices.timed import BenchAnswer
from edgekit.devices.transfer import agent, ask, ensure, persist

CHUNK: Final = 16
"""Pictures in a frame."""


@dataclass(frozen=True)
class Network:
    """A network on the device.

    Attributes:
        folder: there; runtime: a key of edgekit.runtime.engines.RUNTIMES.
        settings: how it builds its engine, and of OpenVINO where, see edgekit.runtime.settings.
        shape: of its input, where that is another than that of most, (1, H, W, 3).
    """

    name: str
    folder: str
    runtime: str
    precision: str
    settings: Mapping[str, bool | int | str | list[int]] = field(default_factory=dict)
    shape: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class Probed:
    """A device that takes part in a build: how to reach it, and what `probe` told of it."""

    connection: Connection
    facts: DeviceFacts


def probe(connection: Connection) -> DeviceFacts:
    """What the device is.

    Raises:
        UnavailableError: it cannot be reached.
    """
    told = ask(connection, "probe", {})
    with understood(connection.device):
        return DeviceFacts.of(told)


def place(
    connection: Connection, contents: Mapping[str, Path], on_progress: Callable[[int, int], None] = lambda d, t: None
) -> tuple[str, int]:
    """Puts files together in a folder on the device; returns the folder there and how many bytes were sent.

    What was put there through the same connection object is not asked for again: a build does so for many stages.

    Raises:
        UnavailableError: the device cannot be reached, or its disk is full.
    """
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in contents.items()}
    whole = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    if whole in connection.placed:
        return connection.placed[whole], 0
    sent = ensure(connection, {digests[name]: path for name, path in contents.items()}, on_progress)
    told = ask(connection, "link", {"digest": whole, "files": digests})
    with understood(connection.device):
        connection.placed[whole] = str(told["folder"])
    return connection.placed[whole], sent


def check_golden(connection: Connection, folder: str, runtime: str | None = None) -> float:
    """Opens a bundle on the device, which checks every hash, and compares its golden outputs; their least cosine.

    Raises:
        UnavailableError: it is damaged, or does not compute there what it did here.
    """
    told = ask(connection, "check", {"folder": folder, "runtime": runtime})
    with understood(connection.device):
        return float(told["cosine"])


def deploy(connection: Connection, folder: str, to: str) -> str | None:
    """Makes the path `to` on the device a link to a bundle's folder there; where it led before, None if it is new.

    Raises:
        UnavailableError: something else is there, or it cannot be written.
    """
    told = ask(connection, "deploy", {"folder": folder, "to": to})
    with understood(connection.device):
        return None if told["before"] is None else str(told["before"])


def rollback(connection: Connection, to: str) -> str:
    """Puts the bundle back that was at a path before; its folder on the device.

    Raises:
        UnavailableError: there is none.
    """
    told = ask(connection, "rollback", {"to": to})
    with understood(connection.device):
        return str(told["folder"])


class RemoteSession:
    """A network on a device; see edgekit.backends.Session. What a cut takes away is asked for again."""

    def __init__(self, connection: Connection, network: Network) -> None:
        self._connection, self._network = connection, network
        self._stack = ExitStack()
        self._talk: Talk | None = None

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        return self.infer_many(picture)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), CHUNK pictures a frame.

        Raises:
            UnavailableError: the device cannot be reached any more.
        """
        return np.concatenate([self._chunk(pictures[i : i + CHUNK]) for i in range(0, len(pictures), CHUNK)])

    def _chunk(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        def once() -> NDArray[np.float32]:
            try:
                talk = self._opened()
                talk.send({"shape": list(pictures.shape)}, zlib.compress(np.ascontiguousarray(pictures).tobytes(), 1))
                told, payload = talk.receive()
            except DisconnectedError:
                self.close()
                raise
            with understood(self._connection.device):
                logits = np.frombuffer(payload, np.float32).reshape(told["shape"])
                if logits.ndim != 2 or len(logits) != len(pictures):
                    raise ValueError(f"outputs {logits.shape} of {len(pictures)} pictures")
                return logits

        return persist(self._connection, once)

    def _opened(self) -> Talk:
        if self._talk is None:
            talk = self._stack.enter_context(agent(self._connection, "serve", asdict(self._network)))
            try:
                talk.receive()
            except BaseException:
                self.close()
                raise
            self._talk = talk
        return self._talk

    def close(self) -> None:
        """Ends what runs there."""
        self._talk = None
        self._stack.close()
        self._stack = ExitStack()


def bench(
    connection: Connection,
    networks: Sequence[Network],
    shape: tuple[int, int, int, int],
    runs: int,
    max_seconds: float,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> BenchAnswer:
    """Times networks side by side on the device.

    Raises:
        UnavailableError: the device cannot be reached or cannot run them; a cut run is started again.
    """
    header = {
        "networks": [asdict(each) for each in networks],
        "shape": list(shape),
        "runs": runs,
        "max_seconds": max_seconds,
    }

    def once() -> BenchAnswer:
        with agent(connection, "bench", header) as talk:
            while True:
                told, _ = talk.receive()
                with understood(connection.device):
                    if "timed" in told:
                        return BenchAnswer.of(told)
                    done, total = int(told["done"]), int(told["total"])
                on_progress(done, total)

    return persist(connection, once)
