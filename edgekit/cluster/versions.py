"""What a node runs must be what runs here: the same edgekit, the same Python, the same packages."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from edgekit import __version__
from edgekit.build.code import ROOT
from edgekit.errors import UnavailableError, install_hint
from edgekit.targets.packages import installed_version

PACKAGES: Final = ("numpy", "Pillow", "torch", "openvino", "onnxruntime", "nncf", "onnx")
"""Distributions whose versions change results."""

MOST_NAMED: Final = 4
"""Differences that a refusal names."""

WHEEL_HINT: Final = (
    "Give the nodes this edgekit with --wheel dist/NAME.whl (`pip wheel --no-deps -w dist .` makes it), or install it"
    " there."
)


@dataclass(frozen=True)
class Software:
    """What a process runs.

    Attributes:
        edgekit: its version; code: SHA-256 of its sources.
        python: such as "3.11".
        packages: name and version of each of PACKAGES; None where it is not installed.
    """

    edgekit: str
    code: str
    python: str
    packages: tuple[tuple[str, str | None], ...]


@cache
def software_here() -> Software:
    """What this process runs. Reads edgekit's sources once, some hundredths of a second."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Software(__version__, code_of(ROOT), python, tuple((name, installed_version(name)) for name in PACKAGES))


def code_of(root: Path) -> str:
    """SHA-256 over all sources below the folder of an edgekit, by name and content."""
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def check_alike(here: Software, nodes: Mapping[str, Software]) -> None:
    """Refuses nodes that do not run what runs here.

    Args:
        nodes: what each runs, by the name of the node.
    Raises:
        UnavailableError: told are the nodes, the packages and both versions.
    """
    found = [(name, each) for name, there in nodes.items() for each in differences(here, there)]
    if not found:
        return
    said = "; ".join(f"{name} has {each}" for name, each in found[:MOST_NAMED])
    more = len(found) - MOST_NAMED
    is_edgekit = any(each.startswith("edgekit") for _, each in found)
    hint = WHEEL_HINT if is_edgekit else f"Install the same versions on all nodes. {install_hint('cpu', 'cluster')}"
    raise UnavailableError(
        f"the nodes of the cluster do not run what runs here: {said}" + (f"; and {more} more" if more > 0 else ""), hint
    )


def differences(here: Software, there: Software) -> Iterator[str]:
    """What is otherwise there, each with both versions."""
    if there.edgekit != here.edgekit:
        yield f"edgekit {there.edgekit}, not {here.edgekit}"
    elif there.code != here.code:
        yield f"edgekit {there.edgekit} with other code ({there.code[:12]}, not {here.code[:12]})"
    if there.python != here.python:
        yield f"Python {there.python}, not {here.python}"
    own = dict(here.packages)
    for name, version in there.packages:
        if version != own.get(name):
            yield f"{f'{name} {version}' if version else f'no {name}'}, not {own.get(name) or 'none'}"
