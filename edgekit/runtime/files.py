"""A bundle's files against its manifest: each there, whole, of its size and SHA-256, and nothing beside them."""

import hashlib
import os
import stat
from typing import Dict, Iterator

from .manifest import UNNAMED, FileFacts, is_file_name

PIECE = 1 << 20


def problems(folder: str, files: Dict[str, FileFacts]) -> Iterator[str]:
    """What is wrong with the files, in words, one at a time; nothing when each is what the manifest says.

    Args:
        folder: the bundle's directory.
        files: by name, as the manifest has them.
    """
    for name, facts in files.items():
        wrong = _wrong_with(folder, name, facts) if is_file_name(name) else "points out of the bundle"
        if wrong:
            yield "%s %s" % (name, wrong)
    try:
        there = set(os.listdir(folder))
    except OSError as error:
        yield "%s cannot be listed: %s" % (folder, error.strerror)
        return
    for name in sorted(there - set(files) - set(UNNAMED)):
        yield "%s is not in the manifest" % name
    for name in sorted(there & set(UNNAMED)):
        if not stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode):
            yield "%s is not a regular file" % name


def _wrong_with(folder: str, name: str, facts: FileFacts) -> str:
    path = os.path.join(folder, name)
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return "is a symbolic link, which a bundle has none of"
        if not stat.S_ISREG(mode):
            return "is not a regular file"
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            size = os.fstat(handle).st_size
            if size != facts.size_bytes:
                return "has changed: it has %d bytes, not %d" % (size, facts.size_bytes)
            digest = hashlib.sha256()
            for piece in iter(lambda: file.read(PIECE), b""):
                digest.update(piece)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return "cannot be read: %s" % error.strerror
    return "" if digest.hexdigest() == facts.sha256 else "has changed: its SHA-256 is not the manifest's"
