"""Engines that one board built, for boards like it: building takes minutes on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from edgekit.devices.remote import Network
from edgekit.devices.ssh import Connection, understood
from edgekit.devices.transfer import agent, persist


@dataclass(frozen=True)
class KeptEngine:
    """An engine of TensorRT's, and what it belongs to: GPU, compute capability, TensorRT, CUDA and JetPack."""

    identity: Mapping[str, str]
    content: bytes


def give(connection: Connection, network: Network) -> KeptEngine:
    """The engine that a device keeps for a bundle.

    Raises:
        UnavailableError: it keeps none, or cannot be reached.
    """

    def once() -> KeptEngine:
        with agent(connection, "give", asdict(network)) as talk:
            told, content = talk.receive()
            with understood(connection.device):
                identity = {str(key): str(value) for key, value in told["identity"].items()}
            return KeptEngine(identity, content)

    return persist(connection, once)


def take(connection: Connection, network: Network, engine: KeptEngine) -> None:
    """Has a device keep it.

    Raises:
        UnavailableError: it is not like the one that built it, both are told; or it cannot be reached.
    """

    def once() -> None:
        with agent(connection, "take", asdict(network)) as talk:
            talk.send({"identity": dict(engine.identity)}, engine.content)
            talk.receive()

    persist(connection, once)
