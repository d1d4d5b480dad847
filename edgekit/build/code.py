"""Which of edgekit's own code a stage runs, found by reading imports, and a digest of it.

An edit of a module changes the keys of the stages that import it, directly or through others, and of no others.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = "edgekit"
ROOT: Final = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    r"^(?P<indent>[ \t]*)(?:from (?P<package>edgekit[\w.]*|\.[\w.]*) import (?P<names>\([^)]*\)|[^\n]*)"
    r"|import (?P<plain>edgekit[\w.]*))",
    re.MULTILINE,
)
_FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?:(?:[ \t]+[^\n]*)?\n)+", re.MULTILINE)
_TEXT = re.compile(r"""["'](?P<module>edgekit(?:\.\w+)+)(?::\w+)?["']""")


@dataclass(frozen=True)
class Imports:
    """What a module imports of edgekit: when it is loaded, and also inside its functions."""

    at_load: frozenset[str]
    anywhere: frozenset[str]


@cache
def code_digest(module: str) -> str:
    """SHA-256 over the sources of a module and of all that it imports of edgekit, whenever it does."""
    whole = hashlib.sha256()
    for name in sorted(reached(module)):
        whole.update(f"{name} {source_digest(name)}\n".encode())
    return whole.hexdigest()


@cache
def reached(module: str) -> frozenset[str]:
    """The modules of edgekit that a module leads to, itself among them.

    Packages on the way to a module are loaded with it, so that what they import when they are loaded counts, but not
    what their functions import.
    """
    found: set[str] = set()
    loaded: set[str] = set()
    waiting = [(module, True)]
    while waiting:
        name, whole = waiting.pop()
        if name in found or (not whole and name in loaded):
            continue
        (found if whole else loaded).add(name)
        told = imports_of(name)
        for other in told.anywhere if whole else told.at_load:
            waiting.append((other, True))
            waiting.extend((parent, False) for parent in _parents(other))
    return frozenset(found | loaded)


def _parents(name: str) -> Iterator[str]:
    """The packages that a module lies in, edgekit itself left out: it imports nothing."""
    parts = name.split(".")
    for end in range(2, len(parts)):
        yield ".".join(parts[:end])


def source_of(module: str) -> Path | None:
    """The file of a module of edgekit; None if there is no such module."""
    base = ROOT.joinpath(*module.split(".")[1:])
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


@cache
def source_digest(module: str) -> str:
    """SHA-256 of a module's file."""
    path = source_of(module)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path is not None else ""


@cache
def imports_of(module: str) -> Imports:
    """What the file of a module imports of edgekit.

    Imports for type checkers alone are left out; a text that is nothing but the name of a module counts, since tables
    name modules that are imported when they are needed. The text is searched and not parsed, which takes a twentieth of
    the time; a test compares the two.
    """
    path = source_of(module)
    text = path.read_text(encoding="utf-8") if path is not None else ""
    at_load: set[str] = set()
    anywhere: set[str] = set()
    for found in _IMPORT.finditer(_FOR_TYPES.sub("", text)):
        names = set(_named_by(found, module))
        anywhere |= names
        if not found["indent"]:
            at_load |= names
    for found in _TEXT.finditer(text):
        if source_of(found["module"]) is not None:
            anywhere.add(found["module"])
            at_load.add(found["module"])
    return Imports(frozenset(at_load - {PACKAGE}), frozenset(anywhere - {PACKAGE}))


def _named_by(found: re.Match[str], module: str) -> Iterator[str]:
    if found["plain"]:
        yield found["plain"]
        return
    package = _absolute(found["package"], module)
    yield package
    # what is imported from a package may be one of its modules
    for name in re.findall(r"\w+(?:\s+as\s+\w+)?", re.sub(r"#[^\n]*", "", found["names"])):
        inner = f"{package}.{name.split()[0]}"
        if source_of(inner) is not None:
            yield inner


def _absolute(package: str, module: str) -> str:
    """The name of a package that a module may name with leading dots, as the device runtime does."""
    path = source_of(module)
    if not package.startswith(".") or path is None:
        return package
    name = package.lstrip(".")
    ups = len(package) - len(name) - (path.name == "__init__.py")
    parts = module.split(".")
    return ".".join([*parts[: len(parts) - ups], *([name] if name else [])])
