"""The C++ library, built once for all tests that use it, and a device: an sshd on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cpp_library import Programs, build, programs_in
from once import once
from ssh_server import SSHD, Server, start


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A device that edgekit reaches, which it does not know yet."""
    if not os.access(SSHD, os.X_OK):
        pytest.skip("there is no sshd here")
    made = start(tmp_path / "sshd", tmp_path / "device")
    monkeypatch.setenv("EDGEKIT_SSH", made.ssh)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield made
    made.process.terminate()
    made.process.wait()


@pytest.fixture
def pi(server: Server, edgekit: Callable[..., subprocess.CompletedProcess[str]]) -> Server:
    """The same, known as the device pi."""
    added = edgekit("device", "add", "pi", f"ssh://{server.address}:{server.port}", "--python", sys.executable)
    assert added.returncode == 0, added.stderr
    return server


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The library as it is used; a warning of the compiler is an error."""
    return built(tmp_path_factory, sanitize=False)


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The library with AddressSanitizer and UndefinedBehaviorSanitizer, which end the program at the first mistake."""
    return built(tmp_path_factory, sanitize=True)


def built(tmp_path_factory: pytest.TempPathFactory, sanitize: bool) -> Programs:
    """The programs, or a skip that says what is missing here."""

    def make(folder: Path) -> None:
        made = build(folder, sanitize=sanitize)
        if isinstance(made, str):
            (folder / "missing").write_text(made)

    folder = once(tmp_path_factory, "cpp-sanitized" if sanitize else "cpp", make)
    if (folder / "missing").exists():
        pytest.skip((folder / "missing").read_text())
    return programs_in(folder)
