"""Where a user's own files go, also where a user has no home: containers and services run as users without one.

Without $HOME and without an entry in the password file Python leaves a "~" as it is, which makes a folder of that name.
"""

import errno
import os
import stat
import tempfile
from typing import Optional


def home() -> Optional[str]:
    """The user's home; None where neither $HOME nor the password file names one."""
    named = os.environ.get("HOME")
    if named:
        return named
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_dir or None
    except (ImportError, KeyError):
        return None


def home_or_own_folder() -> str:
    """The user's home, or else a folder of this user's alone among the temporary ones.

    Raises:
        OSError: there is no home, and that folder cannot be made or is somebody else's.
    """
    return home() or _own_folder(os.path.join(tempfile.gettempdir(), "edgekit-%d" % os.getuid()))


def expanded(path: str) -> str:
    """A path with a ~ at its beginning replaced.

    Raises:
        OSError: see `home_or_own_folder`.
    """
    if path == "~" or path.startswith("~/"):
        return os.path.join(home_or_own_folder(), path[2:])
    return path


def _own_folder(path: str) -> str:
    """Made if it is not there. Temporary folders are everybody's: what others have put there is not used."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(errno.EACCES, "it is not this user's alone", path)
    return path
