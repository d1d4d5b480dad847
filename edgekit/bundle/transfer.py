"""Pushing a bundle to a registry and pulling one: nothing is sent or fetched twice, and nothing appears unchecked."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from edgekit.bundle.directory import claim_directory, names_of, place_bundle, read_manifest, require_whole
from edgekit.bundle.modelpack import CONFIG, Descriptor, artifact_of, check_layers, descriptor_of, read_artifact
from edgekit.bundle.registry import Reference, Registry
from edgekit.errors import InputError, UnavailableError
from edgekit.runtime.manifest import MANIFEST, MAX_MANIFEST_BYTES
from edgekit.runtime.verify import UNSIGNED, verify
from edgekit.store import file_sha256

Progress = Callable[[int, int], None]
"""Is told how many bytes are there, and how many there are in all."""

TRIES: Final = 3


@dataclass(frozen=True)
class Moved:
    """The artifact's digest, its files in all, those of them that were not there yet, and the bytes that went over.

    Attributes:
        unchecked: of what was pulled, signatures that nobody asked for and that could not be looked at, in words.
    """

    digest: str
    files: int
    moved: int
    moved_bytes: int
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trust:
    """Who must have signed what is pulled: see edgekit.runtime.verify; nobody where all are None."""

    allowed_signers: str | None = None
    identity: str | None = None
    key: str | None = None


def push(directory: Path, reference: Reference, insecure: bool, on_progress: Progress) -> Moved:
    """Sends a bundle to a registry; what is there already is not sent again.

    Raises:
        InputError: the bundle is damaged, or the reference has a digest.
        UnavailableError: the registry does not answer, or does not take it.
    """
    if reference.digest is not None:
        raise InputError(
            f"{reference} has a digest, which only what is there has", "Give it a tag: HOST/REPOSITORY:TAG."
        )
    require_whole(directory)
    artifact = artifact_of(directory, names_of(directory))
    registry = Registry(reference, insecure)
    total = sum(layer.size for layer in artifact.layers)
    done, moved, moved_bytes = 0, 0, 0
    for layer in artifact.layers:
        if not registry.has(layer):
            registry.put(layer, directory / layer.name)
            moved, moved_bytes = moved + 1, moved_bytes + layer.size
        done += layer.size
        on_progress(done, total)
    config = descriptor_of(artifact.config, CONFIG)
    if not registry.has(config):
        registry.put(config, artifact.config)
    registry.put_manifest(artifact.manifest)
    return Moved(artifact.digest, len(artifact.layers), moved, moved_bytes)


def pull(reference: Reference, out: Path, insecure: bool, trust: Trust, on_progress: Progress) -> Moved:
    """Fetches a bundle; it is in its place when all of it is there and has been checked, and not before.

    What a pull that was cut has fetched is kept beside `out`, for the next one.

    Raises:
        InputError: there is no such artifact, it is no bundle, damaged or not signed by whom it must be, or `out` is
            something else. UnavailableError: the registry does not answer.
    """
    claim_directory(out)
    registry = Registry(reference, insecure)
    content = registry.manifest()
    digest = f"sha256:{sha256(content).hexdigest()}"
    if reference.digest not in (None, digest):
        raise InputError(f"the registry gave another artifact than {reference.digest}", "Do not trust it.")
    layers = read_artifact(content, str(reference))
    with staging(out) as folder:
        fetched = _Fetched(registry, folder, sum(layer.size for layer in layers), on_progress)
        (told,) = [layer for layer in layers if layer.name == MANIFEST]
        if told.size > MAX_MANIFEST_BYTES:
            raise InputError(f"the {MANIFEST} of {reference} is too large", "Do not trust it.")
        _check_manifest(folder, fetched.file(told), layers, str(reference))
        files = {layer.name: fetched.file(layer) for layer in layers}
        unchecked: list[str] = []
        place_bundle(files, out, lambda work: unchecked.extend(check_signer(work, trust)))
        shutil.rmtree(folder, ignore_errors=True)
    return Moved(digest, len(layers), fetched.moved, fetched.moved_bytes, tuple(unchecked))


class _Fetched:
    """What has been fetched of an artifact, by content, in a folder."""

    def __init__(self, registry: Registry, folder: Path, total_bytes: int, on_progress: Progress) -> None:
        self._registry, self._folder, self._total, self._tell = registry, folder, total_bytes, on_progress
        self._done = self.moved = self.moved_bytes = 0
        self._whole: set[str] = set()

    def file(self, layer: Descriptor) -> Path:
        """The file of a layer, fetched if it is not there yet."""
        whole, part = self._folder / layer.sha256, self._folder / f"{layer.sha256}.part"
        if layer.sha256 not in self._whole:
            if not (whole.is_file() and file_sha256(whole) == layer.sha256):
                self._fetch(layer, part)
                if file_sha256(part) != layer.sha256:
                    part.unlink()
                    raise InputError(
                        f"{layer.name} did not come as it was pushed", "Pull again; if it stays so, push again."
                    )
                os.replace(part, whole)
                self.moved += 1
            self._whole.add(layer.sha256)
            self._done += layer.size
            self._tell(min(self._done, self._total), self._total)
        return whole

    def _fetch(self, layer: Descriptor, part: Path) -> None:
        for left in range(TRIES - 1, -1, -1):
            try:
                self._append(layer, part)
            except UnavailableError:
                if not left:
                    raise
            else:
                return

    def _append(self, layer: Descriptor, part: Path) -> None:
        """Fetches what is missing of a part."""
        part.touch()
        there = part.stat().st_size
        if there > layer.size:
            there = 0
        if there == layer.size:
            return
        with part.open("r+b") as file:
            for at, piece in self._registry.pieces(layer, there):
                if at + len(piece) > layer.size:
                    raise InputError(f"{layer.name} is longer than it is said to be", "Do not trust this artifact.")
                file.seek(at)
                file.write(piece)
                file.truncate()
                self.moved_bytes += len(piece)
                self._tell(self._done + at + len(piece), self._total)
        if part.stat().st_size < layer.size:
            raise UnavailableError(f"{self._registry.reference.host} broke off", "Pull again: it goes on from there.")


def _check_manifest(folder: Path, file: Path, layers: Collection[Descriptor], what: str) -> None:
    """Looks at the bundle's manifest before anything large is fetched."""
    alone = folder / "manifest"
    alone.mkdir(exist_ok=True)
    shutil.copyfile(file, alone / MANIFEST)
    check_layers(layers, read_manifest(alone), what)


def check_signer(work: Path, trust: Trust) -> Iterator[str]:
    """Refuses a bundle that is not signed by whom it must be, or whose signature is of another.

    Yields:
        the signatures that nobody asked for and that could not be looked at, in words.
    """
    checks = verify(str(work), trust.allowed_signers, trust.identity, golden=False, key=trust.key)
    asked = trust != Trust()
    for check in checks:
        if check.ok is False and check.missing and asked:
            raise UnavailableError(f"the bundle was not taken: {check.name}: {check.detail}", "")
        if check.ok is False and not check.missing:
            raise InputError(
                f"the bundle was not taken: {check.name}: {check.detail}", "Do not trust where it came from."
            )
        if check.name.endswith("signature") and check.ok is not True and check.detail != UNSIGNED:
            yield f"{check.name}: {check.detail}"


@contextlib.contextmanager
def staging(out: Path) -> Iterator[Path]:
    """The folder beside `out` where what is fetched is kept; one pull at a time has it."""
    place = Path(os.path.realpath(out))
    folder = place.parent / f".{place.name}.pull"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}", "Give another directory.") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise InputError(f"another pull to {out} is at work", "Wait for it, or give another directory.") from error
        if not (folder.exists() and os.path.samestat(os.fstat(handle), folder.stat())):
            raise InputError(f"another pull to {out} has just ended", "Pull again, if it is not what you wanted.")
        yield folder
    finally:
        os.close(handle)
