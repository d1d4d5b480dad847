"""Where variants run: on this machine, on a device over SSH, or, where they run nowhere, by a reference backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from edgekit.backends import Compiled, CompileSettings, Identity, backend
from edgekit.build.stage import Progress
from edgekit.devices import remote
from edgekit.devices.ssh import Connection
from edgekit.store.keys import NOT_IN_KEY
from edgekit.targets import Machine
from edgekit.validate.latency import Candidate, Measured, measure, summed_up

if TYPE_CHECKING:
    from edgekit.backends import Session

REFERENCE: Final = "onnxruntime"
"""The backend that executes graphs of targets that run nowhere."""

Shape: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True)
class Timing:
    """How long latency is measured: runs of each network, seconds for all, and the shape (1, H, W, 3) of the input.

    Attributes:
        others: shapes of networks that take another one, by name.
    """

    runs: int
    max_seconds: float
    shape: Shape
    others: tuple[tuple[str, Shape], ...] = ()


@dataclass(frozen=True)
class DeviceSettings:
    """How a device builds its engine; see edgekit.runtime.engines.load.

    Attributes:
        typed: whether the graph carries its precisions.
        dla_core: which deep-learning accelerator runs what it can; None for none.
        batches: how many pictures at once; empty for one.
    """

    typed: bool
    workspace_bytes: int | None = None
    dla_core: int | None = None
    batches: tuple[int, ...] = ()

    def as_header(self) -> dict[str, bool | int | list[int]]:
        """As the runtime on the device takes them, without what is not set."""
        told = asdict(self) | {"batches": list(self.batches) or None}
        return {key: value for key, value in told.items() if value is not None}


class Executor(Protocol):
    """Runs variants and times them. It is part of the input of the stages that do so, and so are its fields."""

    @property
    def machine(self) -> Machine:
        """What they run on."""
        ...

    @property
    def where(self) -> str:
        """Where layers and whole networks are timed, as a sentence ends with it."""
        ...

    @property
    def untimed(self) -> str | None:
        """Why latencies cannot be measured; None where they can."""
        ...

    def prepared(self, graph: Path, precision: str, folder: Path) -> Compiled:
        """What it runs of a graph, written in an empty folder where something must be made of it."""
        ...

    def executed(self, compiled: Compiled, graph: Path) -> Compiled:
        """What it runs of a variant that was compiled for the target."""
        ...

    def sessions(
        self, networks: Mapping[str, Compiled], progress: Progress
    ) -> AbstractContextManager[Mapping[str, Session]]:
        """All of the networks loaded for many pictures; freed at the end."""
        ...

    def timed(self, networks: Mapping[str, Compiled], timing: Timing, progress: Progress) -> Measured:
        """Latencies side by side."""
        ...


@dataclass(frozen=True)
class Here:
    """This machine runs what the target's backend compiled."""

    backend: str
    identity: Identity
    settings: CompileSettings
    machine: Machine
    where: str = "on this machine"
    untimed: str | None = None

    def prepared(self, graph: Path, precision: str, folder: Path) -> Compiled:
        """Compiled for this machine."""
        return backend(self.backend).compile(graph, folder, precision, self.settings)

    def executed(self, compiled: Compiled, graph: Path) -> Compiled:
        """What was compiled."""
        return compiled

    def sessions(
        self, networks: Mapping[str, Compiled], progress: Progress
    ) -> AbstractContextManager[Mapping[str, Session]]:
        """Loaded in this process."""
        return _loaded(networks)

    def timed(self, networks: Mapping[str, Compiled], timing: Timing, progress: Progress) -> Measured:
        """Timed in a fresh process."""
        others = dict(timing.others)
        candidates = [Candidate(name, each, others.get(name)) for name, each in networks.items()]
        return measure(candidates, timing.shape, timing.runs, timing.max_seconds, _counted(progress))


@dataclass(frozen=True)
class OnDevice:
    """A device runs what is sent to it.

    Attributes:
        on_device: how it builds an engine; None where nothing is built there.
    """

    backend: str
    identity: Identity
    settings: CompileSettings
    machine: Machine
    on_device: DeviceSettings | None
    connection: Connection = field(metadata=NOT_IN_KEY)
    where: str = "on this machine, and the whole network on the device"
    untimed: str | None = None

    def prepared(self, graph: Path, precision: str, folder: Path) -> Compiled:
        """Compiled as far as that is done here."""
        return backend(self.backend).compile(graph, folder, precision, self.settings)

    def executed(self, compiled: Compiled, graph: Path) -> Compiled:
        """What was compiled."""
        return compiled

    @contextmanager
    def sessions(self, networks: Mapping[str, Compiled], progress: Progress) -> Iterator[Mapping[str, Session]]:
        """Sent, and loaded there."""
        with ExitStack() as stack:
            made = {}
            for each in self._sent(networks, progress):
                made[each.name] = remote.RemoteSession(self.connection, each)
                stack.callback(made[each.name].close)
            yield made

    def timed(self, networks: Mapping[str, Compiled], timing: Timing, progress: Progress) -> Measured:
        """Sent, and timed there."""
        others = dict(timing.others)
        sent = [replace(each, shape=others.get(each.name)) for each in self._sent(networks, progress)]
        answer = remote.bench(self.connection, sent, timing.shape, timing.runs, timing.max_seconds, _counted(progress))
        return summed_up(answer)

    def _sent(self, networks: Mapping[str, Compiled], progress: Progress) -> list[remote.Network]:
        header = {} if self.on_device is None else self.on_device.as_header()
        found = []
        for name, each in networks.items():
            known, path = backend(each.backend), Path(each.path)
            files = known.files(each) | ({"model.onnx": path} if path.suffix == ".onnx" else {})

            def tell(done: int, total: int, name: str = name) -> None:
                progress(done, total, f"sending {name}")

            folder, _ = remote.place(self.connection, files, tell)
            found.append(remote.Network(name, folder, known.RUNTIME, each.precision, header))
        return found


@dataclass(frozen=True)
class ByReference:
    """Nothing here can run what is built: the very graphs are executed by a reference backend, and nothing is timed."""

    identity: Identity
    machine: Machine
    untimed: str | None
    where: str = "nowhere"

    def prepared(self, graph: Path, precision: str, folder: Path) -> Compiled:
        """The graph itself."""
        return Compiled(REFERENCE, str(graph), precision, graph.stat().st_size)

    def executed(self, compiled: Compiled, graph: Path) -> Compiled:
        """The graph that the compiled form was made of."""
        return Compiled(REFERENCE, str(graph), compiled.precision, graph.stat().st_size)

    def sessions(
        self, networks: Mapping[str, Compiled], progress: Progress
    ) -> AbstractContextManager[Mapping[str, Session]]:
        """Loaded in this process."""
        return _loaded(networks)

    def timed(self, networks: Mapping[str, Compiled], timing: Timing, progress: Progress) -> Measured:
        """Nothing is."""
        return Measured(why=self.untimed)


@contextmanager
def _loaded(networks: Mapping[str, Compiled]) -> Iterator[Mapping[str, Session]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(backend(each.backend).load(each, "throughput")) for name, each in networks.items()
        }


def _counted(progress: Progress) -> Callable[[int, int], None]:
    return lambda done, total: progress(done, total, "")
