"""What must hold while a hostile file is read: an answer or an error in words, in time, in bounds, nothing beside it.

A reader may open files of its folder, of the installation and of the system; it may write below its scratch folder. It
starts no process but those it is allowed, unpickles no class, connects to nobody.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from edgekit.errors import LONGEST, EdgekitError
from edgekit.runtime.errors import BundleError
from edgekit.store.shared import UnreachableError, UntrueError

SECONDS: Final = 20.0
"""Of processor time that a case may take, whatever else the machine does; the slowest takes 2."""

ROOM: Final = 3 << 30
"""Bytes of address space that a case may take beside what the process has."""

EXPECTED: Final = (EdgekitError, BundleError, UntrueError, UnreachableError)
"""What a reader may raise. The last two stay inside edgekit: a shared store is then done without."""

FORBIDDEN: Final = frozenset(
    {
        "os.system",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "pickle.find_class",
        "socket.connect",
        "socket.bind",
        "pty.spawn",
    }
)
CHANGES: Final = frozenset({"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate"})
PROGRAMS: Final = frozenset({"ssh-keygen"})
"""Which may be started."""

_PATHS = sysconfig.get_paths()
_PLACES = (*_PATHS.values(), *filter(None, sys.path), sys.prefix, sys.base_prefix, Path(__file__).parents[2])
INSTALLED: Final = tuple({os.path.realpath(each) for each in _PLACES})
SYSTEM: Final = (
    "/proc/",
    "/sys/",
    "/dev/null",
    "/dev/urandom",
    "/usr/",
    "/lib",
    "/etc/mime",
    "/etc/localtime",
    "/etc/ssl",
)


class Broken(AssertionError):
    """Something that must hold did not."""


class OutOfTime(BaseException):
    """A case takes too long; no reader catches this."""


class _Watched:
    """Where the reader of the moment may read and write; None: none is at work."""

    folder: str | None = None
    scratch: str = ""
    found: str | None = None


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if _Watched.folder is None or _Watched.found is not None:
        return
    if event in FORBIDDEN:
        _Watched.found = f"{event} {arguments!r}"[:300]
    elif event == "subprocess.Popen":
        if os.path.basename(str(arguments[0])) not in PROGRAMS:
            _Watched.found = f"a process was started: {arguments[1]!r}"[:300]
    elif event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes):
            writes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            _see(os.fsdecode(path), writes)
    elif event in CHANGES and isinstance(arguments[0], str | bytes):
        of_folder = isinstance(arguments[-1], int) and arguments[-1] >= 0  # an open one, which was looked at then
        if not of_folder:
            _see(os.fsdecode(arguments[0]), True)


def _see(path: str, writes: bool) -> None:
    real = os.path.realpath(path)
    own = _under(real, _Watched.scratch) or (not writes and _under(real, _Watched.folder or ""))
    system = not writes and (real.startswith(SYSTEM) or any(_under(real, each) for each in INSTALLED))
    if not own and not system and real != "/dev/null":
        _Watched.found = f"{real} was {'written' if writes else 'read'}"


def _under(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}{os.sep}")


sys.addaudithook(_look)


@contextmanager
def watched(folder: Path, scratch: Path, seconds: float = SECONDS) -> Iterator[None]:
    """While the block runs all of this is looked at.

    Args:
        folder: of the case, which may be read; scratch: may be written.
    Raises:
        Broken: something did not hold.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, before[1]))
    own_handler = signal.signal(signal.SIGPROF, _late)
    temporary, tempfile.tempdir = tempfile.tempdir, str(scratch)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    _Watched.found, _Watched.scratch, _Watched.folder = None, os.path.realpath(scratch), os.path.realpath(folder)
    try:
        yield
    except OutOfTime as error:
        raise Broken(f"it took more than {seconds:g} seconds") from error
    except MemoryError as error:
        raise Broken(f"it took more than {ROOM >> 20} MiB") from error
    finally:
        _Watched.folder = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, own_handler)
        tempfile.tempdir = temporary
        resource.setrlimit(resource.RLIMIT_AS, before)
    if _Watched.found is not None:
        raise Broken(_Watched.found)


def _late(number: int, frame: Any) -> None:
    raise OutOfTime


def check_words(error: Exception) -> None:
    """An error of edgekit's is one line that any terminal can show.

    Raises:
        Broken: it is not.
    """
    if isinstance(error, UntrueError | UnreachableError):
        return
    words = error.line() if isinstance(error, EdgekitError) else str(error)
    if not words.strip() or len(words) > 3 * LONGEST:
        raise Broken(f"what is said has {len(words)} characters")
    bad = next(
        (each for each in words if not (each.isprintable() or each.isspace()) or each in "\r\n\x0b\x0c\x85"), None
    )
    if bad is not None:
        raise Broken(f"what is said holds {bad!r}")
    if isinstance(error, EdgekitError) and (not error.what or error.exit_code not in (2, 3, 4)):
        raise Broken(f"exit code {error.exit_code}, {error.what!r}")
