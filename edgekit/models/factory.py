"""Networks that a function of the user's makes: its code by content, with every module of the user's that it loads.

What a factory loads is known only once it has been loaded. So the files are noted then; as long as none of them has
changed, the same ones would be loaded again, and nothing need be imported to know it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import json
import os
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.errors import InputError
from edgekit.json_files import json_file
from edgekit.store import default_root, file_sha256

if TYPE_CHECKING:
    from torch import nn

_loaded: Final[dict[str, dict[str, str]]] = {}
"""Module of a factory: names and files of the user's modules that came with it into this process."""


def find_module(module: str) -> Path:
    """The file of a factory's module.

    Raises:
        InputError: there is no such module.
    """
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the packages above it are imported: whatever the user's code does
        raise InputError(f"{module} cannot be imported: {_told(error)}", "See --debug.") from error
    if spec is None or spec.origin is None:
        raise InputError(f"there is no Python module {module!r}", "It must be importable where edgekit runs.")
    return Path(spec.origin)


def code_of(module: str) -> str:
    """SHA-256 over the user's modules that a factory's module loads, itself among them.

    Raises:
        InputError: it cannot be imported; what it raised is told.
    """
    noted = _noted(module)
    if noted is not None:
        return noted
    _import(module)
    _note(module)
    return _digest(_loaded[module])


def make(origin: str) -> nn.Module:
    """The network that `module:factory` makes.

    Raises:
        InputError: the factory is not there, raises something, or gives no torch module.
    """
    from torch import nn

    module, _, name = origin.partition(":")
    before = set(sys.modules)
    _import(module)
    factory = getattr(sys.modules[module], name, None)
    if not callable(factory):
        raise InputError(f"{module} has no factory {name!r}", "Give module:factory, a function without arguments.")
    try:
        network = factory if isinstance(factory, nn.Module) else factory()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's code does, sys.exit too
        raise InputError(f"{origin} raised {_told(error)}", "It is called without arguments.") from error
    _loaded[module] |= _users(set(sys.modules) - before)
    _note(module)
    if not isinstance(network, nn.Module):
        raise InputError(f"{origin} gave no torch module", "The factory must return an nn.Module.")
    return network


def _import(module: str) -> None:
    before = set(sys.modules)
    try:
        importlib.import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's code does, sys.exit too
        raise InputError(f"{module} cannot be imported: {_told(error)}", "See --debug.") from error
    found = _users((set(sys.modules) - before) | {module, *_parents(module)})
    _loaded[module] = _loaded.get(module, {}) | found


def _told(error: BaseException) -> str:
    """What was raised, with its words where it has any."""
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts)))


def _users(names: set[str]) -> dict[str, str]:
    """Those of some modules that are the user's own: not Python's, not installed packages', not edgekit's."""
    found = {}
    for name in names:
        file = getattr(sys.modules.get(name), "__file__", None)
        # some modules of installed packages are made by hand, and name a file that is none
        if not isinstance(file, str) or not Path(file).is_absolute() or not Path(file).is_file():
            continue
        if not any(Path(file).resolve().is_relative_to(place) for place in _elsewhere()):
            found[name] = file
    return found


@lru_cache(maxsize=1)
def _elsewhere() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    own = Path(__file__).resolve().parents[1]
    return (own, *{Path(paths[each]).resolve() for each in ("stdlib", "platstdlib", "purelib", "platlib")})


def _digest(files: Mapping[str, str]) -> str:
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        whole.update(f"{name} {file_sha256(Path(path))}\n".encode())
    return whole.hexdigest()


def _note_path(module: str) -> Path:
    who = hashlib.sha256(f"{module} {find_module(module).resolve()}".encode()).hexdigest()[:32]
    return default_root() / "index" / "factories" / f"{who}.json"


def _note(module: str) -> None:
    """Notes which files were loaded and what they held; where that cannot be kept, the next build imports again."""
    path = _note_path(module)
    note = {"files": _loaded[module], "digest": _digest(_loaded[module])}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(note), encoding="utf-8")
        os.replace(partial, path)


def _noted(module: str) -> str | None:
    """The digest of what was loaded before, if all of it is as it was then."""
    try:
        note = json_file(_note_path(module))
        digest = str(note["digest"])
        return digest if _digest(note["files"]) == digest else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
