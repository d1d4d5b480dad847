"""Weights from the Hugging Face hub: fetched once into the hub client's own cache, and checked whenever they are used.

The client reads HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and HF_TOKEN itself. A copy in its cache is used without asking
the hub: a build again needs no network, and does not change when a repository does.
"""

from __future__ import annotations

import errno
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgekit.errors import EdgekitError, InputError, UnavailableError
from edgekit.store import file_sha256
from edgekit.store.root import give_home

FILE: Final = "model.safetensors"
OTHER_WAYS: Final = (
    "Give a file with --weights, name a mirror with HF_ENDPOINT, or put a copy in HF_HOME and set HF_HUB_OFFLINE=1."
)
SHA256: Final = re.compile(r"[0-9a-f]{64}")

Tell = Callable[[str, float, float | None], None]
"""Hears of a fetch: of what, megabytes done, megabytes in all if known; the two are equal once, when it is over."""


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights that was read to the end, and its SHA-256."""

    path: Path
    sha256: str


def silent(what: str, done_mb: float, total_mb: float | None) -> None:
    """A listener that does nothing."""


def fetch(
    repository: str, revision: str | None = None, sha256: str | None = None, tell: Tell = silent, file: str = FILE
) -> WeightsFile:
    """A file of a repository, from the cache or else from the hub.

    Args:
        repository: OWNER/NAME.
        revision: a commit, branch or tag; main by default.
        sha256: what the file must have, where that is known; what the hub announced is checked anyway.
    Raises:
        UnavailableError: it cannot be fetched, or is not what it should be.
        InputError: the disk is full.
    """
    quiet_client()
    path, announced = _cached(repository, revision, file) or _downloaded(repository, revision, file, tell)
    made = WeightsFile(path, file_sha256(path))
    for expected, whose in ((sha256, "known to edgekit"), (announced, "announced by the hub")):
        if expected is not None and made.sha256 != expected:
            raise UnavailableError(
                f"{path} is not the file it should be: its SHA-256 is {made.sha256[:16]}..., the one {whose} is"
                f" {expected[:16]}...",
                f"Remove it (rm -r {path.parents[2]}) and fetch it again, from the hub itself if HF_ENDPOINT is set.",
            )
    return made


def quiet_client() -> None:
    """Imports the client so that it sends nothing but the fetch, and says nothing on stderr."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    # Plain HTTP: it is what mirrors speak and what the client's time limits hold for.
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
    give_home()  # it names its cache when it is imported, in a folder called ~ where there is no home
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    constants.HF_HUB_DISABLE_TELEMETRY = True  # where something else has imported the client before
    logging.set_verbosity_error()


def _cached(repository: str, revision: str | None, file: str) -> tuple[Path, str | None] | None:
    """The copy in the client's cache and the hash that the hub announced for it, without any request."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, file, revision=revision)
    if not isinstance(found, str):
        return None
    # A snapshot's file is a link to a blob, whose name is what the hub announced.
    return Path(found), _sha256_in(os.readlink(found).rpartition("/")[2] if os.path.islink(found) else None)


def _downloaded(repository: str, revision: str | None, file: str, tell: Tell) -> tuple[Path, str | None]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    try:
        # Asked once, before: hf_hub_download alone tries for minutes until it says that nobody answers.
        found = get_hf_file_metadata(hf_hub_url(repository, file, revision=revision))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a disk that may become full: it is an error when it does
            path = Path(hf_hub_download(repository, file, revision=revision, tqdm_class=_bar_class(repository, tell)))
    except Exception as error:  # the client's errors, those of its HTTP library and the system's: no common ancestor
        raise _explained(error, repository, file) from error
    size_mb = path.stat().st_size / 1e6
    tell(repository, size_mb, size_mb)
    return path, _sha256_in(found.etag)


def _sha256_in(etag: str | None) -> str | None:
    """An etag of the hub, if it is a SHA-256: it is for large files, small ones have git's hash."""
    return etag if etag is not None and SHA256.fullmatch(etag) else None


def _bar_class(what: str, tell: Tell) -> type[Any]:
    """A class that the client takes for tqdm, whose bars tell of their progress."""

    class Bar:
        def __init__(self, *_: object, total: float | None = None, initial: float = 0, **__: object) -> None:
            self.total, self.n = total, initial
            self.update(0)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, count: float | None = 1) -> None:
            self.n += count or 0
            if self.total is None or self.n < self.total:  # the end is told when the file is in its place
                tell(what, self.n / 1e6, self.total and self.total / 1e6)

        def close(self) -> None: ...

        def set_postfix_str(self, *_: object, **__: object) -> None: ...

    return Bar


def _explained(error: Exception, repository: str, file: str) -> EdgekitError:
    """An error of the client in edgekit's words."""
    from huggingface_hub import constants, errors

    hub, cache = constants.ENDPOINT, constants.HF_HUB_CACHE
    status = getattr(getattr(error, "response", None), "status_code", None)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOSPC, errno.EDQUOT):
        return InputError(
            f"the disk is full while fetching {repository} to {cache}",
            "Free some space, or set HF_HOME to a place that has more.",
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UnavailableError(f"the cache {cache} cannot be written", "Set HF_HOME to a folder that can.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        what = f"HF_HUB_OFFLINE is set, and {cache} has no copy of {repository}"
        return UnavailableError(what, "Unset it, put a copy there, or give a file with --weights.")
    if isinstance(error, errors.GatedRepoError) or status == 403:
        what = f"{hub} does not let you have {repository}: it is gated or private"
        return UnavailableError(what, "Ask for access on its page and set HF_TOKEN, or give a file with --weights.")
    if isinstance(error, errors.RevisionNotFoundError | errors.RemoteEntryNotFoundError):
        missing = file if isinstance(error, errors.RemoteEntryNotFoundError) else "that revision"
        return UnavailableError(f"{hub} has {repository}, but not {missing}", OTHER_WAYS)
    if status in (401, 404):
        what = f"{hub} has no {repository}, or it is private"
        return UnavailableError(what, f"{OTHER_WAYS} HF_TOKEN lets you in where it is private.")
    if status is not None:
        return UnavailableError(f"{hub} answers {status} for {repository}", f"Try again later. {OTHER_WAYS}")
    if isinstance(error.__cause__, errors.FileMetadataError):
        what = f"what answers at {hub} is no Hugging Face hub; a proxy or a firewall may stand between"
        return UnavailableError(what, OTHER_WAYS)
    why = " ".join(str(error).split())[:120] or type(error).__name__
    return UnavailableError(f"cannot fetch {repository}: {hub} cannot be reached ({why})", OTHER_WAYS)
