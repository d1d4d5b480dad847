"""Every verb runs on a machine without a network, and wants none; those that speak to a server speak to it alone.

What is refused and written down is told in tests/no_network.py. Libraries of the tests' own Python are switched off by
nothing but edgekit: variables that would do so are taken away.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from command import for_another_pytest
from doc_sandbox import prepare
from no_network import NoNetwork

from edgekit.cli import VERBS

TOP: Final = Path(__file__).resolve().parents[2]
QUICK: Final = ("--recipe", "quick.yaml")
MISSED: Final = 3
"""The exit code where a budget was missed, as these networks may miss it: all of the way was gone."""
NET: Final = "shipped.onnx"
PLAIN: Final = ("--prune", "none")
BUNDLE: Final = "build/net-cpu"
PIXELS: Final = ("--mean", "0", "--std", "1", "--crop-fraction", "1")
"""As the networks of the sandbox want them, where no recipe says so."""
QUANTIZE: Final = (
    "quantize", NET, *PIXELS, "--calibration", "more/", "--calibration-images", "16", "--out", "int8.onnx",
)  # fmt: skip
RTX: Final = ("build", "--model", NET, "--target", "rtx", *QUICK, *PLAIN)
SMALL_RUN: Final = """
model: inception_v4
width: 0.05
optimizer: muon
schedule: one-cycle
learning_rate: 0.02
stages:
  - {size: 75, images: 8, batch: 4}
"""
SMALL_STUDY: Final = """
training: {optimizer: rmsprop, learning_rate: 0.045, ema: 0.9}
contests:
  - name: small
    title: One small network
    width: 0.05
    size: 75
    epochs: 1
    epoch_images: 80
    validation_images: 8
    batch: 8
    seeds: [1]
    levels: [99.9]
    networks:
      - {label: plain, model: inception_v4}
      - {label: residual, model: inception_resnet_v1, scale: 0.1}
"""

ALONE: Final[tuple[tuple[str, ...], ...]] = (
    ("init", "mine.yaml"),
    ("models",),
    ("targets",),
    ("doctor",),
    ("calibrate", "--data", "more/", "--images", "16", "--strategy", "coverage", "--model", NET, "--size", "32",
     "--out", "set.json"),
    ("build", "--model", NET, "--target", "cpu", *QUICK, *PLAIN, "--max-drop", "100", "--out", BUNDLE),
    ("build", "--model", NET, *QUICK, "--prune", "0.3", "--train-data", "train/", "--recovery-images", "32"),
    ("build", "--model", NET, *QUICK, *PLAIN, "--runtime", "onnxruntime"),
    ("build", "--model", NET, "--target", "jetson", *QUICK, *PLAIN),
    ("build", "--model", NET, "--target", "raspberry-pi-5", *QUICK, *PLAIN),
    RTX,
    ("inspect", BUNDLE, "--layers"),
    ("verify", BUNDLE),
    ("verify", BUNDLE, "--runtime", "onnxruntime"),
    ("run", BUNDLE, "photo.jpg"),
    ("report", BUNDLE, "--out", "page.html"),
    ("compare", BUNDLE, BUNDLE, "--remeasure", "--runs", "30"),
    ("export", BUNDLE, "--triton", "entries"),
    ("sign", BUNDLE, "--key", "id_ed25519"),
    ("prune", NET, *PIXELS, "--prune", "0.3", "--train-data", "train/", "--data", "eval/", "--recovery-images", "32",
     "--no-sensitivity", "--out", "pruned"),
    QUANTIZE,
    ("compile", "int8.onnx", "--out", "compiled"),
    ("evaluate", "int8.onnx", *PIXELS, "--data", "eval/"),
    ("evaluate", "--model", "inception_v4", "--images", "24"),
    ("bench", "int8.onnx", "--runs", "30", "--max-seconds", "2"),
    ("train", "--recipe", "run.yaml", "--out", "trained"),
    ("study", "--recipe", "study.yaml", "--out", "study", "--jobs", "1"),
    ("cache", "ls"),
    ("cache", "verify"),
    ("device", "list"),
)  # fmt: skip
"""Commands that no other machine is needed for, in an order in which each finds what it reads."""

OTHERS: Final[dict[str, tuple[str, ...]]] = {
    "search": ("test_search_on_ray.py::test_a_whole_search_leaves_its_front",),
    "push": ("test_hub_bundles.py::test_push_and_pull",),
    "pull": ("test_hub_bundles.py::test_push_and_pull",),
    "evaluate": ("test_cluster_evaluate.py::test_signs_have_the_same_answers",),
    "build": (
        "test_tracking.py::test_a_build_is_tracked_at_its_end",
        "test_hub.py::test_a_build_with_public_weights",
        "test_hub_bundles.py::test_a_build_is_published",
        "test_cache_serve.py::test_a_build_takes_all_from_a_server",
    ),
}
"""Verb: tests of this folder in which it speaks to a server or a cluster on this machine."""


@dataclass(frozen=True)
class User:
    """A folder with networks and pictures, on a machine without a network."""

    folder: Path
    machine: NoNetwork

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        known = self.machine.environment | {"PYTHONPATH": str(TOP)}
        command = [sys.executable, "-m", "edgekit", *words]
        return subprocess.run(
            command, cwd=self.folder, env=known, capture_output=True, text=True, timeout=400, check=False
        )


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    folder = tmp_path_factory.mktemp("alone")
    made = prepare(folder)
    shutil.copy(made.home / ".ssh" / "id_ed25519", made.folder)
    (made.folder / "run.yaml").write_text(SMALL_RUN)
    (made.folder / "study.yaml").write_text(SMALL_STUDY)
    return User(made.folder, NoNetwork(folder / "machine"))


def test_every_verb_is_looked_at() -> None:
    assert {words[0] for words in ALONE} | set(OTHERS) == set(VERBS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_verb_sends_anything(user: User) -> None:
    """One after the other, since each reads what those before have made."""
    for words in ALONE:
        if words is RTX and importlib.util.find_spec("tensorrt_rtx_bindings") is None:
            continue
        done = user.run(words)
        assert done.returncode in (0, MISSED), f"{words}: {done.stderr[-2000:]}"
        assert user.machine.wanted() == [], words


TRACED: Final = (
    ("build", "--model", NET, *QUICK, "--prune", "0.3", "--train-data", "train/", "--recovery-images", "32",
     "--no-cache", "--out", "traced"),
    ("evaluate", "int8.onnx", *PIXELS, "--data", "eval/"),
    ("bench", "int8.onnx", "--runs", "30", "--max-seconds", "2"),
)  # fmt: skip
"""What the kernel is asked about."""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_kernel_has_seen_nothing(user: User, tmp_path: Path) -> None:
    """What goes past libc too: system calls of all processes and threads, in an empty network name space."""
    log = tmp_path / "calls.txt"
    calls = "trace=connect,sendto,sendmsg,sendmmsg"
    traced = ["unshare", "--net", "strace", "-f", "-qq", "--seccomp-bpf", "-e", calls, "-o", str(log)]
    for tool in ("unshare", "strace"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on this system")
    if (refused := subprocess.run([*traced, "true"], capture_output=True, text=True, check=False)).returncode:
        pytest.skip(f"processes cannot be traced here: {refused.stderr.strip()[-200:]}")

    def seen(command: Sequence[str]) -> list[str]:
        known = {name: value for name, value in user.machine.environment.items() if name != "LD_PRELOAD"}
        done = subprocess.run(
            [*traced, *command], cwd=user.folder, env=known | {"PYTHONPATH": str(TOP)}, capture_output=True, text=True,
            timeout=400, check=False,
        )  # fmt: skip
        assert done.returncode in (0, MISSED), done.stderr[-2000:]
        return [line for line in log.read_text().splitlines() if "AF_INET" in line or "AF_PACKET" in line]

    sends = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect_ex(('192.0.2.1', 53))"
    assert len(seen([sys.executable, "-c", sends])) == 1
    assert user.run(QUANTIZE).returncode == 0
    for words in TRACED:
        assert seen([sys.executable, "-m", "edgekit", *words]) == [], words


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_speaks_to_a_server_speaks_to_it_alone(tmp_path: Path) -> None:
    """Other tests, in a process that reaches nothing but this machine."""
    machine = NoNetwork(tmp_path, loopback=True)
    tests = sorted({f"tests/integration/{test}" for each in OTHERS.values() for test in each})
    known = for_another_pytest(machine.environment) | {"PYTHONPATH": os.pathsep.join([str(TOP), str(TOP / "tests")])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    done = subprocess.run(command, cwd=TOP, env=known, capture_output=True, text=True, timeout=1780, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert machine.wanted() == []
