"""Which of a target's runtimes a build uses: the one that was asked for, or all of them side by side."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from edgekit.backends import backend
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.devices import remote
    from edgekit.targets import Target

AUTO: Final = "auto"
"""As the runtime of a recipe: all that the target has are timed, and the fastest is taken."""


def backend_of(asked: str | None, target: Target) -> str:
    """The backend that a build begins with: of the runtime that was asked for, or of the target's usual one.

    Raises:
        InputError: the target has no such runtime.
    """
    runtime = asked if asked not in (None, AUTO) else target.default_runtime(platform.machine())
    if runtime not in target.backends:
        known = ", ".join((*target.backends, AUTO))
        raise InputError(f"--target {target.name} has no runtime {runtime}", f"It has: {known}.")
    return target.backends[runtime]


def beside(
    asked: str | None, target: Target, first: str, untimed: str | None, device: remote.Probed | None
) -> tuple[tuple[str, ...], list[str]]:
    """The backends that are timed beside the first one where the choice is left to edgekit, and why others are not.

    Args:
        untimed: why nothing can be timed, if it cannot; device: where networks are timed, if not here.
    """
    if asked != AUTO:
        return (), []
    if untimed is not None:
        return (), [f"--runtime auto: nothing can be timed ({untimed}); built for {backend(first).RUNTIME}"]
    found, notes = list[str](), list[str]()
    for runtime, name in target.backends.items():
        if name == first:
            continue
        if (backend(name).available() if device is None else device.facts.runtimes.get(runtime)) is not None:
            found.append(name)
        else:
            notes.append(f"--runtime auto: {runtime} is not installed where networks are timed, and is left out")
    return tuple(found), notes
