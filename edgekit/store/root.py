"""Where the store is, what says whose it is, and reading a file's SHA-256."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import Final

from edgekit.errors import InputError

README: Final = """\
This is the cache of edgekit: what its builds have finished, so that they need not do it again.

`edgekit cache ls` lists what is here, `edgekit cache prune` removes what is damaged or left over, and
`edgekit cache prune --all` everything that no running build holds. All of it can be removed; builds then take longer.
$EDGEKIT_CACHE names another folder.
"""
TAG: Final = """\
Signature: 8a477f597d28d172789f06886806bc55
# This file says that the folder is a cache (made by edgekit), which backups can leave out.
# See https://bford.info/cachedir/
"""
NOTES: Final = {"README": README, "CACHEDIR.TAG": TAG}
FOLDERS: Final = frozenset(
    {"entries", "unfinished", "work", "locks", "index", "latency", "timing", "engines", "device"}
)


def default_root() -> Path:
    """$EDGEKIT_CACHE, or edgekit/ in $XDG_CACHE_HOME or ~/.cache."""
    named = os.environ.get("EDGEKIT_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "edgekit"


def prepared(root: Path, folder: str) -> Path:
    """A folder of the store, made with the notes beside it that say whose cache this is.

    Raises:
        OSError: it cannot be made.
    """
    made = root / folder
    if not made.is_dir():
        made.mkdir(parents=True, exist_ok=True)
        # The tag keeps backups out: not where $EDGEKIT_CACHE names a folder that holds other things too.
        if FOLDERS | set(NOTES) >= set(os.listdir(root)):
            for name, text in NOTES.items():
                with contextlib.suppress(FileExistsError), (root / name).open("x", encoding="utf-8") as file:
                    file.write(text)
    return made


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def refusal(error: OSError, root: Path) -> Exception:
    """What to say when the store cannot be written; the error itself where that is not why."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"the disk of the store {root} is full", "Free some space, or `edgekit cache prune --all`.")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR):
        return InputError(
            f"the store {root} cannot be written: {error.strerror}", "Set EDGEKIT_CACHE to another folder."
        )
    return error
