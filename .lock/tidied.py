"""Reads what uv has resolved, writes the lock: without what has no hash here, and with the shortest markers.

python tidied.py < RESOLVED > LOCK. Needs the package `packaging`. README.md says for which machines locks are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Final

from packaging.markers import Marker

PYTHONS: Final = (10, 11, 12, 13)
MACHINES: Final = ("x86_64", "aarch64")
UNHASHED: Final = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*|tensorrt-cu13.*")


def holds(marker: str, minor: int, machine: str) -> bool:
    """Whether a package is for this Python and processor, on Linux."""
    environment = {
        "python_version": f"3.{minor}",
        "python_full_version": f"3.{minor}.9",
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    return not marker or Marker(marker).evaluate(environment)


def shortest(marker: str) -> str | None:
    """A marker that says the same for these Pythons and processors; None if the package is for none of them.

    Raises:
        ValueError: it is for Pythons between which there are others, or for other ones by the processor.
    """
    held = {machine: [minor for minor in PYTHONS if holds(marker, minor, machine)] for machine in MACHINES}
    machines = [machine for machine in MACHINES if held[machine]]
    if not machines:
        return None
    pythons = held[machines[0]]
    if held[machines[-1]] != pythons or pythons != list(range(pythons[0], pythons[-1] + 1)):
        raise ValueError(f"no short form of {marker}: it holds for {held}")
    parts = []
    if pythons[0] != PYTHONS[0]:
        parts.append(f"python_full_version >= '3.{pythons[0]}'")
    if pythons[-1] != PYTHONS[-1]:
        parts.append(f"python_full_version < '3.{pythons[-1] + 1}'")
    if machines != list(MACHINES):
        parts.append(f"platform_machine == '{machines[0]}'")
    return " and ".join(parts)


def tidied(text: str) -> Iterator[str]:
    """The lines of each package that is needed, its name and version first, then a hash each."""
    for block in re.split(r"\n(?! )", text.strip()):
        head, *hashes = block.split(" \\\n")
        pin, _, marker = head.partition(" ; ")
        made = None if UNHASHED.fullmatch(pin.partition("==")[0]) else shortest(marker)
        if made is not None:
            yield " \\\n".join([f"{pin} ; {made}" if made else pin, *hashes])


if __name__ == "__main__":
    print("\n".join(tidied(sys.stdin.read())))
