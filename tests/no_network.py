"""A machine without a network, for processes that must want none: calls that would send fail, and are written down."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

SOURCE: Final = Path(__file__).parent / "fixtures" / "faults" / "no_network.c"
SWITCHES: Final = ("CI", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "XDG_CACHE_HOME")
"""Variables by which libraries switch their reports off: the processes here do not get them."""


@functools.cache
def compiled() -> Path | None:
    """The library, built once a process; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    made = Path(tempfile.mkdtemp(prefix="edgekit-no-network-")) / "no_network.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(made), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


@dataclass(frozen=True)
class NoNetwork:
    """Where processes without a network work, and what they are told.

    Attributes:
        folder: for what was wanted, and the home and temporary files of those who wanted it.
        loopback: whether this machine itself may be spoken to.
    """

    folder: Path
    loopback: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """For processes that are to have no network, with a home that has nothing in it, as on a new machine."""
        library = compiled()
        if library is None:
            pytest.skip("there is no C compiler to build the library with that stands before libc")
        home, temporary = self.folder / "home", self.folder / "t"
        for each in (home, temporary):
            each.mkdir(parents=True, exist_ok=True)
        off = [name for name in os.environ if name in SWITCHES or "TELEMETRY" in name or "USAGE_STATS" in name]
        kept = {name: value for name, value in os.environ.items() if name not in off}
        kept |= {"HOME": str(home), "TMPDIR": str(temporary), "EDGEKIT_TEST_SENT": str(self._log)}
        if self.loopback:
            kept["EDGEKIT_TEST_LOOPBACK"] = "1"
        return kept | {"LD_PRELOAD": str(library)}

    def wanted(self) -> list[str]:
        """Who wanted to send or look up what, a line each; nothing when none did."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    @property
    def _log(self) -> Path:
        return self.folder / "sent.txt"
