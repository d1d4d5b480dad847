"""Where the store is, what says whose it is, and reading a file's SHA-256."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import Final

from edgekit.errors import InputError
from edgekit.runtime.home import expanded, home, home_or_own_folder

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
    """$EDGEKIT_CACHE, or edgekit/ in $XDG_CACHE_HOME or ~/.cache; of a user without a home, in a temporary folder.

    Raises:
        InputError: this user has no home, and no folder in its place can be made.
    """
    try:
        named = os.environ.get("EDGEKIT_CACHE")
        if named:
            return Path(expanded(named))
        return Path(expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "edgekit"
    except OSError as error:
        raise no_home(error) from error


def give_home() -> str | None:
    """Sets $HOME for a user who has none: some libraries insist on one when they are imported, NNCF for one.

    It is the folder of $EDGEKIT_CACHE, or else a temporary one of this user's alone.

    Returns:
        the temporary folder, which somebody should be told of; None where there is a home, or EDGEKIT_CACHE is set.
    Raises:
        InputError: there is no home, and no folder in its place can be made.
    """
    if home() is not None:
        return None
    named = os.environ.get("EDGEKIT_CACHE")
    try:
        os.environ["HOME"] = os.path.abspath(expanded(named)) if named else home_or_own_folder()
    except OSError as error:
        raise no_home(error) from error
    return None if named else os.environ["HOME"]


def no_home(error: OSError) -> InputError:
    """What to say where a user has no home, and a temporary folder cannot take its place."""
    why = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return InputError(
        f"this user has no home folder, and no temporary one can take its place ({why})",
        "Set HOME, or EDGEKIT_CACHE to a folder for what edgekit keeps.",
    )


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


def may_write(folder: Path) -> bool:
    """Whether this process may make files there, with the rights that it has now and not those that it began with."""
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


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
