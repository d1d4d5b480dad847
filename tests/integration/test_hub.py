"""Weights from the hub: the real client against a hub of the test's own. It reads its environment when it is imported,
so that every fetch is in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, Hub, serving
from test_nothing_is_sent import WATCHED

REPOSITORY = "owner/narrow.tag"
FILE = f"{REPOSITORY}/model.safetensors"
CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()

FETCH = """
import json
from edgekit.errors import EdgekitError
from edgekit.models.hub import fetch
events = []
try:
    made = fetch(**json.loads({told!r}), tell=lambda *event: events.append(event))
    answer = dict(path=str(made.path), sha256=made.sha256, events=events)
except EdgekitError as error:
    answer = dict(code=error.exit_code, line=error.line())
"""

Fetch = Callable[..., dict[str, Any]]


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub({FILE: CONTENT})) as made:
        yield made


def environment(home: Path, endpoint: str, **more: str) -> dict[str, str]:
    """The test's own, without what the user tells the client."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGINGFACE", "XDG_"))}
    no_proxy = {"NO_PROXY": "127.0.0.1,localhost"}
    return {**kept, **no_proxy, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "EDGEKIT_CACHE": str(home), **more}


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path) -> Fetch:
    """Fetches in a process of its own; nothing may be said on stderr."""

    def run(environ: dict[str, str] | None = None, **told: Any) -> dict[str, Any]:
        code = FETCH.format(told=json.dumps({"repository": REPOSITORY, **told})) + "print(json.dumps(answer))"
        answer = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env=environment(tmp_path / "hf", **{"endpoint": hub.endpoint, **(environ or {})}),
        )
        assert answer.stderr == ""
        made: dict[str, Any] = json.loads(answer.stdout)
        return made

    return run


def test_a_file_is_fetched_once_and_then_needs_no_hub(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    made = fetch()
    assert made["sha256"] == SHA256
    assert Path(made["path"]).read_bytes() == CONTENT
    assert Path(made["path"]).is_relative_to(tmp_path / "hf" / "hub")
    assert len(hub.bodies()) == 1
    first, last = made["events"][0], made["events"][-1]
    assert first == [REPOSITORY, 0, len(CONTENT) / 1e6]
    assert last == [REPOSITORY, len(CONTENT) / 1e6, len(CONTENT) / 1e6]
    assert [event[1] == event[2] for event in made["events"]].count(True) == 1
    hub.seen.clear()
    again = fetch()
    assert (again["path"], again["sha256"], again["events"]) == (made["path"], SHA256, [])
    assert fetch({"HF_HUB_OFFLINE": "1"})["path"] == made["path"]
    assert fetch({"endpoint": "http://127.0.0.1:9"})["path"] == made["path"]
    assert fetch(revision=COMMIT, sha256=SHA256)["path"] == made["path"]
    assert hub.seen == []


def test_nothing_is_sent_but_the_fetch(hub: Hub, fetch: Fetch) -> None:
    """No telemetry, nothing of what is installed; and a token goes to the hub alone."""
    fetch({"HF_TOKEN": "hf_secret", "HF_HUB_DISABLE_TELEMETRY": "0"})
    paths = {path for _, path, _ in hub.seen}
    assert paths == {f"/{REPOSITORY}/resolve/main/model.safetensors", f"/cdn/{FILE}"}
    for _, path, headers in hub.seen:
        agent = {each.partition("/")[0].strip() for each in headers["user-agent"].split(";")}
        assert agent == {"unknown", "hf_hub", "python"}
        assert headers.get("authorization") == ("Bearer hf_secret" if "resolve" in path else None)


def test_the_client_talks_to_nobody_else(hub: Hub, tmp_path: Path) -> None:
    work = FETCH.format(told=json.dumps({"repository": REPOSITORY}))
    for expected in ({"127.0.0.1", "localhost"}, set()):
        answer = subprocess.run(
            [sys.executable, "-c", WATCHED.format(work=work)],
            capture_output=True,
            text=True,
            check=True,
            env=environment(tmp_path / "hf", hub.endpoint),
        )
        events = json.loads(answer.stdout)
        assert {event for event, _ in events} <= {"socket.connect", "socket.getaddrinfo"}
        looked_up = {told.split("'")[1] for event, told in events if event == "socket.getaddrinfo"}
        assert looked_up == expected


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, fetch: Fetch) -> None:
    """The client keeps what it has in pieces of 10 MiB."""
    hub.files[FILE] = CONTENT * 20
    hub.breaks = 1
    made = fetch()
    assert Path(made["path"]).read_bytes() == hub.files[FILE]
    assert [headers.get("range") for headers in hub.bodies()] == [None, f"bytes={10 << 20}-"]
    done = [event[1] for event in made["events"]]
    assert done == sorted(done)


def refused(answer: dict[str, Any], *words: str, code: int = 4) -> None:
    assert answer.get("code") == code, answer
    for word in words:
        assert word in answer["line"]


def test_a_file_that_is_not_what_the_hub_announced(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    hub.announced = "ab" * 32
    folder = tmp_path / "hf" / "hub" / "models--owner--narrow.tag"
    for _ in range(2):  # the copy in the cache is no better
        refused(fetch(), SHA256[:16], "abababababababab", "announced by the hub", f"rm -r {folder}")
    assert len(hub.bodies()) == 1


def test_a_file_that_is_not_the_one_that_is_pinned(hub: Hub, fetch: Fetch) -> None:
    refused(fetch(sha256="cd" * 32), SHA256[:16], "cdcdcdcdcdcdcdcd", "known to edgekit", "rm -r")
    assert fetch(sha256=SHA256, revision="main")["sha256"] == SHA256


WAYS = ("--weights", "HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE=1")


def test_a_hub_that_cannot_be_reached(fetch: Fetch) -> None:
    refused(fetch({"endpoint": "http://127.0.0.1:9"}), "http://127.0.0.1:9 cannot be reached", REPOSITORY, *WAYS)
    refused(fetch({"endpoint": "http://no-such-host.invalid"}), "no-such-host.invalid cannot be reached", *WAYS)


def test_a_hub_that_never_answers_is_given_up(hub: Hub, fetch: Fetch) -> None:
    hub.answering.clear()
    refused(fetch({"HF_HUB_ETAG_TIMEOUT": "1"}), "cannot be reached", "timed out", *WAYS)
    assert len(hub.seen) == 1


def test_offline_without_a_copy(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    refused(fetch({"HF_HUB_OFFLINE": "1"}), "HF_HUB_OFFLINE is set", str(tmp_path / "hf" / "hub"), "--weights")
    assert hub.seen == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "RepoNotFound", ("has no owner/narrow.tag", *WAYS)),
        (401, None, ("has no owner/narrow.tag, or it is private", "HF_TOKEN")),
        (404, None, ("has no owner/narrow.tag", *WAYS)),
        (404, "RevisionNotFound", ("has owner/narrow.tag, but not that revision",)),
        (404, "EntryNotFound", ("has owner/narrow.tag, but not model.safetensors",)),
        (403, "GatedRepo", ("gated", "HF_TOKEN")),
        (403, None, ("gated or private", "HF_TOKEN")),
        (503, None, ("answers 503", "Try again later")),
    ],
)
def test_errors_of_the_hub_are_told_apart(
    hub: Hub, fetch: Fetch, status: int, code: str | None, words: tuple[str, ...]
) -> None:
    hub.status, hub.error_code = status, code
    refused(fetch(), *words)
    assert len(hub.seen) == 1


def test_something_else_answers(hub: Hub, fetch: Fetch) -> None:
    """A portal that says yes to everything, as some networks have."""
    hub.status = 200
    refused(fetch(), "is no Hugging Face hub", *WAYS)


@contextmanager
def disk(at: Path, options: str) -> Iterator[None]:
    """A file system of its own; skips where none may be mounted."""
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "x", at], check=False, capture_output=True).returncode:
        pytest.skip("a disk cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", at], check=False)


def test_a_full_disk(fetch: Fetch, tmp_path: Path) -> None:
    with disk(tmp_path / "hf", "size=600k"):
        refused(fetch(), "the disk is full", "HF_HOME", code=2)


def test_a_cache_that_cannot_be_written(fetch: Fetch, tmp_path: Path) -> None:
    with disk(tmp_path / "hf", "ro"):
        refused(fetch(), "cannot be written", "HF_HOME")


def test_what_was_fetched_loads(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    import torch

    from edgekit.models import create
    from edgekit.models.weights import load_into, write_weights

    trained, fresh = create("inception_v4", 4, 0.1), create("inception_v4", 4, 0.1)
    write_weights(trained, tmp_path / "w.safetensors")
    hub.files[FILE] = (tmp_path / "w.safetensors").read_bytes()
    load_into(fresh, Path(fetch()["path"]))
    assert torch.equal(fresh.state_dict()["last_linear.weight"], trained.last_linear.weight.half().float())


def test_the_command_says_it_in_one_line(edgekit: Callable[..., Any], tmp_path: Path) -> None:
    answer = edgekit(
        "evaluate", "--model", "inception_v4.tf_in1k", "--data", "signs",
        env=environment(tmp_path / "hf", "http://127.0.0.1:9"),
    )  # fmt: skip
    assert answer.returncode == 4
    assert answer.stderr.startswith("edgekit: error: cannot fetch timm/inception_v4.tf_in1k")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_build_with_public_weights(hub: Hub, edgekit: Callable[..., Any], tmp_path: Path) -> None:
    """A state dict of the public names and shapes, in 16 bits and without meaning, from the hub to the bundle."""
    import torch
    from safetensors.torch import save

    from edgekit.models import create

    with torch.device("meta"):
        shapes = {key: value.shape for key, value in create("inception_v4").state_dict().items()}
    state = {
        key: torch.ones(shape, dtype=torch.float16) if key.endswith("running_var") else torch.randn(shape).half() / 50
        for key, shape in shapes.items()
        if not key.endswith("num_batches_tracked")
    }
    content = save(state)
    hub.files["timm/inception_v4.tf_in1k/model.safetensors"] = content
    (tmp_path / "quick.yaml").write_text("prune: none\nlatency: {runs: 10, max_seconds: 0.1}\n")
    command = (
        *("build", "--model", "inception_v4.tf_in1k", "--precision", "fp32", "--size", 75),
        *("--recipe", tmp_path / "quick.yaml", "--json", "--out", tmp_path / "out"),
    )
    environ = environment(tmp_path / "hf", hub.endpoint)
    answer = edgekit(*command, env=environ)
    assert answer.returncode == 0, answer.stderr
    model = json.loads(answer.stdout)["model"]
    assert (model["tag"], model["classes"]) == ("tf_in1k", 1000)
    assert model["weights_sha256"] == hashlib.sha256(content).hexdigest()
    assert "fetch: timm/inception_v4.tf_in1k, in MB\n" in answer.stderr
    assert "fetch: done in " in answer.stderr
    again = edgekit(*command, env={**environ, "HF_HUB_OFFLINE": "1"})
    assert again.returncode == 0, again.stderr
    assert "fetch" not in again.stderr
    assert json.loads(again.stdout)["model"] == model
    assert len(hub.bodies()) == 1
