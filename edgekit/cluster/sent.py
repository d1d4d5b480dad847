"""Bundles as they travel between workers and the driver: their files by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from edgekit.bundle.directory import names_of, place_bundle
from edgekit.errors import InputError
from edgekit.store.shared import is_inside
from edgekit.temporary import temporary_folder

Files: TypeAlias = Mapping[str, bytes]
"""The files of a bundle by their places in it."""


def read_files(bundle: Path) -> Files:
    """The files that a bundle is made of."""
    return {name: (bundle / name).read_bytes() for name in names_of(bundle)}


def write_files(files: Files, folder: Path) -> None:
    """Writes them into a folder.

    Raises:
        InputError: one leads out of it.
    """
    if not all(is_inside(name) for name in files):
        raise InputError("a worker sent a file with a name that leads out of the bundle", "Do not trust that node.")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def place_files(files: Files, into: Path) -> None:
    """Puts a bundle in its place whose files a worker sent: each by the hash that the manifest tells, or none.

    Raises:
        InputError: it is damaged, or `into` cannot be written.
    """
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(".sent-", into.parent) as work:
            write_files(files, work)
            place_bundle({name: work / name for name in files}, into, lambda folder: None)
    except OSError as error:
        raise InputError(
            f"cannot write {into}: {error.strerror or error}", "See to the disk; it goes on then."
        ) from error
