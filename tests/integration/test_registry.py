"""Pushing to and pulling from a real registry: nothing twice, nothing unchecked, and nothing slipped in."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from bundles import make_bundle
from image_registry import RunningRegistry, running

pytest.importorskip("oras")

from edgekit.bundle.directory import names_of
from edgekit.bundle.modelpack import CONFIG, artifact_of, descriptor_of
from edgekit.bundle.registry import Reference, Registry
from edgekit.bundle.transfer import Trust, pull, push
from edgekit.errors import InputError, UnavailableError

SECRET = "me:$2b$04$0W/BsB/Dj8PU5VXjbG8f9Ob1NAzs0WQypF4L0Js5tSVXRk9iUTWQ6\n"
"""Name `me` with the password `secret`."""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with running(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it", runtime="onnxruntime")


def quiet(done: int, total: int) -> None:
    assert 0 <= done <= total


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def fetch(reference: Reference, out: Path, trust: Trust = Trust()) -> Any:  # noqa: B008
    return pull(reference, out, False, trust, quiet)


def test_a_bundle_comes_back_byte_for_byte(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    reference = Reference.parse(f"{registry.host}/deep/er/signs:1.0")
    sent = push(bundle, reference, False, quiet)
    assert sent.moved == sent.files == len(contents(bundle))
    got = fetch(reference, tmp_path / "new" / "out")
    assert contents(tmp_path / "new" / "out") == contents(bundle)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out"]
    assert (got.digest, got.files, got.moved) == (sent.digest, sent.files, sent.files)
    by_digest = Reference.parse(f"{registry.host}/deep/er/signs@{sent.digest}")
    assert fetch(by_digest, tmp_path / "again").digest == sent.digest
    assert ((tmp_path / "again").stat().st_mode & 0o777, (tmp_path / "again" / "model.onnx").stat().st_nlink) == (
        0o755,
        1,
    )


def test_what_is_there_is_not_sent_again(registry: RunningRegistry, bundle: Path) -> None:
    push(bundle, Reference.parse(f"{registry.host}/twice:1"), False, quiet)
    before = registry.asked("POST")
    again = push(bundle, Reference.parse(f"{registry.host}/twice:2"), False, quiet)
    assert (again.moved, again.moved_bytes) == (0, 0)
    assert registry.asked("POST") == before
    assert again.digest == artifact_of(bundle, names_of(bundle)).digest


def test_a_push_that_stopped_goes_on(registry: RunningRegistry, bundle: Path) -> None:
    reference = Reference.parse(f"{registry.host}/stopped:1")
    there = Registry(reference)
    layers = artifact_of(bundle, names_of(bundle)).layers
    for layer in layers[:2]:
        there.put(layer, bundle / layer.name)
    assert push(bundle, reference, False, quiet).moved == len(layers) - 2


@contextmanager
def cut_after(host: str, limit_bytes: int) -> Iterator[str]:
    """A relay to a registry that lets so many bytes come back, then breaks off and takes no more."""
    target = (host.partition(":")[0], int(host.partition(":")[2]))
    server = socket.create_server(("127.0.0.1", 0))
    left = [limit_bytes]

    def pump(source: socket.socket, into: socket.socket, counted: bool) -> None:
        try:
            while piece := source.recv(4096):
                if counted:
                    left[0] -= len(piece)
                    if left[0] < 0:
                        break
                into.sendall(piece)
        except OSError:
            pass
        for each in (source, into):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            if left[0] < 0:
                client.close()
                continue
            back = socket.create_connection(target)
            threading.Thread(target=pump, args=(client, back, False), daemon=True).start()
            threading.Thread(target=pump, args=(back, client, True), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def test_a_pull_that_was_cut_goes_on(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    push(bundle, Reference.parse(f"{registry.host}/cut:1"), False, quiet)
    total = sum(map(len, contents(bundle).values()))
    with cut_after(registry.host, total // 2) as broken, pytest.raises(UnavailableError, match="cannot be reached"):
        fetch(Reference.parse(f"{broken}/cut:1"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    kept = sum(path.stat().st_size for path in (tmp_path / ".out.pull").iterdir() if path.is_file())
    assert total // 4 < kept < total
    got = fetch(Reference.parse(f"{registry.host}/cut:1"), tmp_path / "out")
    assert contents(tmp_path / "out") == contents(bundle)
    assert got.moved_bytes == total - kept
    assert " 206 " in registry.log.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_parts_that_are_wrong_are_fetched_again(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    reference = Reference.parse(f"{registry.host}/parts:1")
    push(bundle, reference, False, quiet)
    folder = tmp_path / ".out.pull"
    folder.mkdir()
    model, golden = (next(each for each in artifact_of(bundle, names_of(bundle)).layers if each.name == name)
                     for name in ("model.onnx", "golden.npz"))  # fmt: skip
    (folder / model.sha256).write_bytes(b"damaged")
    (folder / f"{golden.sha256}.part").write_bytes(b"x" * (golden.size + 5))
    fetch(reference, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(bundle)
    folder.mkdir()
    (folder / f"{golden.sha256}.part").write_bytes(b"x" * 10)
    with pytest.raises(InputError, match=r"golden\.npz did not come as it was pushed"):
        fetch(reference, tmp_path / "other" / ".." / "out")
    fetch(reference, tmp_path / "out")  # the wrong part is gone


def test_an_earlier_bundle_is_replaced_and_what_is_not_one_is_refused(
    registry: RunningRegistry, bundle: Path, tmp_path: Path
) -> None:
    reference = Reference.parse(f"{registry.host}/replaced:1")
    push(bundle, reference, False, quiet)
    earlier = shutil.copytree(bundle, tmp_path / "out")
    (earlier / "notes.txt").write_text("mine")
    (earlier / "model.sig").write_text("of the earlier one")
    fetch(reference, earlier)
    assert contents(earlier) == {**contents(bundle), "notes.txt": b"mine"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a").write_text("x")
    with pytest.raises(InputError, match="not a bundle"):
        fetch(reference, tmp_path / "mine")


def forged(registry: RunningRegistry, bundle: Path, tag: str, change: Callable[[dict[str, Any]], Any]) -> Reference:
    """An artifact whose manifest says something else; its layers are there."""
    reference = Reference.parse(f"{registry.host}/forged:{tag}")
    push(bundle, reference, False, quiet)
    there = Registry(reference)
    empty = descriptor_of(b"", CONFIG)
    there.put(empty, b"")
    told = json.loads(artifact_of(bundle, names_of(bundle)).manifest)
    change(told)
    there.put_manifest(json.dumps(told).encode())
    return reference


def layer(told: dict[str, Any], name: str) -> Any:
    return next(each for each in told["layers"] if name in each["annotations"].values())


def rename(told: dict[str, Any], old: str, new: str) -> None:
    layer(told, old)["annotations"] = {"org.opencontainers.image.title": new}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: rename(told, "model.onnx", "../model.onnx"), "no plain file name"),
        (lambda told: rename(told, "model.onnx", "/etc/model.onnx"), "no plain file name"),
        (lambda told: rename(told, "model.onnx", "..\\model.onnx"), "no plain file name"),
        (lambda told: rename(told, "model.onnx", ".model.onnx"), "no plain file name"),
        (lambda told: rename(told, "model.onnx", "deep/model.onnx"), "no plain file name"),
        (lambda told: rename(told, "model.onnx", "a\nb"), "no plain file name"),
        (lambda told: layer(told, "model.onnx").pop("annotations"), "no plain file name"),
        (lambda told: rename(told, "model.onnx", "golden.npz"), "a file twice"),
        (lambda told: rename(told, "model.onnx", "other.onnx"), r"not what its manifest\.json says: model\.onnx"),
        (lambda told: rename(told, "manifest.json", "told.json"), r"has no manifest\.json"),
        (lambda told: told["layers"].remove(layer(told, "golden.npz")), r"says: golden\.npz"),
        (lambda told: layer(told, "golden.npz").update(digest=layer(told, "model.onnx")["digest"]), "says: golden"),
        (lambda told: layer(told, "model.onnx").update(mediaType="application/vnd.cncf.model.weight.v1.tar"), "packed"),
        (lambda told: told.update(artifactType="application/x"), "no ModelPack artifact"),
        (lambda told: told.pop("artifactType"), "no ModelPack artifact"),
        (lambda told: told["config"].update(mediaType="application/vnd.oci.image.config.v1+json"), "no ModelPack"),
    ],
)  # fmt: skip
def test_what_a_registry_could_slip_in(
    change: Callable[[dict[str, Any]], Any], words: str, registry: RunningRegistry, bundle: Path, tmp_path: Path
) -> None:
    reference = forged(registry, bundle, f"t{abs(hash(words + str(change.__code__.co_firstlineno)))}", change)
    with pytest.raises(InputError, match=words):
        fetch(reference, tmp_path / "deep" / "out")
    assert not (tmp_path / "deep" / "out").exists()
    assert {path.name for path in tmp_path.iterdir()} <= {"deep"}


def test_blobs_that_were_changed_on_the_registry(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    with running(tmp_path / "own") as own:
        reference = Reference.parse(f"{own.host}/changed:1")
        push(bundle, reference, False, quiet)
        model = next(each for each in artifact_of(bundle, names_of(bundle)).layers if each.name == "model.onnx")
        blob = own.blob(model.digest)
        blob.write_bytes(blob.read_bytes()[::-1])
        with pytest.raises(InputError, match=r"model\.onnx did not come as it was pushed"):
            fetch(reference, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_who_must_have_signed_it(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    """What is signed by somebody else, or by nobody, does not take the place of an earlier bundle."""
    pytest.importorskip("cryptography")
    import subprocess

    from edgekit.bundle.oms_signing import sign

    for name in ("ada", "eve"):
        private, public = str(tmp_path / name), str(tmp_path / f"{name}.pub")
        how = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        subprocess.run(["openssl", "genpkey", *how, "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    trust = Trust(key=str(tmp_path / "ada.pub"))
    places = {name: Reference.parse(f"{registry.host}/signed:{name}") for name in ("nobody", "ada", "eve")}
    push(bundle, places["nobody"], False, quiet)
    signed = shutil.copytree(bundle, tmp_path / "signed")
    for name in ("eve", "ada"):
        sign(signed, tmp_path / name)
        push(signed, places[name], False, quiet)
    assert fetch(places["ada"], tmp_path / "out", trust).unchecked == ()
    for name, words in (("nobody", "there is no model.sig"), ("eve", "by another key")):
        with pytest.raises(InputError, match=f"was not taken: model signature: .*{words}"):
            fetch(places[name], tmp_path / "out", trust)
        assert contents(tmp_path / "out") == contents(signed)
    (told,) = fetch(places["eve"], tmp_path / "other").unchecked
    assert "no public key was given" in told


def test_one_pull_at_a_time(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    import fcntl
    import os

    reference = Reference.parse(f"{registry.host}/busy:1")
    push(bundle, reference, False, quiet)
    (tmp_path / ".out.pull").mkdir()
    handle = os.open(tmp_path / ".out.pull", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(InputError, match="another pull"):
        fetch(reference, tmp_path / "out")
    os.close(handle)
    fetch(reference, tmp_path / "out")


def test_a_registry_with_a_login(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import base64

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with running(tmp_path / "own", SECRET) as own:
        reference = Reference.parse(f"{own.host}/closed:1")
        with pytest.raises(UnavailableError, match="does not let you") as refused:
            push(bundle, reference, False, quiet)
        assert refused.value.hint == f"docker login {own.host}"
        (tmp_path / ".docker").mkdir()
        login = base64.b64encode(b"me:secret").decode()
        (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {own.host: {"auth": login}}}))
        push(bundle, reference, False, quiet)
        fetch(reference, tmp_path / "out")
        assert contents(tmp_path / "out") == contents(bundle)
        wrong = base64.b64encode(b"me:wrong").decode()
        (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {own.host: {"auth": wrong}}}))
        with pytest.raises(UnavailableError, match="does not let you"):
            fetch(reference, tmp_path / "other")


def test_a_registry_that_gives_tokens(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the public ones do: a token is for reading or for writing, and another is asked for when it does not do."""
    import base64

    pytest.importorskip("cryptography")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    from token_server import TokenServer

    tokens = TokenServer(tmp_path)
    with running(tmp_path / "own", auth=tokens.auth) as own:
        reference = Reference.parse(f"{own.host}/closed:1")
        with pytest.raises(UnavailableError, match="does not let you"):
            push(bundle, reference, False, quiet)
        (tmp_path / ".docker").mkdir()
        login = base64.b64encode(b"me:secret").decode()
        (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {own.host: {"auth": login}}}))
        assert push(bundle, reference, False, quiet).moved == len(contents(bundle))
        fetch(reference, tmp_path / "out")
        assert contents(tmp_path / "out") == contents(bundle)
    tokens.close()
    assert {"pull", "push"} in [set(scope.rpartition(":")[2].split(",")) for scope in tokens.asked], "in either order"


def test_what_is_not_there(registry: RunningRegistry, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no"):
        fetch(Reference.parse(f"{registry.host}/none:1"), tmp_path / "out")
    push(bundle, Reference.parse(f"{registry.host}/there:1"), False, quiet)
    with pytest.raises(InputError, match="there is no"):
        fetch(Reference.parse(f"{registry.host}/there:2"), tmp_path / "out")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UnavailableError, match="cannot be reached"):
        fetch(Reference.parse(f"{nobody}/none:1"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
