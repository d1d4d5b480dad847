"""Bundle directories: what a build leaves, with a manifest of hashes; put in place whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from edgekit.bundle.manifest import FileFacts, Manifest
from edgekit.bundle.replacing import carry, exchange, put_back
from edgekit.errors import InputError
from edgekit.json_files import json_file
from edgekit.runtime.errors import BundleError
from edgekit.runtime.files import problems
from edgekit.runtime.manifest import KIND, MANIFEST, MODEL_SIGNATURE, SIGNATURE, UNNAMED, Checked
from edgekit.runtime.manifest import read_manifest as read
from edgekit.store import file_sha256
from edgekit.store.root import may_write
from edgekit.temporary import temporary_folder
from edgekit.whole_files import written_whole

__all__ = [
    "MANIFEST",
    "MODEL_SIGNATURE",
    "SIGNATURE",
    "check_bundle",
    "claim_directory",
    "named_in",
    "names_of",
    "place_bundle",
    "place_file",
    "read_manifest",
    "require_whole",
    "write_bundle",
]

HINT: Final = "Give the directory that a build wrote."
WORK: Final = "bundle"
"""Where a bundle is filled, inside a folder beside its place."""


def claim_directory(out: Path, names: Collection[str] = ()) -> None:
    """Refuses to write where something else is: only a missing or empty directory or an earlier bundle will do.

    What a user has put beside an earlier bundle's files is no hindrance, unless it has a name of the new one's. An
    earlier bundle that a killed rebuild had moved aside is put back.

    Args:
        names: files that the new bundle will have.
    Raises:
        InputError: something else is there, or the place cannot be written.
    """
    place = Path(os.path.realpath(out))
    if not os.path.lexists(place):
        put_back(place)
    if place.is_dir() and (not any(place.iterdir()) or _listed(place) is not None):
        taken = [name for name in _users(place) if name in {*names, MANIFEST}]
        if taken:
            raise InputError(
                f"{out / taken[0]} is not of the earlier bundle there, and the new one has a file of that name",
                "Move it away, or give another --out.",
            )
    elif place.exists() or out.is_symlink():
        raise InputError(f"{out} is not empty and not a bundle of edgekit's", "Give another --out, or move it away.")
    nearest = next(parent for parent in [place, *place.parents] if parent.is_dir())
    if not may_write(nearest):
        raise InputError(f"cannot write to {nearest}", "Give another --out.")


def _listed(out: Path) -> frozenset[str] | None:
    """The files of the bundle in a directory, manifest and signatures included; None if no bundle is there."""
    try:
        read = json_file(out / MANIFEST)
    except (OSError, ValueError):
        return None
    return named_in(read)


def named_in(manifest: object) -> frozenset[str] | None:
    """The files that a manifest.json as it was read names, itself and signatures included; None of another kind.

    Nothing else of it is checked: it says which files are a bundle's, not whether they are whole.
    """
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        return None
    files = manifest.get("files")
    return frozenset({*UNNAMED, *(files if isinstance(files, dict) else ())})


def _users(out: Path) -> list[str]:
    """What is in a bundle's directory and not the bundle's: names that its manifest does not list, and folders."""
    listed = _listed(out) or frozenset()
    with os.scandir(out) as found:
        return sorted(each.name for each in found if each.name not in listed or each.is_dir(follow_symlinks=False))


def write_bundle(out: Path, files: Mapping[str, Path | bytes], manifest: Manifest) -> Path:
    """Writes a bundle: assembled beside `out`, then swapped into its place.

    What a user has put beside an earlier bundle's files is beside the new one's afterwards.

    Args:
        files: name in the bundle: a file to copy, or its content.
        manifest: without the files, whose hashes are taken as they are written.
    Raises:
        InputError: `out` is not ours, a user's file there has the name of a new one, or the disk is full.
    """
    return _placed(out, files, lambda work: _assemble(work, files, manifest))


def place_bundle(files: Mapping[str, Path], out: Path, check: Callable[[Path], None]) -> Path:
    """Puts a bundle that came from elsewhere, its own manifest.json among the files, in its place: whole, and checked.

    Args:
        files: name in the bundle: a file on the same disk, which may become a hard link.
        check: is given the folder before it is in its place, and raises where that must not happen.
    Raises:
        InputError: it is damaged, or `out` cannot be written: see write_bundle.
    """

    def fill(work: Path) -> None:
        for name, path in files.items():
            carry(path, work / name)
        work.chmod(0o755)
        for problem in check_bundle(work):
            raise InputError(f"what came is no whole bundle: {problem}", "Do not trust where it came from.")
        check(work)

    return _placed(out, files, fill)


def _placed(out: Path, names: Collection[str], fill: Callable[[Path], None]) -> Path:
    """Puts a bundle in its place: filled beside `out`, then swapped in, or not at all."""
    claim_directory(out, names)
    place = Path(os.path.realpath(out))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(
            f".{place.name}-", place.parent, lambda left: _holds_nothing(left / WORK, place)
        ) as folder:
            work = folder / WORK
            work.mkdir()
            fill(work)
            claim_directory(out, names)  # filling took a while
            _swap(work, place)
            _discard(work, place)
    except OSError as error:
        raise _refusal(error, out) from error
    return out


def _assemble(work: Path, files: Mapping[str, Path | bytes], manifest: Manifest) -> None:
    facts = {}
    for name, content in files.items():
        path = work / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)
        facts[name] = FileFacts(sha256=file_sha256(path), size_bytes=path.stat().st_size)
    whole = manifest.model_copy(update={"files": facts})
    (work / MANIFEST).write_text(json.dumps(whole.as_json(), indent=2) + "\n", encoding="utf-8")
    work.chmod(0o755)


def _swap(work: Path, place: Path) -> None:
    """Puts `work` in the place of an earlier bundle, with the user's files in it; what was there is then in `work`."""
    if not place.exists():
        os.replace(work, place)
        return
    for name in _users(place):
        carry(place / name, work / name)
    exchange(work, place)


def _discard(old: Path, place: Path) -> None:
    """Removes what a bundle has replaced, once the user's files that came during the exchange are in the new one."""
    if not old.exists():
        return
    users, ours = _users(old), _listed(place) or frozenset()
    with contextlib.suppress(OSError):
        if ours.isdisjoint(users):
            for name in users:
                carry(old / name, place / name)
            shutil.rmtree(old)
            return
    with contextlib.suppress(OSError):  # it stays, rather than lose one
        os.replace(old, tempfile.mkdtemp(prefix=f".{place.name}-replaced-", dir=place.parent))


def _holds_nothing(left: Path, place: Path) -> bool:
    """Whether what a killed process left can go: an unfinished bundle, or a replaced one without a user's files that
    are not in the new one.
    """
    work = left / WORK
    if _listed(work) is None:
        return True
    return all(os.path.lexists(place / name) for name in _users(work))


def _refusal(error: OSError, out: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"the disk is full: {out} was not written", "Free some space, or give another --out.")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return InputError(f"cannot write {out}: {error.strerror}", "Give another --out.")
    return error


def place_file(source: Path, out: Path) -> None:
    """Copies a file to `out`, whole or not at all.

    Raises:
        InputError: the disk is full, or the place cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(out) as partial:
            shutil.copyfile(source, partial)
    except OSError as error:
        raise _refusal(error, out) from error


def read_manifest(directory: Path) -> Manifest:
    """The manifest of a bundle, checked as the device runtime checks it.

    Raises:
        InputError: there is none, it is of another kind or a newer schema, or what it says makes no sense.
    """
    try:
        return Manifest.of(_checked(directory).content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the manifest of {directory} is wrong: {place}: {first['msg']}", HINT) from error


def names_of(directory: Path) -> list[str]:
    """The files of a bundle: those that its manifest names, itself, and the signatures that are there.

    Raises:
        InputError: see read_manifest.
    """
    return [*_checked(directory).files, *(name for name in UNNAMED if os.path.lexists(directory / name))]


def _checked(directory: Path) -> Checked:
    try:
        return read(str(directory))[1]
    except BundleError as error:
        raise InputError(str(error), HINT) from error


def check_bundle(directory: Path) -> list[str]:
    """What is wrong with a bundle's files, in words; empty when each is what the manifest says.

    Raises:
        InputError: see read_manifest.
    """
    return list(problems(str(directory), _checked(directory).files))


def require_whole(directory: Path) -> Manifest:
    """The manifest of a bundle whose files are all what it says.

    Raises:
        InputError: one of them is not; or see read_manifest.
    """
    for problem in check_bundle(directory):
        raise InputError(f"the bundle {directory} is damaged: {problem}", "Build it again.")
    return read_manifest(directory)
