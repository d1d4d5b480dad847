"""Devices over SSH, on a real sshd: sent, resumed, run, timed, and refused where they must be."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle
from classifiers import PLAIN, Graph, balanced, labelled_by, of_any_size, patches
from ssh_server import CuttingProxy, Server, can_make_namespaces, free_port, keygen, start

from edgekit.devices import Connection, Device
from edgekit.devices.remote import Network, RemoteSession, place, probe
from edgekit.devices.ssh import DeviceError, DisconnectedError
from edgekit.devices.transfer import agent, ask, ensure
from edgekit.errors import UnavailableError
from edgekit.runtime import Bundle

pytestmark = pytest.mark.usefixtures("shared_store")

Run = Callable[..., "subprocess.CompletedProcess[str]"]

SIDE = 96
SMALL = ("--model", "inception_resnet_v1", "--size", SIDE, "--images", 30, "--calibration-images", 20)
"""The shipped network on pictures that cost little; it has nine in ten right."""


@pytest.fixture
def device(server: Server) -> Device:
    return Device("pi", server.address, None, server.port, sys.executable)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, common_store: Path) -> Path:
    """The shipped network for this processor, from a few signs."""
    from edgekit.build.pipeline import build
    from edgekit.recipe import merged
    from edgekit.store import Store

    folder = tmp_path_factory.mktemp("bundle")
    told = {
        "model": "inception_resnet_v1",
        "images": 40,
        "latency": {"runs": 30, "max_seconds": 0.1},
        "calibration": {"images": 20},
        "prune": "none",
    }
    return build(merged(told, {"preprocessing": {"size": SIDE}}), folder / "net", Store(common_store)).directory


def test_what_is_asked_of_a_device_through_the_command_line(
    server: Server, device: Device, bundle: Path, edgekit: Run
) -> None:
    added = edgekit("device", "add", "pi", f"ssh://127.0.0.1:{server.port}", "--python", sys.executable)
    assert (added.returncode, added.stderr) == (0, "")
    listed = json.loads(edgekit("device", "list", "--json").stdout)
    assert [each["name"] for each in listed["devices"]] == ["pi"]

    told = json.loads(edgekit("device", "probe", "pi", "--json").stdout)
    assert told["device"] == "pi"
    assert told["free_disk_bytes"] > 0
    assert told["runtimes"]["openvino"]
    assert told["runtimes"]["tensorrt"] is None
    assert told["jetpack"] is None

    first = json.loads(edgekit("device", "deploy", "pi", bundle, "--json").stdout)
    size = sum(file.stat().st_size for file in bundle.iterdir())
    assert 0 < first["sent_bytes"] <= size
    assert first["golden_cosine"] > 0.99
    again = json.loads(edgekit("device", "deploy", "pi", bundle, "--json").stdout)
    assert again["sent_bytes"] == 0
    assert again["folder"] == first["folder"]

    timed = json.loads(edgekit("device", "bench", "pi", bundle, "--runs", 30, "--max-seconds", 0.3, "--json").stdout)
    assert timed["latency"]["p50"] > 0
    assert timed["latency"]["p50"] <= timed["latency"]["p99"]
    assert timed["conditions"]["samples"] > 0
    assert (timed["conditions"]["mean_power_w"] is None) == ("why" in timed["conditions"])

    here = json.loads(edgekit("evaluate", bundle, "--data", "signs", "--images", 60, "--json").stdout)
    there = json.loads(edgekit("device", "evaluate", "pi", bundle, "--images", 60, "--json").stdout)
    assert there["accuracy"]["top1"] == pytest.approx(here["accuracy"]["top1"])
    assert gone(server)


def test_a_signed_bundle_arrives_signed_and_whole(server: Server, device: Device, tmp_path: Path, edgekit: Run) -> None:
    made = make_bundle(tmp_path / "tiny")
    keygen(tmp_path / "key")
    assert edgekit("sign", made, "--key", tmp_path / "key").returncode == 0
    edgekit("device", "add", "pi", device.url, "--python", sys.executable)
    sent = edgekit("device", "deploy", "pi", made, "--json")
    assert sent.returncode == 0, sent.stderr
    told = json.loads(sent.stdout)
    assert told["golden_cosine"] == pytest.approx(1, abs=1e-4)
    (tmp_path / "signers").write_text("me " + (tmp_path / "key.pub").read_text())
    with Bundle.open(told["folder"], allowed_signers=tmp_path / "signers") as there:
        assert there.signer == "me"
    refused = edgekit("device", "deploy", "pi", made, "--runtime", "tensorrt")
    assert refused.returncode == 4
    assert "tensorrt is not installed on this device" in refused.stderr


def gone(server: Server, seconds: float = 10) -> bool:
    """Whether every agent ends within some seconds."""
    until = time.monotonic() + seconds
    while server.agents() and time.monotonic() < until:
        time.sleep(0.1)
    return server.agents() == []


def test_a_network_gives_the_same_logits_there(device: Device, bundle: Path) -> None:
    connection = Connection(device)
    folder, _ = place(connection, {name: bundle / name for name in ("model.xml", "model.bin")})
    pictures = np.load(bundle / "golden.npz")["inputs"]
    precision = json.loads((bundle / "manifest.json").read_text())["precision"]  # what paid on this machine
    session = RemoteSession(connection, Network("net", folder, "openvino", precision))
    with Bundle.open(bundle) as local:
        np.testing.assert_allclose(session.infer_many(pictures), local.logits(pictures), atol=1e-3)
    session.close()


def test_what_was_placed_is_not_asked_for_again(server: Server, device: Device, bundle: Path) -> None:
    connection, contents = Connection(device), {name: bundle / name for name in ("model.xml", "model.bin")}
    folder, sent = place(connection, contents)
    logins = server.log.count("Accepted")
    assert logins > 0
    assert place(connection, contents) == (folder, 0)
    assert server.log.count("Accepted") == logins
    assert place(Connection(device), contents) == (folder, 0), "another build asks what is there"
    assert server.log.count("Accepted") > logins
    assert place(connection, {**contents, "more": bundle / "golden.npz"})[0] != folder
    assert sent == sum(path.stat().st_size for path in contents.values())


def test_the_graph_of_a_jetson_runs_on_a_processor_only_when_asked(
    device: Device, tmp_path: Path, edgekit: Run
) -> None:
    out = tmp_path / "jetson"
    built = edgekit("build", "--target", "jetson", *SMALL, "--out", out)
    assert built.returncode == 0, built.stderr
    edgekit("device", "add", "pi", device.url, "--python", sys.executable)
    refused = edgekit("device", "deploy", "pi", out)
    assert refused.returncode == 4
    assert "tensorrt is not installed on this device" in refused.stderr
    assert json.loads(edgekit("device", "deploy", "pi", out, "--runtime", "onnxruntime", "--json").stdout)[
        "golden_cosine"
    ] == pytest.approx(1.0, abs=1e-3)


OLD_PYTHON = os.environ.get("EDGEKIT_OLD_PYTHON")


@pytest.mark.skipif(OLD_PYTHON is None, reason="EDGEKIT_OLD_PYTHON names no Python 3.6 with numpy and onnxruntime")
def test_the_runtime_runs_on_the_oldest_python(server: Server, tmp_path: Path, edgekit: Run) -> None:
    nano = tmp_path / "nano"
    built = edgekit("build", "--target", "jetson-nano", *SMALL, "--max-drop", 100, "--out", nano)
    assert built.returncode == 0, built.stderr
    edgekit("device", "add", "old", f"ssh://127.0.0.1:{server.port}", "--python", OLD_PYTHON)
    told = json.loads(edgekit("device", "probe", "old", "--json").stdout)
    assert told["python"].startswith("3.6.")
    run = ("--runtime", "onnxruntime", "--json")
    sent = edgekit("device", "deploy", "old", nano, *run)
    assert json.loads(sent.stdout)["golden_cosine"] > 0.999, sent.stderr
    timed = edgekit("device", "bench", "old", nano, *run, "--runs", 30, "--max-seconds", 0.3)
    assert json.loads(timed.stdout)["latency"]["p50"] > 0, timed.stderr
    judged = edgekit("device", "evaluate", "old", nano, *run, "--images", 30)
    assert json.loads(judged.stdout)["accuracy"]["top1"] > 80, judged.stderr


def test_a_build_is_judged_and_timed_on_the_device(device: Device, tmp_path: Path, edgekit: Run) -> None:
    edgekit("device", "add", "pi", device.url, "--python", sys.executable)
    graph, pictures = Graph((32, 32), seed=2), patches(60, (32, 32))
    graph.head(graph.convolution(graph.convolution("x", 3, 16, strides=[2, 2]), 16, 32), 32)
    network = balanced(graph.save(tmp_path / "net.onnx", [("logits", ("n", 5))]), pictures)
    data = labelled_by(network, pictures, tmp_path / "photos")
    quick = tmp_path / "quick.yaml"
    quick.write_text("latency: {runs: 30, max_seconds: 0.1}\nmax_drop: 100\nprune: none\n")
    wanted = ("--model", of_any_size(network, tmp_path / "open.onnx"), "--data", data, "--size", 32, *PLAIN)
    wanted = (*wanted, "--recipe", quick)
    built = edgekit("build", "--device", "pi", *wanted, "--sizes", 28, "--out", tmp_path / "out", "--json")
    assert built.returncode == 0, built.stderr
    report = json.loads(built.stdout)
    assert {each["name"] for each in report["variants"]} >= {"fp32", "int8", "int8-28"}
    assert all(each["latency"]["p50"] > 0 and each["accuracy"]["top1"] > 50 for each in report["variants"])
    assert report["environment"]["device python"] == platform.python_version()
    early = edgekit("build", "--device", "pi", "--target", "jetson", *wanted, "--out", tmp_path / "no")
    assert early.returncode == 4
    assert "pi has no tensorrt" in early.stderr
    assert "export" not in early.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_the_budget_loop_chooses_by_what_the_device_answers(
    device: Device, tmp_path: Path, edgekit: Run, tiny_onnx: Callable[..., Path], photos: Callable[..., Path]
) -> None:
    edgekit("device", "add", "pi", device.url, "--python", sys.executable)
    how = ("--size", 32, "--mean", 0.5, "--std", 0.5, "--prune", "none", "--calibration-images", 20)
    loop = ("--precision", "mixed", "--max-drop", 0, "--time-budget", 0.3)
    said = ("build", "--model", tiny_onnx(), "--data", photos(classes=3, count=30), "--device", "pi", *how, *loop)
    built = edgekit(*said, "--out", tmp_path / "out", "--json")
    assert built.returncode in (0, 3), built.stderr
    report = json.loads(built.stdout)
    assert report["environment"]["device python"] == platform.python_version()
    assert report["tuning"]["trials"][0]["name"] == "plain"
    mixed = next(each for each in report["variants"] if each["name"] == "mixed")
    assert mixed["latency"]["p50"] > 0


def test_a_transfer_that_is_cut_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "big"
    file.write_bytes(np.random.Generator(np.random.PCG64(0)).bytes(8 << 20))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    ask(Connection(Device("pi", server.address, None, server.port, sys.executable)), "have", {"sha256": []})
    proxy = CuttingProxy(server.port, [1 << 20, 1 << 20, 3 << 20, 1 << 20, 3 << 20])
    server.trust(port=proxy.port)
    connection = Connection(Device("cut", "127.0.0.1", None, proxy.port, sys.executable))
    seen: list[int] = []
    sent = ensure(connection, {digest: file}, lambda done, total: seen.append(done))
    assert proxy.dropped >= 2
    assert seen[-1] == file.stat().st_size
    assert sent < 2 * file.stat().st_size  # little more than once: what arrived was not sent again
    assert hashlib.sha256((server.home / "blobs" / digest).read_bytes()).hexdigest() == digest
    proxy.close()


def test_what_was_cut_while_it_ran_is_asked_for_again(server: Server, bundle: Path) -> None:
    direct = Connection(Device("pi", server.address, None, server.port, sys.executable))
    folder, _ = place(direct, {name: bundle / name for name in ("model.xml", "model.bin")})
    noise = np.random.Generator(np.random.PCG64(0))  # which stays as large as it is when it is sent
    pictures = noise.integers(0, 256, (256, SIDE, SIDE, 3), np.uint8)  # more than is let through
    network = Network("net", folder, "openvino", "int8")
    whole = RemoteSession(direct, network).infer_many(pictures)
    proxy = CuttingProxy(server.port, [3 << 20, 2 << 20])
    server.trust(port=proxy.port)
    session = RemoteSession(Connection(Device("cut", "127.0.0.1", None, proxy.port, sys.executable)), network)
    np.testing.assert_array_equal(session.infer_many(pictures), whole)
    assert proxy.dropped >= 1
    session.close()
    proxy.close()


@pytest.mark.parametrize(("known", "words"), [("other", "has changed"), ("none", "is not known")])
def test_host_keys_are_checked_whatever_the_configuration_says(
    server: Server, edgekit: Run, tmp_path: Path, known: str, words: str
) -> None:
    config = server.folder / "config"
    config.write_text(config.read_text() + "  StrictHostKeyChecking no\n")
    if known == "other":
        keygen(tmp_path / "another")
        server.trust(tmp_path / "another.pub")
    else:
        (server.folder / "known_hosts").write_text("")
    done = edgekit("device", "probe", f"ssh://127.0.0.1:{server.port}")
    assert done.returncode == 4
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Accepted" not in server.log


def test_a_device_that_is_not_there(server: Server, edgekit: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.devices.transfer.TRIES", 1)
    with pytest.raises(UnavailableError, match="refuses the connection"):
        probe(Connection(Device("gone", "127.0.0.1", None, free_port(), "python3")))
    done = edgekit("device", "probe", "nobody")
    assert done.returncode == 2
    assert "there is no device 'nobody'" in done.stderr


def test_a_login_that_is_refused_and_a_python_that_is_missing(server: Server, device: Device) -> None:
    with pytest.raises(UnavailableError, match="no such Python"):
        probe(Connection(Device("pi", device.host, None, device.port, "/no/such/python")))
    (server.folder / "authorized_keys").write_text("")
    with pytest.raises(UnavailableError, match="refuses the login"):
        probe(Connection(device))


def test_a_full_disk_is_told_of(server: Server, device: Device, tmp_path: Path) -> None:
    server.home.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(server.home)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        file = tmp_path / "big"
        file.write_bytes(os.urandom(2 << 20))
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        with pytest.raises(UnavailableError, match=r"the disk of pi is full: .* MB free, 2\.1 needed"):
            ensure(Connection(device), {digest: file})
        told = {"sha256": digest, "size_bytes": file.stat().st_size, "offset": 0}
        with agent(Connection(device), "put", {}) as talk:  # and where it fills while something is sent
            talk.quiet()
            talk.send(told)
            with contextlib.suppress(DisconnectedError):  # it may be gone before all is sent
                talk.write(file.read_bytes())
            with pytest.raises(DeviceError, match="the disk of pi is full") as caught:
                talk.receive()
        assert caught.value.kind == "disk-full"
    finally:
        subprocess.run(["umount", str(server.home)], check=True)


def test_nothing_is_left_running_when_the_host_goes_away(server: Server, device: Device, bundle: Path) -> None:
    connection = Connection(device)
    folder, _ = place(connection, {name: bundle / name for name in ("model.xml", "model.bin")})
    network = {"name": "net", "folder": folder, "runtime": "openvino", "precision": "int8", "settings": {}}
    told: dict[str, Any] = {"networks": [network], "shape": [1, SIDE, SIDE, 3], "runs": 100_000, "max_seconds": 300}
    with agent(connection, "bench", told) as talk:
        talk.receive()
        assert server.agents()
        talk._process.kill()  # as a closed lid or Ctrl-C does
        assert gone(server)


def test_ctrl_c_ends_it_here_and_there(server: Server, bundle: Path, edgekit: Run) -> None:
    command = [sys.executable, "-m", "edgekit", "device", "bench", f"ssh://127.0.0.1:{server.port}", str(bundle)]
    assert edgekit("device", "add", "pi", command[5], "--python", sys.executable).returncode == 0
    command[5] = "pi"
    running = subprocess.Popen(
        [*command, "--runs", "100000", "--max-seconds", "300"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not any("bench" in each for each in server.agents()) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to edgekit and to its ssh
    _, complaint = running.communicate(timeout=30)
    assert running.returncode == 130
    assert complaint.decode().strip().splitlines()[-1] == "edgekit: interrupted"
    assert gone(server)


def test_a_lying_file_is_not_kept(server: Server, device: Device) -> None:
    connection = Connection(device)
    ask(connection, "have", {"sha256": []})
    with agent(connection, "put", {}) as talk:
        talk.quiet()
        talk.send({"sha256": "0" * 64, "size_bytes": 4, "offset": 0})
        talk.write(b"lies")
        with pytest.raises(DeviceError, match="SHA-256 differs"):
            talk.receive()
    assert list((server.home / "blobs").iterdir()) == []
    with pytest.raises(DeviceError, match="no file name"):
        ask(connection, "link", {"digest": "0" * 64, "files": {"../escape": "0" * 64}})


@pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces are not allowed here")
def test_two_devices_at_once_the_second_on_a_network_of_its_own(
    server: Server, edgekit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other host is reached through a pair of virtual cables, as a board on a bench would be."""
    tag = f"ek{os.getpid() % 10_000}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    ip("netns", "add", tag)
    other = None
    try:
        ip("link", "add", f"{tag}a", "type", "veth", "peer", "name", f"{tag}b")
        ip("link", "set", f"{tag}b", "netns", tag)
        ip("addr", "add", "10.231.77.1/24", "dev", f"{tag}a")
        ip("link", "set", f"{tag}a", "up")
        inside = ("ip", "netns", "exec", tag)
        subprocess.run([*inside, "ip", "addr", "add", "10.231.77.2/24", "dev", f"{tag}b"], check=True)
        subprocess.run([*inside, "ip", "link", "set", f"{tag}b", "up"], check=True)
        other = start(tmp_path / "other", tmp_path / "device2", "10.231.77.2", inside)
        shutil.copy(server.folder / "authorized_keys", other.folder / "authorized_keys")
        known = server.folder / "known_hosts"
        known.write_text(known.read_text() + (other.folder / "known_hosts").read_text())
        edgekit("device", "add", "one", f"ssh://127.0.0.1:{server.port}", "--python", sys.executable)
        edgekit("device", "add", "two", f"ssh://10.231.77.2:{other.port}", "--python", sys.executable)
        told = json.loads(edgekit("device", "probe", "one,two", "--json").stdout)
        assert [each["device"] for each in told["devices"]] == ["one", "two"]
        assert len(list((tmp_path / "device2" / "runtime").iterdir())) == 1
    finally:
        if other is not None:
            other.process.terminate()
            other.process.wait()
        subprocess.run(["ip", "netns", "del", tag], check=False)
        subprocess.run(["ip", "link", "del", f"{tag}a"], check=False, capture_output=True)
