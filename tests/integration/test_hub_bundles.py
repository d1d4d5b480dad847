"""Bundles in a hub's repositories: the real client, unmodified, against a hub of the test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from command import run_edgekit
from hub_repositories import TOKEN, Repository
from hub_server import Hub, serving
from refusals import Ran, ok, refused
from test_hub import environment
from tracked_bundles import reported

Edgekit = Callable[..., Ran]
NAME = "me/signs-cpu"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub({})) as made:
        yield made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reported(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "bundle")


@pytest.fixture
def run(hub: Hub, tmp_path: Path) -> Edgekit:
    """Runs the command; the client reads its environment when it is imported."""

    def ran(*arguments: object, **environ: str) -> Ran:
        told = environment(tmp_path / "home", hub.endpoint, HF_TOKEN=TOKEN) | environ
        return run_edgekit(*arguments, timeout=500, env=told)

    return ran


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_push_and_pull(hub: Hub, run: Edgekit, bundle: Path, tmp_path: Path) -> None:
    said = json.loads(ok(run("push", bundle, f"hf://{NAME}", "--json")).stdout)
    there = hub.pushed.repositories[NAME]
    card = there.commits[-1]["README.md"]
    assert there.private
    assert said["private"] is True
    assert said["url"] == f"{hub.endpoint}/{NAME}"
    assert said["sent"] == said["files"] == len(contents(bundle)) + 1
    assert there.commits[-1] == {**contents(bundle), "README.md": card, ".gitattributes": b"*.onnx filter=lfs\n"}
    assert there.titles[-1] == "tiny for cpu, fp32"
    assert hub.pushed.cards == [card.decode()]
    shown = ok(run("pull", f"hf://{NAME}", tmp_path / "out"))
    assert contents(tmp_path / "out") == contents(bundle)
    assert said["commit"] in shown.stdout
    ok(run("verify", tmp_path / "out"))
    assert {path.name for path in tmp_path.iterdir()} == {"bundle", "out", "home"}


def test_the_second_push_of_the_same_is_no_commit(hub: Hub, run: Edgekit, bundle: Path) -> None:
    first = json.loads(ok(run("push", bundle, f"hf://{NAME}", "--json")).stdout)
    seen = len(hub.seen)
    again = json.loads(ok(run("push", bundle, f"hf://{NAME}", "--json")).stdout)
    assert (again["sent"], again["sent_bytes"], again["commit"]) == (0, 0, first["commit"])
    assert len(hub.pushed.repositories[NAME].commits) == 2
    assert {method for method, _, _ in hub.seen[seen:]} == {"GET", "HEAD"}


def test_another_bundle_takes_the_place_of_the_first(hub: Hub, run: Edgekit, bundle: Path, tmp_path: Path) -> None:
    ok(run("push", bundle, f"hf://{NAME}"))
    there = hub.pushed.repositories[NAME]
    there.commits.append({**there.commits[-1], "notes.txt": b"mine"})
    there.titles.append("notes")
    other = reported(tmp_path / "other", runtime="onnxruntime")
    said = json.loads(ok(run("push", other, f"hf://{NAME}", "--json")).stdout)
    assert said["removed"] == ["model.bin", "model.xml"]
    assert said["sent"] < said["files"]  # the network is the same
    left = there.commits[-1]
    assert left["notes.txt"] == b"mine"
    assert {name: left[name] for name in contents(other)} == contents(other)
    assert not {"model.bin", "model.xml"} & left.keys()


def test_what_is_signed_stays_so(run: Edgekit, bundle: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    ok(run("sign", bundle, "--key", key))
    signers = tmp_path / "signers"
    signers.write_text(f"me@example.com {key.with_suffix('.pub').read_text()}")
    ok(run("push", bundle, f"hf://{NAME}"))
    trust = ("--allowed-signers", signers, "--identity", "me@example.com")
    ok(run("pull", f"hf://{NAME}", tmp_path / "out", *trust))
    assert contents(tmp_path / "out") == contents(bundle)
    (bundle / "manifest.json.sig").unlink()
    ok(run("push", bundle, f"hf://{NAME}"))
    refused(run("pull", f"hf://{NAME}", tmp_path / "other", *trust), 2, "was not taken")
    assert not (tmp_path / "other").exists()


def test_the_card_is_what_the_hub_reads(hub: Hub, run: Edgekit, bundle: Path) -> None:
    from huggingface_hub import ModelCard

    ok(run("push", bundle, f"hf://{NAME}"))
    text = hub.pushed.repositories[NAME].commits[-1]["README.md"].decode()
    told = yaml.safe_load(text.split("---")[1])
    assert told["license"] == "apache-2.0"
    assert told["library_name"] == "edgekit"
    assert told["pipeline_tag"] == "image-classification"
    (result,) = told["model-index"][0]["results"]
    assert (result["metrics"][0]["type"], result["metrics"][0]["value"]) == ("accuracy", 0.962)
    data = ModelCard(text).data
    assert data.eval_results[0].metric_value == 0.962
    assert data.model_name == "signs-cpu"
    assert "is 3.0x faster than FP32" in text
    assert f"edgekit pull hf://{NAME} bundle" in text


def test_who_sees_it(hub: Hub, run: Edgekit, bundle: Path) -> None:
    assert "public" in ok(run("push", bundle, f"hf://{NAME}", "--public")).stdout
    assert not hub.pushed.repositories[NAME].private
    refused(run("push", bundle, f"hf://{NAME}", "--private"), 2, "is public already")
    ok(run("push", bundle, f"hf://{NAME}"))  # as it is
    hub.pushed.repositories[NAME].private = True
    refused(run("push", bundle, f"hf://{NAME}", "--public"), 2, "is private already")


def test_what_is_somebody_elses_stays(hub: Hub, run: Edgekit, bundle: Path) -> None:
    hub.pushed.repositories[NAME] = Repository(True, [{"README.md": b"mine", "model.safetensors": b"x"}])
    refused(run("push", bundle, f"hf://{NAME}"), 2, "holds something else: model.safetensors")
    hub.pushed.repositories[NAME] = Repository(True, [{"manifest.json": b'{"kind": "other"}'}])
    refused(run("push", bundle, f"hf://{NAME}"), 2, "holds something else: manifest.json")
    refused(run("pull", f"hf://{NAME}", bundle.parent / "out"), 2, "holds no bundle")


def test_logins(hub: Hub, run: Edgekit, bundle: Path, tmp_path: Path) -> None:
    refused(run("push", bundle, f"hf://{NAME}", HF_TOKEN=""), 4, "there is no token", "hf auth login")
    refused(run("push", bundle, f"hf://{NAME}", HF_TOKEN="hf_wrong"), 4, "does not hold")
    refused(run("push", bundle, "hf://you/signs"), 4, "me may make no repositories of you", "one of: me, ours")
    refused(run("push", bundle, "hf://ours/signs"), 4, "does not let you use ours/signs")
    hub.pushed.role = "read"
    refused(run("push", bundle, f"hf://{NAME}"), 4, "may only read")
    hub.pushed.role = "write"
    assert hub.pushed.repositories == {}
    ok(run("push", bundle, f"hf://{NAME}"))
    refused(run("pull", f"hf://{NAME}", tmp_path / "out", HF_TOKEN=""), 2, "or it is private")
    refused(run("pull", "hf://me/none", tmp_path / "out"), 2, "has no me/none")
    refused(run("pull", f"hf://{NAME}@none", tmp_path / "out"), 2, "there is no hf://me/signs-cpu@none")


def test_a_hub_that_fails(hub: Hub, run: Edgekit, bundle: Path) -> None:
    hub.pushed.refused = 403
    refused(run("push", bundle, f"hf://{NAME}"), 4, "does not let you")
    hub.pushed.refused = None
    hub.pushed.spoils = ("golden.npz", "report.json")
    refused(run("push", bundle, f"hf://{NAME}"), 4, "has not what was sent", "golden.npz, report.json")
    hub.pushed.spoils = ()
    ok(run("push", bundle, f"hf://{NAME}"))  # what was wrong is sent again
    hub.pushed.repositories.clear()
    hub.pushed.invalid_cards = '"license" must be one of a list'
    refused(run("push", bundle, f"hf://{NAME}"), 4, "Invalid metadata", "must be one of")
    refused(run("push", bundle, f"hf://{NAME}", HF_ENDPOINT="http://127.0.0.1:9"), 4, "cannot be used")
    refused(run("push", bundle, f"hf://{NAME}", HF_HUB_OFFLINE="1"), 4, "HF_HUB_OFFLINE")


def test_bundles_that_lie_are_not_taken(hub: Hub, run: Edgekit, bundle: Path, tmp_path: Path) -> None:
    ok(run("push", bundle, f"hf://{NAME}"))
    files = hub.pushed.repositories[NAME].commits[-1]
    whole = dict(files)
    files["golden.npz"] = b"other"
    refused(run("pull", f"hf://{NAME}", tmp_path / "out"), 4, "is not the file it should be")
    files |= whole
    del files["golden.npz"]
    refused(run("pull", f"hf://{NAME}", tmp_path / "out"), 2, "golden.npz is not there")
    told = json.loads(whole["manifest.json"])
    told["files"]["../evil"] = told["files"].pop("golden.npz")
    files["manifest.json"] = json.dumps(told).encode()
    refused(run("pull", f"hf://{NAME}", tmp_path / "out"), 2, "manifest")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["hf://me", "hf://me/a/b", "hf://me/a--b", "hf://../a", "hf://me/a.git", "hf:///a"])
def test_names_that_no_hub_has(name: str, run: Edgekit, bundle: Path) -> None:
    refused(run("push", bundle, name), 2, "names no repository of a hub")


def test_options_that_do_not_go_together(run: Edgekit, bundle: Path, tmp_path: Path) -> None:
    refused(run("push", bundle, "localhost:5000/a", "--public"), 2, "hf://OWNER/NAME")
    refused(run("push", bundle, f"hf://{NAME}", "--insecure"), 2, "HF_ENDPOINT")
    refused(run("pull", f"hf://{NAME}", tmp_path / "out", "--insecure"), 2, "HF_ENDPOINT")
    refused(run("push", bundle, f"hf://{NAME}@main"), 2, "names a revision")
    refused(run("build", "--private"), 2, "--push-to-hub")


def test_nothing_goes_elsewhere(hub: Hub, bundle: Path, tmp_path: Path) -> None:
    """All addresses that a push connects to are the hub's."""
    code = (
        "import sys, json\nseen = []\n"
        "sys.addaudithook(lambda event, told: seen.append(told[1]) if event == 'socket.connect' else None)\n"
        "from edgekit.cli import main\n"
        f"try:\n    main(['push', {str(bundle)!r}, 'hf://{NAME}'])\n"
        "finally:\n    print(json.dumps(seen))\n"
    )
    told = environment(tmp_path / "home", hub.endpoint, HF_TOKEN=TOKEN)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=told)
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert {tuple(each[:2]) for each in seen} == {("127.0.0.1", hub.port)}


@pytest.mark.slow
def test_a_build_is_published(hub: Hub, run: Edgekit, tmp_path: Path) -> None:
    quick = (
        "--model",
        "inception_v4",
        "--prune",
        "none",
        "--precision",
        "fp32",
        "--images",
        "48",
        "--out",
        tmp_path / "b",
    )
    refused(run("build", *quick, "--push-to-hub", "you/signs"), 4, "me may make no repositories of you")
    assert not (tmp_path / "b").exists()  # asked before anything was done
    told = ok(run("build", *quick, "--push-to-hub", NAME, "--json", EDGEKIT_CACHE=os.environ["EDGEKIT_CACHE"]))
    assert json.loads(told.stdout)["published"]["url"] == f"{hub.endpoint}/{NAME}"
    left = hub.pushed.repositories[NAME].commits[-1]
    assert {name: left[name] for name in contents(tmp_path / "b")} == contents(tmp_path / "b")
    hub.pushed.repositories.clear()
    hub.pushed.may_write = ()
    ran = run("build", *quick, "--push-to-hub", NAME, EDGEKIT_CACHE=os.environ["EDGEKIT_CACHE"])
    refused(ran, 4, "does not let you", f"edgekit push {tmp_path / 'b'} hf://{NAME}")
    assert "bundle: " in ran.stdout
