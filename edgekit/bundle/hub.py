"""A repository of a Hugging Face hub that holds a bundle: its name, what is in it, and the client's errors in words.

The client reads HF_ENDPOINT, HF_TOKEN and HF_HOME itself, and the token that `hf auth login` has kept.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.bundle.directory import named_in
from edgekit.errors import EdgekitError, InputError, UnavailableError
from edgekit.json_files import json_file
from edgekit.models.hub import fetch, quiet_client
from edgekit.runtime.manifest import MANIFEST, MAX_MANIFEST_BYTES

if TYPE_CHECKING:
    from hashlib import _Hash

    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

SCHEME: Final = "hf://"
CARD: Final = "README.md"
NOT_OURS: Final = (".gitattributes", CARD)
"""Files of a repository that say nothing of whose it is."""

REFERENCE: Final = re.compile(
    r"(?:hf://)?(?P<repository>\w[\w.-]{0,95}/\w[\w.-]{0,95})(?:@(?P<revision>\w[\w./-]{0,254}))?", re.ASCII
)
PIECE: Final = 1 << 20
AGAIN: Final = "What was sent is kept there; push again: edgekit push BUNDLE hf://OWNER/NAME."


@dataclass(frozen=True)
class HubReference:
    """A repository of models, OWNER/NAME, and a commit, branch or tag of it (None: main)."""

    repository: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> HubReference:
        """[hf://]OWNER/NAME[@REVISION].

        Raises:
            InputError: it is written otherwise, or the hub has no such names.
        """
        found = REFERENCE.fullmatch(text)
        name = found["repository"] if found else ""
        if found is None or "--" in name or ".." in name or name.endswith((".", "-", ".git")):
            raise InputError(f"{text!r} names no repository of a hub", "Write hf://OWNER/NAME[@REVISION].")
        return cls(name, found["revision"])

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}{f'@{self.revision}' if self.revision else ''}"


@dataclass(frozen=True)
class Repository:
    """A repository that a bundle may go to, as it is found: its commit (None: there is no repository yet) and files."""

    commit: str | None = None
    private: bool = True
    files: Mapping[str, RepoFile] = field(default_factory=dict)
    bundle: frozenset[str] = frozenset()


def client() -> HfApi:
    """The hub's client, which reports nothing and shows no bars of its own."""
    quiet_client()
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(library_name="edgekit")


@dataclass(frozen=True)
class _Login:
    """Whose token it is, and in whose names repositories may be made with it."""

    name: str
    owners: frozenset[str]

    def check_owner(self, reference: HubReference) -> None:
        owner = reference.repository.partition("/")[0]
        if owner.lower() not in self.owners:
            what = f"{self.name} may make no repositories of {owner}, such as {reference.repository}"
            raise UnavailableError(what, f"Name one of: {', '.join(sorted(self.owners))}.")


def _login(api: HfApi) -> _Login:
    """Who is logged in.

    Raises:
        UnavailableError: the token may only read.
    """
    told = api.whoami()
    if ((told.get("auth") or {}).get("accessToken") or {}).get("role") == "read":
        raise UnavailableError("the token of the hub may only read", "Set HF_TOKEN to one that may write.")
    name = str(told.get("name") or "")
    owners = {name, *(str(each.get("name")) for each in told.get("orgs") or [])}
    return _Login(name, frozenset(each.lower() for each in owners))


def look(api: HfApi, reference: HubReference, private: bool | None) -> Repository:
    """What is in a repository that a bundle is to go to."""
    from huggingface_hub.errors import RepositoryNotFoundError

    if reference.revision is not None:
        raise InputError(f"{reference} names a revision, and bundles go to the main one", "Leave @REVISION out.")
    with in_words(reference):
        login = _login(api)
        try:
            info = api.model_info(reference.repository)
        except RepositoryNotFoundError:
            login.check_owner(reference)
            return Repository()
        files = files_of(api, reference, info.sha)
    if private is not None and info.private is not private:
        state, wanted = ("private", "--public") if info.private else ("public", "--private")
        hint = f"Change that on its page of settings, or leave {wanted} out."
        raise InputError(f"the repository {reference.repository} is {state} already", hint)
    bundle = bundle_of(reference, info.sha or "", files)
    others = sorted(files.keys() - set(NOT_OURS))
    if bundle is None and others:
        what = f"the repository {reference.repository} holds something else: {', '.join(others[:3])}"
        raise InputError(what, "Give another one, or a name that is not taken: it is made.")
    return Repository(info.sha, bool(info.private), files, bundle or frozenset())


def files_of(api: HfApi, reference: HubReference, commit: str | None) -> dict[str, RepoFile]:
    """The files of a commit by their paths, folders left out."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(reference.repository, recursive=True, revision=commit)
    return {each.path: each for each in tree if isinstance(each, RepoFile)}


def bundle_of(reference: HubReference, commit: str, files: Mapping[str, RepoFile]) -> frozenset[str] | None:
    """The files of the bundle that a commit holds, its manifest and signatures too; None if it holds none."""
    told = files.get(MANIFEST)
    if told is None or told.size > MAX_MANIFEST_BYTES:
        return None
    try:
        return named_in(json_file(fetch(reference.repository, commit, file=MANIFEST).path))
    except ValueError:
        return None


def is_same(there: RepoFile | None, content: Path | bytes) -> bool:
    """Whether a file of the hub is this one: by its SHA-256 where it is a large one, else by git's hash."""
    if there is None or there.size != size_of_content(content):
        return False
    if there.lfs is not None:
        return bool(there.lfs.sha256 == _hashed(sha256(), content))
    return bool(
        there.blob_id == _hashed(sha1(f"blob {size_of_content(content)}\0".encode(), usedforsecurity=False), content)
    )


def _hashed(digest: _Hash, content: Path | bytes) -> str:
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def size_of_content(content: Path | bytes) -> int:
    """Bytes of a file, or of content that is in memory."""
    return len(content) if isinstance(content, bytes) else content.stat().st_size


@contextmanager
def in_words(reference: HubReference) -> Iterator[None]:
    """The client's errors in edgekit's words."""
    try:
        yield
    except EdgekitError:
        raise
    except Exception as error:  # the client's errors, those of its HTTP library and the system's: no common ancestor
        raise _explained(error, reference) from error


def _explained(error: BaseException, reference: HubReference) -> EdgekitError:
    from huggingface_hub import constants, errors

    while isinstance(error, RuntimeError) and error.__cause__ is not None:  # an upload's own error is inside
        error = error.__cause__
    hub, repository = constants.ENDPOINT, reference.repository
    status = getattr(getattr(error, "response", None), "status_code", None)
    login = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write."
    if isinstance(error, errors.OfflineModeIsEnabled):
        return UnavailableError("HF_HUB_OFFLINE is set", "Unset it to reach the hub.")
    if isinstance(error, errors.RepositoryNotFoundError):
        return InputError(f"{hub} has no {repository}, or it is private", f"Look at its name. {login}")
    if isinstance(error, errors.LocalTokenNotFoundError) or status == 401:
        return UnavailableError(f"{hub} does not know you: there is no token, or one that does not hold", login)
    if isinstance(error, errors.RevisionNotFoundError):
        return InputError(f"there is no {reference}", "Look at its name and revision.")
    if status == 403:
        return UnavailableError(f"{hub} does not let you use {repository}", login)
    if status == 412:
        return UnavailableError(f"{repository} was changed meanwhile, by somebody else", AGAIN)
    why = " ".join(str(error).split())[:160] or type(error).__name__
    if status is not None:
        return UnavailableError(f"{hub} answers {status} for {repository}: {why}", AGAIN)
    return UnavailableError(f"{hub} cannot be used for {repository}: {why}", AGAIN)
