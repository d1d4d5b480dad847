"""PyTorch without compilation: the reference that latencies are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from edgekit.backends import DEFAULTS, Compiled, CompileSettings, Identity, LayerTime, Mode, Session
from edgekit.errors import UnavailableError
from edgekit.quantize.graph_format import GraphFormat
from edgekit.targets import Machine, Release
from edgekit.targets.packages import installed_version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from edgekit.runtime.kernels import Kernel

RUNTIME: Final = "torch"
PRECISIONS: Final = ("fp32",)
MANY: Final = 8
"""Pictures at a time in `infer_many`."""


class EagerNetwork(BaseModel):
    """A network that is timed as torch runs it; kept as JSON at a Compiled's path.

    Attributes:
        name: in the registry of models.
        weights: a file; None for fresh ones, which take as long.
    """

    name: str
    num_classes: int
    width: float
    weights: str | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def available() -> str | None:
    """The version that is installed."""
    return installed_version("torch")


def identity(machine: Machine) -> Identity:
    """The version alone."""
    return Identity((("torch", available()),))


def _takes_no_graph() -> UnavailableError:
    return UnavailableError("eager torch runs networks, not graphs", "It is a reference for latency alone.")


def graph_format(release: Release | None) -> GraphFormat:
    """None; see `compile`."""
    raise _takes_no_graph()


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Cannot: it takes networks (EagerNetwork), not graphs."""
    raise _takes_no_graph()


def kernels(compiled: Compiled) -> tuple[Kernel, ...]:
    """None are told."""
    return ()


def files(compiled: Compiled) -> dict[str, Path]:
    """None: it goes into no bundle."""
    return {}


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Cannot."""
    raise UnavailableError("layers of eager torch are not timed", "It is a reference for latency alone.")


class TorchSession:
    """A network as torch runs it, the preprocessing before it; see edgekit.backends.Session. `threads` compute."""

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        import torch

        self._network, self._mean, self._std = network.eval(), mean, std
        self.threads = torch.get_num_threads()

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        import torch

        with torch.inference_mode():
            scaled = torch.from_numpy(picture).permute(0, 3, 1, 2).float().div(255)
            out: NDArray[np.float32] = self._network((scaled - self._mean) / self._std).numpy()
        return out

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), some pictures at a time."""
        import numpy as np

        return np.concatenate([self.infer(pictures[first : first + MANY]) for first in range(0, len(pictures), MANY)])


@contextmanager
def load(compiled: Compiled, mode: Mode = "latency") -> Iterator[Session]:
    """Makes the network that the JSON file at `compiled.path` describes; see EagerNetwork."""
    import torch

    from edgekit.models import create
    from edgekit.models.weights import load_into
    from edgekit.runtime.cgroup import threads_within_quota

    told = EagerNetwork.model_validate_json(Path(compiled.path).read_text(encoding="utf-8"))
    network = create(told.name, num_classes=told.num_classes, width=told.width)
    if told.weights is not None:
        network = load_into(network, Path(told.weights))
    before, held = torch.get_num_threads(), threads_within_quota()
    if held:
        torch.set_num_threads(min(before, held))
    try:
        yield TorchSession(network, *(torch.tensor(each).view(1, 3, 1, 1) for each in (told.mean, told.std)))
    finally:
        torch.set_num_threads(before)
