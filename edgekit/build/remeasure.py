"""Bundles timed once more, side by side on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgekit.backends import backend
from edgekit.build.runnable import Runnable, of_bundle
from edgekit.bundle.directory import MANIFEST, read_manifest
from edgekit.errors import InputError, UnavailableError
from edgekit.validate.latency import Candidate
from edgekit.validate.side_by_side import SideBySide, side_by_side


def remeasured(
    bundles: Mapping[str, Path],
    runs: int,
    max_seconds: float,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    before_timing: Callable[[], None] = lambda: None,
) -> SideBySide:
    """Latencies of bundles at batch 1; the first is what the others are compared with.

    Args:
        bundles: directories by name; runs, max_seconds: see edgekit.validate.side_by_side.
        before_timing: is called once they are known to be fit to be timed.
    Raises:
        InputError: one is no whole bundle.
        UnavailableError: the runtime of one is not here.
    """
    ready = {name: _ready(path) for name, path in bundles.items()}
    before_timing()
    candidates = [Candidate(name, each.compiled, (1, each.height, each.width, 3)) for name, each in ready.items()]
    first = next(iter(ready.values()))
    return side_by_side(candidates, (1, first.height, first.width, 3), runs, max_seconds, on_progress)


def _ready(path: Path) -> Runnable:
    """A bundle as it was built: nothing else is timed in its place.

    Raises:
        InputError, UnavailableError: see `remeasured`.
    """
    if not (path / MANIFEST).is_file():
        raise InputError(
            f"{path} is no bundle that could be timed again", "Give directories, or leave --remeasure out."
        )
    runtime = read_manifest(path).target.runtime
    found = of_bundle(path)
    hint = "Leave --remeasure out, and give --max-latency in ms."
    if runtime != backend(found.compiled.backend).RUNTIME:
        raise UnavailableError(f"{path} is for {runtime}, which edgekit does not time bundles with here", hint)
    if found.notes:
        raise UnavailableError(f"{path} would not be timed as it was built: {found.notes[0]}", hint)
    if backend(runtime).available() is None:
        raise UnavailableError(f"{path} is for {runtime}, which is not installed", "Install it; see `edgekit doctor`.")
    return found
