"""A cluster of Ray of several nodes on this machine: each with processes and an object store of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1"]
STORE = "--object-store-memory=104857600"
WAIT_S, ASKED_S = 120, 40


@dataclass(frozen=True)
class OtherNode:
    """A node beside the head.

    Attributes:
        environment: beside that of the tests; hidden: a folder that it does not see (needs root).
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    hidden: Path | None = None


@dataclass(frozen=True)
class RunningCluster:
    """What a driver's environment must say to join it, and where its client server is."""

    environment: Mapping[str, str]
    client: str


def may_hide() -> bool:
    """Whether this user can give a node folders of its own."""
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


@contextmanager
def ray_nodes(*others: OtherNode) -> Iterator[RunningCluster]:
    """A head and other nodes, one processor each, who connect with a token."""
    folder = Path(tempfile.mkdtemp(prefix="rn-", dir="/tmp"))  # paths of sockets are short
    port, client = _free_port(), _free_port()
    known = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": f"{_own_address()}:{port}",
    }
    base = {**os.environ, **known}
    base.pop("RAY_ADDRESS")
    head = [
        f"--port={port}",
        f"--ray-client-server-port={client}",
        f"--temp-dir={folder}",
        "--include-dashboard=false",
        "--head",
    ]
    try:
        with ExitStack() as stack:
            stack.enter_context(
                _running([*START, STORE, "--include-dashboard=false", *head, *_worker_ports(0)], base, folder)
            )
            for place, each in enumerate(others, start=1):
                command = [*START, STORE, f"--address={known['RAY_ADDRESS']}", *_worker_ports(place)]
                if each.hidden is not None:
                    hide = f'mount -t tmpfs none "{each.hidden}" && exec "$@"'
                    command = ["unshare", "-m", "sh", "-c", hide, "sh", *command]
                stack.enter_context(_running(command, {**base, **each.environment}, folder))
            _wait_for(1 + len(others), {**base, "RAY_ADDRESS": known["RAY_ADDRESS"]}, folder)
            yield RunningCluster(known, f"ray://127.0.0.1:{client}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[None]:
    said = folder / f"said-{secrets.token_hex(4)}.log"
    with said.open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=folder)
        time.sleep(0.1)
        assert process.poll() is None, said.read_text()
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(count: int, environment: Mapping[str, str], folder: Path) -> None:
    code = (
        "import ray, time\nray.init(address='auto', logging_level=50, log_to_driver=False)\n"
        f"while sum(each['Alive'] for each in ray.nodes()) < {count}: time.sleep(0.3)"
    )
    end = time.monotonic() + WAIT_S
    while True:
        made = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        if made.returncode == 0:
            return
        assert time.monotonic() < end, made.stderr
        time.sleep(1)


def _worker_ports(place: int) -> list[str]:
    first = 21_000 + 300 * place
    return [f"--min-worker-port={first}", f"--max-worker-port={first + 299}"]


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("", 0))
        port: int = made.getsockname()[1]
        return port


def _own_address() -> str:
    """As Ray finds it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        try:
            made.connect(("8.8.8.8", 80))
            address: str = made.getsockname()[0]
            return address
        except OSError:
            return socket.gethostbyname(socket.gethostname())
