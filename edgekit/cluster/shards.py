"""An evaluation in parts: which images are one shard, and the stage that keeps what networks said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled, backend
from edgekit.build.stage import File, Progress, Stage
from edgekit.data.image_set import ImageSet
from edgekit.data.preprocessing import Preprocessing
from edgekit.store import file_sha256
from edgekit.store.keys import NOT_IN_KEY
from edgekit.targets import Machine

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from edgekit.build.ensemble import Named
    from edgekit.validate.protocols import Member

RESULT: Final = "answers.npz"

SHARD_MB: Final = 4_000.0
"""Megabytes of networks times the views that they are shown in a shard: a few seconds, where a quarter-width network of
10 MB takes 10 ms a view. A rule that asks no machine, so that the same images are the same shards everywhere."""

TAPER: Final = 16
"""A shard is no more than this part of what is left, so that workers end together."""

MOST_BATCHES: Final = 16
"""Batches in a shard, at most: a lost one costs little."""


@dataclass(frozen=True)
class MemberInput:
    """A network of an evaluation by content.

    Attributes:
        name: for people; files: of its compiled form, by their names in it.
        activation: what makes probabilities of its answers.
    """

    name: str = field(metadata=NOT_IN_KEY)
    backend: str
    precision: str
    files: tuple[tuple[str, File], ...]
    preprocessing: Preprocessing
    activation: str


@dataclass(frozen=True)
class Arithmetic:
    """What of a machine decides answers: not how many processors compute them."""

    cpu: str
    architecture: str
    features: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ShardInput:
    """Networks, the images of a shard with their labels, and where they are computed."""

    members: tuple[MemberInput, ...]
    images: ImageSet
    crops: int
    arithmetic: Arithmetic


@dataclass(frozen=True)
class ShardResult:
    """What networks said of the images of a shard: see edgekit.validate.protocols.Outcome.

    Attributes:
        probabilities, single: of each network, float32 (images, classes).
        views: pictures that were run; seconds: that it took.
    """

    probabilities: tuple[NDArray[np.float32], ...]
    single: tuple[NDArray[np.float32], ...]
    views: int
    seconds: float


def member_inputs(networks: Sequence[Named]) -> tuple[MemberInput, ...]:
    """Networks that are ready to run here, by content."""
    found = []
    for each in networks:
        compiled = each.runnable.compiled
        files = backend(compiled.backend).files(compiled) or {"model.onnx": Path(compiled.path)}
        known = tuple((name, File(path, file_sha256(path))) for name, path in sorted(files.items()))
        told = each.runnable
        found.append(
            MemberInput(
                each.label, compiled.backend, compiled.precision, known, told.preprocessing, told.question.activation
            )
        )
    return tuple(found)


def arithmetic_of(machine: Machine) -> Arithmetic:
    """What of a machine decides answers."""
    return Arithmetic(machine.cpu, machine.architecture, machine.features, machine.settings)


def shards_of(count: int, members: Sequence[MemberInput], crops: int) -> tuple[range, ...]:
    """Positions of the images of each shard, in order: whole batches, fewer of them towards the end."""
    from edgekit.validate.protocols import BATCH_PICTURES, BATCH_VIEWS

    group = BATCH_PICTURES if crops == 1 else max(1, BATCH_VIEWS // crops)
    views = 1 if crops == 1 else crops + 1
    megabytes = sum(file.path.stat().st_size for each in members for _, file in each.files) / 1e6
    most = min(MOST_BATCHES, max(1, int(SHARD_MB / max(megabytes, 0.1) / views / group)))
    found, first = [], 0
    while first < count:
        batches = max(1, min(most, (count - first) // (TAPER * group)))
        found.append(range(first, min(count, first + batches * group)))
        first = found[-1].stop
    return tuple(found)


def compiled_of(member: MemberInput, files: Sequence[Path]) -> Compiled:
    """The form that a backend loads, of files that lie in one folder by their names."""
    path = next(each for each in files if each.suffix != ".bin")
    return Compiled(member.backend, str(path), member.precision, sum(each.stat().st_size for each in files))


def _make(given: ShardInput, folder: Path, progress: Progress) -> Sequence[str]:
    """As a worker does it, in this process."""
    from edgekit.validate.protocols import Member

    total = len(given.images)
    with ExitStack() as stack:
        loaded = []
        for each in given.members:
            compiled = compiled_of(each, [file.path for _, file in each.files])
            session = stack.enter_context(backend(compiled.backend).load(compiled, "throughput"))
            loaded.append(Member(each.name, session, each.preprocessing, each.activation))
        result = answered(loaded, given.images, given.crops, lambda done: progress(done, total, ""))
    write(result, folder)
    return ()


def answered(
    members: Sequence[Member],
    images: ImageSet,
    crops: int,
    on_progress: Callable[[int], None] = lambda done: None,
    threads: Executor | None = None,
) -> ShardResult:
    """What loaded networks say of images, made ready in threads of its own or in those that are given."""
    from edgekit.data.loading import WORKERS
    from edgekit.validate.protocols import evaluate

    found = evaluate(members, images, crops, on_progress, WORKERS if threads is None else threads)
    return ShardResult(found.probabilities, found.single, found.views, found.seconds)


def write(result: ShardResult, folder: Path) -> None:
    """Writes a result as the stage keeps it."""
    arrays = {f"probabilities-{place}": each for place, each in enumerate(result.probabilities)}
    arrays |= {f"single-{place}": each for place, each in enumerate(result.single)}
    told = np.array([result.views, result.seconds], np.float64)
    np.savez(folder / RESULT, told=told, **arrays)  # type: ignore[arg-type]


def _read(folder: Path) -> ShardResult:
    with np.load(folder / RESULT, allow_pickle=False) as kept:
        count = sum(name.startswith("single-") for name in kept.files)
        views, seconds = kept["told"].tolist()
        return ShardResult(
            tuple(kept[f"probabilities-{place}"] for place in range(count)),
            tuple(kept[f"single-{place}"] for place in range(count)),
            int(views),
            float(seconds),
        )


EVALUATE_SHARD: Final = Stage("evaluate-shard", ("numpy", "Pillow", "openvino", "onnxruntime"), _make, _read)
"""Workers make it, and the driver keeps it."""
