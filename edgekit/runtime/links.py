"""The place that applications open: a link to the bundle that was deployed there last, and one to the bundle before.

Applications keep one path, whatever is deployed. Each link is swapped in one step: who opens the path meanwhile gets
the old bundle or the new one, whole. Written for Python 3.6.
"""

import os
import shutil
import tempfile
from typing import Optional

from .errors import BundleError
from .manifest import MANIFEST

BEFORE = ".previous"
"""What is added to a place's name for the link to the bundle before."""


def deploy(folder: str, to: str) -> Optional[str]:
    """Makes `to` a link to a bundle's folder; where it led before, None if it is new.

    Raises:
        BundleError: something that is no link is there, or it cannot be written.
    """
    place = _place(to)
    before = _target(place)
    if before != folder:
        if before is not None:
            _swap(before, place + BEFORE)
        _swap(folder, place)
    return before


def rollback(to: str) -> str:
    """Makes `to` lead to the bundle that was there before, and keeps the one that it led to; a second time undoes it.

    Raises:
        BundleError: there is none, or it is gone.
    """
    place = _place(to)
    now, before = _target(place), _target(place + BEFORE)
    if now is None:
        raise BundleError("nothing is deployed to %s" % place)
    if before is None:
        raise BundleError("there was no bundle at %s before" % place)
    if not os.path.isfile(os.path.join(before, MANIFEST)):
        raise BundleError("the bundle that was at %s before is gone: %s" % (place, before))
    _swap(before, place)
    _swap(now, place + BEFORE)
    return before


def _place(to: str) -> str:
    """The place as it is, from the home folder if it is relative."""
    return os.path.normpath(os.path.join(os.path.expanduser("~"), os.path.expanduser(to)))


def _target(place: str) -> Optional[str]:
    if not os.path.lexists(place):
        return None
    if not os.path.islink(place):
        raise BundleError("%s is there and no link; give another path, or move it away" % place)
    return os.path.join(os.path.dirname(place), os.readlink(place))


def _swap(folder: str, place: str) -> None:
    """Puts a link in place in one step."""
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        work = tempfile.mkdtemp(dir=os.path.dirname(place), prefix=".edgekit-")
        try:
            os.symlink(folder, os.path.join(work, "link"))
            os.replace(os.path.join(work, "link"), place)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise BundleError("the link %s cannot be written: %s" % (place, error.strerror))
