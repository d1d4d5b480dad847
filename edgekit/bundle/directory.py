"""Bundle directories: what a build leaves, with a manifest of hashes; put in place whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.runtime.errors import BundleError
from edgekit.runtime.files import problems
from edgekit.runtime.manifest import KIND, MANIFEST, SCHEMA, SIGNATURE
from edgekit.runtime.manifest import read_manifest as read
from edgekit.store import file_sha256

__all__ = ["MANIFEST", "SIGNATURE", "check_bundle", "claim_directory", "place_file", "read_manifest", "write_bundle"]


def claim_directory(out: Path) -> None:
    """Refuses to write where something else is: only a missing or empty directory or an earlier bundle will do.

    Raises:
        InputError: something else is there, or the place cannot be written.
    """
    if out.is_dir() and (not any(out.iterdir()) or _is_ours(out)):
        pass
    elif out.exists() or out.is_symlink():
        raise InputError(f"{out} is not empty and not a bundle of edgekit's", "Give another --out, or move it away.")
    nearest = next(parent for parent in [out, *out.absolute().parents] if parent.is_dir())
    if not os.access(nearest, os.W_OK):
        raise InputError(f"cannot write to {nearest}", "Give another --out.")


def _is_ours(out: Path) -> bool:
    try:
        told = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and told.get("kind") == KIND


def write_bundle(out: Path, files: Mapping[str, Path | bytes], manifest: Mapping[str, Any]) -> Path:
    """Writes a bundle: assembled beside `out`, then swapped into its place.

    Args:
        files: name in the bundle: a file to copy, or its content.
        manifest: what it says beside the files' hashes.
    Raises:
        InputError: `out` is not ours, or the disk is full.
    """
    claim_directory(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise _refusal(error, out) from error
    try:
        _assemble(work, files, manifest)
        _swap(work, out)
    except OSError as error:
        raise _refusal(error, out) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out


def _assemble(work: Path, files: Mapping[str, Path | bytes], manifest: Mapping[str, Any]) -> None:
    facts = {}
    for name, content in files.items():
        path = work / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            shutil.copyfile(content, path)
        facts[name] = {"sha256": file_sha256(path), "size_bytes": path.stat().st_size}
    whole = {"kind": KIND, "schema": SCHEMA, **manifest, "files": facts}
    (work / MANIFEST).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    work.chmod(0o755)


def _swap(work: Path, out: Path) -> None:
    """Puts `work` in the place of `out`; an earlier bundle stays until the new one is there."""
    if not out.exists():
        os.replace(work, out)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
    os.replace(out, aside / out.name)
    try:
        os.replace(work, out)
    except OSError:
        os.replace(aside / out.name, out)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


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
    partial = out.with_name(f".{out.name}.partial")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        os.replace(partial, out)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise _refusal(error, out) from error


def read_manifest(directory: Path) -> dict[str, Any]:
    """The manifest of a bundle, checked as the device runtime checks it.

    Raises:
        InputError: there is none, it is of another kind or a newer schema, or what it says makes no sense.
    """
    try:
        return read(str(directory))[1]
    except BundleError as error:
        raise InputError(str(error), "Give the directory that a build wrote.") from error


def check_bundle(directory: Path) -> list[str]:
    """What is wrong with a bundle's files, in words; empty when each is what the manifest says."""
    return list(problems(str(directory), read_manifest(directory)["files"]))
