"""A registry of containers for tests: Debian's docker-registry, a process on this machine alone."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

NAMES = ("docker-registry", "registry")


@dataclass(frozen=True)
class RunningRegistry:
    """Where it listens, where it keeps blobs, and what it was asked (its log)."""

    host: str
    folder: Path
    log: Path

    def asked(self, method: str) -> list[str]:
        """The paths of the requests with a method, in their order."""
        return re.findall(rf'"{method} (\S+) HTTP/1\.1" \d+', self.log.read_text())

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        name = digest.partition(":")[2]
        return self.folder / "docker" / "registry" / "v2" / "blobs" / "sha256" / name[:2] / name / "data"


def executable() -> str:
    """The registry's program; skips the test where there is none."""
    given = os.environ.get("EDGEKIT_TEST_REGISTRY")
    found = given or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no docker-registry here (Debian's package of that name, or EDGEKIT_TEST_REGISTRY)")
    return found


@contextmanager
def running(folder: Path, htpasswd: str | None = None, auth: str | None = None) -> Iterator[RunningRegistry]:
    """Runs a registry until the block is left.

    Args:
        htpasswd: who may use it, as Apache has it, bcrypt; anyone by default.
        auth: its configuration of another way to find out who may, YAML in one line.
    """
    program = executable()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    log, config = folder / "log", folder / "config.yml"
    lines = ["version: 0.1", "log: {accesslog: {disabled: false}}"]
    lines += [f"storage: {{filesystem: {{rootdirectory: {folder}}}}}", f"http: {{addr: '127.0.0.1:{port}'}}"]
    if htpasswd is not None:
        (folder / "htpasswd").write_text(htpasswd)
        auth = f"{{htpasswd: {{realm: test, path: {folder / 'htpasswd'}}}}}"
    if auth is not None:
        lines.append(f"auth: {auth}")
    config.write_text("\n".join(lines) + "\n")
    with log.open("w") as into:
        process = subprocess.Popen([program, "serve", str(config)], stdout=into, stderr=into)
    try:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield RunningRegistry(f"127.0.0.1:{port}", folder, log)
    finally:
        process.terminate()
        process.wait(30)
