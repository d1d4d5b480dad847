"""Publishing a bundle to a Hugging Face hub and fetching one: what was sent is compared, what comes is checked."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.bundle.directory import claim_directory, names_of, place_bundle, read_manifest, require_whole
from edgekit.bundle.hub import CARD, HubReference, bundle_of, client, files_of, in_words, is_same, look, size_of_content
from edgekit.bundle.transfer import Moved, Progress, Trust, check_signer, staging
from edgekit.errors import InputError, UnavailableError
from edgekit.models.hub import fetch
from edgekit.runtime.manifest import MANIFEST, UNNAMED

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile


@dataclass(frozen=True)
class Published:
    """What is there now.

    Attributes:
        url: of the repository; commit: that holds the bundle; private: whether only its owner sees it.
        files: of the bundle and its card; sent, sent_bytes: those of them that were not there yet.
        removed: files of an earlier bundle there that this one has not.
    """

    url: str
    commit: str
    private: bool
    files: int
    sent: int
    sent_bytes: int
    removed: tuple[str, ...] = ()


def check(reference: HubReference, private: bool | None) -> None:
    """Finds out whether a bundle could be published there, before the minutes of a build are spent.

    Raises:
        InputError: something else is there, or it is not as private as asked. UnavailableError: no answer, no login.
    """
    look(client(), reference, private)


def publish(
    directory: Path, card: bytes, reference: HubReference, private: bool | None, on_progress: Progress
) -> Published:
    """Sends a bundle and its card to a repository, in one commit; none where both are there already.

    Args:
        card: the repository's README.md, which is no file of the bundle.
        private: whether only its owner sees it; None leaves one that is there as it is, and makes a private one.
    Raises:
        InputError: the bundle is damaged; something else is there, or it is not as private as asked.
        UnavailableError: the hub does not answer or not take it, or has something else afterwards.
    """
    require_whole(directory)
    api = client()
    found = look(api, reference, private)
    if found.commit is None:
        with in_words(reference):
            api.create_repo(reference.repository, private=private is not False, exist_ok=True)
        found = look(api, reference, private)
    contents: dict[str, Path | bytes] = {name: directory / name for name in sorted(names_of(directory))}
    contents[CARD] = card
    new = [name for name, content in contents.items() if not is_same(found.files.get(name), content)]
    gone = tuple(sorted((found.bundle & found.files.keys()) - contents.keys()))
    commit = found.commit or ""
    if new or gone:
        sent = {name: contents[name] for name in new}
        commit = _commit(api, reference, commit, sent, gone, _title(directory), on_progress)
    _compare(api, reference, commit, contents)
    size = sum(size_of_content(contents[name]) for name in new)
    url = f"{api.endpoint}/{reference.repository}"
    return Published(url, commit, found.private, len(contents), len(new), size, gone)


def pull_from_hub(reference: HubReference, out: Path, trust: Trust, on_progress: Progress) -> Moved:
    """Fetches a published bundle; it is in its place when all of it is there and has been checked, and not before.

    The client's cache keeps what was fetched. The card is no part of the bundle and stays behind.

    Raises:
        InputError: there is no such bundle, it is damaged or not signed by whom it must be, or `out` is something else.
        UnavailableError: the hub does not answer.
    """
    claim_directory(out)
    api = client()
    with in_words(reference):
        commit = api.model_info(reference.repository, revision=reference.revision).sha or ""
        files = files_of(api, reference, commit)
    if bundle_of(reference, commit, files) is None:
        raise InputError(f"{reference} holds no bundle of edgekit's", "`edgekit push` makes one.")
    with staging(out) as folder:
        got = _Fetched(reference, commit, folder, sum(each.size for each in files.values()), on_progress)
        got.file(MANIFEST, files)
        told = read_manifest(folder)
        names = {name: facts.sha256 for name, facts in told.files.items()}
        missing = sorted(names.keys() - files.keys())
        if missing:
            raise InputError(
                f"{reference} is not what its {MANIFEST} says: {missing[0]} is not there", "Push it again."
            )
        signatures = [name for name in UNNAMED if name in files and name != MANIFEST]
        here = {name: got.file(name, files, names.get(name)) for name in (*names, *signatures)}
        unchecked: list[str] = []
        place_bundle(
            {**here, MANIFEST: folder / MANIFEST}, out, lambda work: unchecked.extend(check_signer(work, trust))
        )
        shutil.rmtree(folder, ignore_errors=True)
    return Moved(commit, len(here) + 1, got.moved, got.moved_bytes, tuple(unchecked))


class _Fetched:
    """Files of a commit, copied out of the client's cache into a folder."""

    def __init__(
        self, reference: HubReference, commit: str, folder: Path, total_bytes: int, on_progress: Progress
    ) -> None:
        self._repository, self._commit, self._folder = reference, commit, folder
        self._total, self._tell, self._done = total_bytes, on_progress, 0
        self.moved = self.moved_bytes = 0

    def file(self, name: str, files: Mapping[str, RepoFile], sha256: str | None = None) -> Path:
        """A file, checked against the hash that is known of it."""
        size, asked = files[name].size, [False]

        def tell(_: str, done_mb: float, __: float | None) -> None:
            asked[0] = True
            self._tell(min(self._done + int(done_mb * 1e6), self._total), self._total)

        try:
            made = fetch(self._repository.repository, self._commit, sha256, tell, name)
        except UnavailableError as error:
            raise UnavailableError(error.what, "HF_TOKEN lets you in where it is private.") from error
        self._done += size
        self._tell(self._done, self._total)
        self.moved, self.moved_bytes = self.moved + asked[0], self.moved_bytes + asked[0] * size
        # A copy: a link would let whoever changes the bundle change the cache.
        return Path(shutil.copyfile(made.path, self._folder / name))


def _commit(
    api: HfApi,
    reference: HubReference,
    parent: str,
    sent: Mapping[str, Path | bytes],
    gone: tuple[str, ...],
    title: str,
    on_progress: Progress,
) -> str:
    """Makes one commit of what is new and what goes; its id."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    total, at = sum(map(size_of_content, sent.values())), dict.fromkeys(sent, 0)

    def tell(name: str, done: int) -> None:
        at[name] = done
        on_progress(sum(at.values()), total)

    on_progress(0, total)
    adds = [
        CommitOperationAdd(name, content if isinstance(content, bytes) else _Told(content, name, tell))
        for name, content in sent.items()
    ]
    for each in adds:
        if isinstance(each.path_or_fileobj, _Told):
            each.path_or_fileobj.is_sent = True  # until now it was read for its hash
    operations = [*adds, *(CommitOperationDelete(name) for name in gone)]
    with in_words(reference):
        made = api.create_commit(
            reference.repository, operations, commit_message=title, parent_commit=parent, num_threads=1
        )
    return str(made.oid)


class _Told(io.BufferedReader):
    """A file that tells how far it has been read while it is sent."""

    def __init__(self, path: Path, name: str, tell: Callable[[str, int], None]) -> None:
        super().__init__(io.FileIO(path))
        self._name, self._tell_of, self.is_sent = name, tell, False

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes."""
        piece = super().read(size)
        if self.is_sent:
            self._tell_of(self._name, self.tell())
        return piece


def _compare(api: HfApi, reference: HubReference, commit: str, contents: Mapping[str, Path | bytes]) -> None:
    """Looks at whether a commit holds what was sent."""
    with in_words(reference):
        there = files_of(api, reference, commit)
    wrong = [name for name, content in contents.items() if not is_same(there.get(name), content)]
    if wrong:
        what = f"the hub has not what was sent to {reference.repository}: {', '.join(wrong[:3])}"
        raise UnavailableError(what, "Its .gitignore may leave files out; else push again.")


def _title(directory: Path) -> str:
    told = read_manifest(directory)
    name = ".".join(part for part in (told.model.name, told.model.tag) if part) or "A network"
    return f"{name} for {told.target.name}, {told.precision}"
