"""What a device made of a bundle's graph and keeps, because making it again takes long: engines and compiled networks.

Kept in $EDGEKIT_ENGINES or ~/.cache/edgekit/engines, each beside a note of what it belongs to; whole or not at all. A
user without a home has a temporary folder for it (see .home).
"""

import hashlib
import json
import os
import re
import tempfile
from typing import Any, Dict, List, Optional

from .errors import BundleError
from .home import expanded


def place() -> str:
    """The folder of what is kept.

    Raises:
        BundleError: this user has no home, and no folder in its place can be made.
    """
    try:
        return expanded(os.environ.get("EDGEKIT_ENGINES") or "~/.cache/edgekit/engines")
    except OSError as error:
        raise BundleError(
            "this user has no home folder, and %s cannot be used (%s): set EDGEKIT_ENGINES to a folder for what is kept"
            % (error.filename or "no temporary one", error.strerror)
        )


def path_for(words: List[str], sources: List[str], settings: Any, suffix: str) -> str:
    """Where something is kept that is made of these files with these settings; words are for people.

    Raises:
        BundleError: see `place`.
    """
    digest = hashlib.sha256()
    for source in sources:
        with open(source, "rb") as file:
            for piece in iter(lambda: file.read(1 << 20), b""):
                digest.update(piece)
    digest.update(json.dumps(settings, sort_keys=True).encode("utf-8"))
    name = re.sub(r"[^A-Za-z0-9.+]+", "-", "_".join(words + [digest.hexdigest()[:16]]))
    return os.path.join(place(), name + suffix)


def kept(path: str, facts: Dict[str, str]) -> Optional[bytes]:
    """What is at `path`, if it is whole and was made for these facts; None if it has to be made."""
    try:
        with open(path + ".json", encoding="utf-8") as file:
            told = json.load(file)
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    whole = told.get("sha256") == hashlib.sha256(content).hexdigest()
    return content if whole and told.get("identity") == facts else None


def keep(path: str, content: bytes, facts: Dict[str, str], notes: Optional[Dict[str, Any]] = None) -> None:
    """Writes it and beside it what it belongs to; whole or not at all.

    Args:
        notes: what else is to be said of it, for people.
    Raises:
        BundleError: it cannot be written.
    """
    told = dict(notes or {}, sha256=hashlib.sha256(content).hexdigest(), identity=facts)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        for name, data in ((path, content), (path + ".json", json.dumps(told).encode("utf-8"))):
            handle, partial = tempfile.mkstemp(dir=os.path.dirname(path))
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                os.replace(partial, name)
            except BaseException:  # a signal, too
                os.unlink(partial)
                raise
    except OSError as error:
        raise BundleError("the engine cannot be kept at %s: %s" % (path, error.strerror))


def drop_oldest(suffix: str, count: int, folder: Optional[str] = None) -> None:
    """Keeps the `count` newest of a kind in a folder; by default in that of what is kept."""
    try:
        where = folder or place()
        there = [os.path.join(where, name) for name in os.listdir(where) if name.endswith(suffix)]
        for path in sorted(there, key=os.path.getmtime)[:-count]:
            for each in (path, path + ".json"):
                if os.path.exists(each):
                    os.unlink(each)
    except (BundleError, OSError):  # another process was faster, or nothing may be removed here
        pass
