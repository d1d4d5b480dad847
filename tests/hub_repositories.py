"""Repositories of a small hub that can be made and pushed to, as the hub's own API has it.

Small text files lie in git and are known by git's hash, others by their SHA-256 (LFS): what compares meets both.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

TOKEN = "hf_of_the_test"
LARGE = (".onnx", ".bin", ".npz", ".pyz", ".safetensors", ".engine")
"""What the hub's .gitattributes has as large."""


@dataclass
class Answer:
    """Of the hub to one request."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Repository:
    """A repository: whether it is private, and its commits with all their files, the newest last."""

    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b"*.onnx filter=lfs\n"}])
    titles: list[str] = field(default_factory=lambda: ["initial commit"])

    def place(self, revision: str) -> int | None:
        """Which commit a revision is."""
        ids = [self.id_of(each) for each in range(len(self.commits))]
        return len(ids) - 1 if revision == "main" else ids.index(revision) if revision in ids else None

    def id_of(self, place: int) -> str:
        told = json.dumps([self.titles[: place + 1], sorted((k, sha256(v)) for k, v in self.commits[place].items())])
        return hashlib.sha1(told.encode()).hexdigest()


@dataclass
class Repositories:
    """All of them.

    Attributes:
        repositories: by OWNER/NAME; blobs: content by SHA-256, with what the CDN calls it by.
        may_write: whose namespaces the token may write to.
        refused: status that uploads of content are answered with, while it is not None.
        spoils: names whose content is stored otherwise than it was sent.
        invalid_cards: what is wrong with every card, in words.
        role: of the token; cards: those that were asked about.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    may_write: tuple[str, ...] = ("me",)
    refused: int | None = None
    spoils: tuple[str, ...] = ()
    invalid_cards: str | None = None
    role: str = "write"
    cards: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes, endpoint: str) -> Answer | None:
        """What is said to a request; None where it is of no repository that was made here."""
        path, _, query = path.partition("?")
        known = headers.get("authorization") == f"Bearer {TOKEN}"
        for pattern, wanted, handler in ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in wanted:
                return handler(self, found.groupdict(), _Asked(method, known, body, endpoint, query, headers))
        return None


@dataclass
class _Asked:
    method: str
    known: bool
    body: bytes
    endpoint: str
    query: str
    headers: dict[str, str]

    @property
    def told(self) -> Any:
        return json.loads(self.body)


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def _not_found() -> Answer:
    return Answer(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})


def _whoami(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    if not asked.known:
        return _json({"error": "Invalid credentials in Authorization header"}, 401)
    auth = {"accessToken": {"role": hub.role}}
    return _json({"type": "user", "name": "me", "orgs": [{"name": "ours"}], "auth": auth})


def _create(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    if not asked.known:
        return _json({"error": "Invalid credentials"}, 401)
    told = asked.told
    owner = told.get("organization") or "me"
    name = f"{owner}/{told['name']}"
    if owner not in hub.may_write:
        return _json({"error": f"You don't have the rights to create a model under {owner}"}, 403)
    if name in hub.repositories:
        return _json({"error": "You already created this model repo", "url": f"{asked.endpoint}/{name}"}, 409)
    private = told.get("private", told.get("visibility") == "private")
    hub.repositories[name] = Repository(bool(private))
    return _json({"url": f"{asked.endpoint}/{name}"})


def _seen(hub: Repositories, found: dict[str, str], asked: _Asked) -> Repository | None:
    there = hub.repositories.get(found["name"])
    return there if there is not None and (asked.known or not there.private) else None


def _info(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    there = _seen(hub, found, asked)
    if there is None:
        return _not_found()
    place = there.place(found.get("revision") or "main")
    if place is None:
        return Answer(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"})
    siblings = [{"rfilename": name} for name in there.commits[place]]
    return _json({"id": found["name"], "sha": there.id_of(place), "private": there.private, "siblings": siblings})


def _tree(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    there = _seen(hub, found, asked)
    place = there.place(found["revision"]) if there is not None else None
    if there is None or place is None:
        return _not_found()
    return _json([_entry(name, content) for name, content in there.commits[place].items()])


def _entry(name: str, content: bytes) -> dict[str, Any]:
    told: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": git_sha1(content)}
    if name.endswith(LARGE):
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(content)}\nsize {len(content)}\n"
        lfs = {"oid": sha256(content), "size": len(content), "pointerSize": len(pointer)}
        told |= {"oid": git_sha1(pointer.encode()), "lfs": lfs}
    return told


def _validate(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    hub.cards.append(asked.told["content"])
    if hub.invalid_cards:
        return _json({"errors": [{"message": hub.invalid_cards}], "warnings": []}, 400)
    return _json({"errors": [], "warnings": []})


def _may_write(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer | None:
    if not asked.known:
        return _json({"error": "Invalid credentials"}, 401)
    if found["name"] not in hub.repositories:
        return _not_found()
    if found["name"].partition("/")[0] not in hub.may_write:
        return _json({"error": "Forbidden: you need write access"}, 403)
    return None


def _preupload(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    refused = _may_write(hub, found, asked)
    if refused is not None:
        return refused
    files = [
        {"path": each["path"], "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
         "shouldIgnore": False, "oid": None}
        for each in asked.told["files"]
    ]  # fmt: skip
    return _json({"files": files})


def _batch(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    refused = _may_write(hub, found, asked)
    if refused is not None:
        return refused
    objects: list[dict[str, Any]] = []
    for each in asked.told["objects"]:
        upload = {"upload": {"href": f"{asked.endpoint}/lfs/{each['oid']}", "header": {}}}
        objects.append({**each, **({} if each["oid"] in hub.blobs else {"actions": upload})})
    return _json({"transfer": "basic", "objects": objects})


def _upload(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    if hub.refused is not None:
        return _json({"error": "no"}, hub.refused)
    if sha256(asked.body) != found["oid"]:
        return _json({"error": "that is not what was announced"}, 400)
    hub.blobs[found["oid"]] = asked.body
    return Answer()


def _commit(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer:
    refused = _may_write(hub, found, asked)
    if refused is not None:
        return refused
    there = hub.repositories[found["name"]]
    lines = [json.loads(line) for line in asked.body.splitlines()]
    header = next(each["value"] for each in lines if each["key"] == "header")
    if header.get("parentCommit") not in (None, there.id_of(len(there.commits) - 1)):
        return _json({"error": "A commit has happened since. Please refresh and try again."}, 412)
    files = dict(there.commits[-1])
    for each in lines:
        told = each["value"]
        if each["key"] == "file":
            files[told["path"]] = base64.b64decode(told["content"])
        elif each["key"] == "lfsFile":
            files[told["path"]] = hub.blobs[told["oid"]]
        elif each["key"] == "deletedFile":
            files.pop(told["path"])
        if told.get("path") in hub.spoils:
            files[told["path"]] = files[told["path"]][::-1]
    there.commits.append(files)
    there.titles.append(header["summary"])
    oid = there.id_of(len(there.commits) - 1)
    return _json({"success": True, "commitOid": oid, "commitUrl": f"{asked.endpoint}/{found['name']}/commit/{oid}"})


def _resolve(hub: Repositories, found: dict[str, str], asked: _Asked) -> Answer | None:
    if found["name"] not in hub.repositories:
        return None  # it may be one of those that are only fetched from
    there = _seen(hub, found, asked)
    place = there.place(found["revision"]) if there is not None else None
    if there is None or place is None:
        return _not_found()
    content = there.commits[place].get(found["file"])
    if content is None:
        return Answer(404, b"", {"X-Error-Code": "EntryNotFound"})
    headers = {"X-Repo-Commit": there.id_of(place), "ETag": f'"{git_sha1(content)}"'}
    if found["file"].endswith(LARGE):
        hub.blobs[sha256(content)] = content
        elsewhere = f"{asked.endpoint.replace('127.0.0.1', 'localhost')}/cdn/{sha256(content)}"
        linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content)), "Location": elsewhere}
        return Answer(302, b"", headers | linked)
    return Answer(200, content, headers)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
ROUTES: tuple[tuple[str, tuple[str, ...], Any], ...] = (
    (r"/api/whoami-v2", ("GET",), _whoami),
    (r"/api/repos/create", ("POST",), _create),
    (r"/api/validate-yaml", ("POST",), _validate),
    (rf"/api/models/{NAME}(?:/revision/(?P<revision>.+))?", ("GET",), _info),
    (rf"/api/models/{NAME}/tree/(?P<revision>[^/]+)", ("GET",), _tree),
    (rf"/api/models/{NAME}/preupload/[^/]+", ("POST",), _preupload),
    (rf"/api/models/{NAME}/commit/[^/]+", ("POST",), _commit),
    (rf"/{NAME}\.git/info/lfs/objects/batch", ("POST",), _batch),
    (r"/lfs/(?P<oid>[0-9a-f]{64})", ("PUT",), _upload),
    (rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", ("GET", "HEAD"), _resolve),
)
"""What a path is, the methods that it is asked with, and who answers."""
