"""A real sshd on loopback that plays the device, with keys and known hosts of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running sshd.

    Attributes:
        folder: of its keys and the client's configuration; home: what the device keeps edgekit's files in.
    """

    folder: Path
    home: Path
    port: int
    process: subprocess.Popen[bytes]
    address: str = "127.0.0.1"

    @property
    def ssh(self) -> str:
        """What EDGEKIT_SSH must be to reach it."""
        return f"ssh -F {self.folder}/config"

    @property
    def log(self) -> str:
        """What sshd said."""
        return (self.folder / "sshd.log").read_text(errors="replace")

    def trust(self, key: Path | None = None, port: int | None = None) -> None:
        """Writes known_hosts with a host key, its own by default."""
        text = (key or self.folder / "host.pub").read_text().split()
        (self.folder / "known_hosts").write_text(f"[{self.address}]:{port or self.port} {text[0]} {text[1]}\n")

    def agents(self) -> list[str]:
        """Command lines of agents that run for this server's device."""
        mine = f"EDGEKIT_DEVICE_HOME={self.home}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    mine in (process / "environ").read_bytes()
                    and b"edgekit_runtime" in (process / "cmdline").read_bytes()
                ):
                    found.append(
                        (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                        + " <- "
                        + (process / "stat").read_text()
                    )
            except OSError:
                continue
        return found


def keygen(path: Path) -> None:
    """Makes a key pair without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def start(folder: Path, home: Path, address: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> Server:
    """Starts sshd for the current user, and writes a client configuration that reaches it."""
    folder.mkdir(parents=True, exist_ok=True)
    keygen(folder / "host")
    keygen(folder / "client")
    (folder / "authorized_keys").write_text((folder / "client.pub").read_text())
    port = free_port()
    Path("/run/sshd").mkdir(parents=True, exist_ok=True)
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress {address}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n"
        f"SetEnv EDGEKIT_DEVICE_HOME={home}\n"
    )
    (folder / "config").write_text(
        f"Host *\n  IdentityFile {folder}/client\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known_hosts\n"
        "  GlobalKnownHostsFile /dev/null\n"
    )
    command = [*prefix, SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
    server = Server(folder, home, port, process, address)
    server.trust()
    until = time.monotonic() + 10
    while "listening on" not in server.log:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"sshd did not start: {server.log}")
        time.sleep(0.05)
    return server


class CuttingProxy:
    """A TCP proxy that drops each of the first connections in `cuts` after so many bytes to the server."""

    def __init__(self, port: int, cuts: list[int]) -> None:
        self._target, self._cuts = port, list(cuts)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self.dropped = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            limit = self._cuts.pop(0) if self._cuts else None
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pass_on, args=(client, server, limit), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket, limit: int | None) -> None:
        with client, server:
            back = threading.Thread(target=self._pump, args=(server, client, None), daemon=True)
            back.start()
            self._pump(client, server, limit)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        try:
            while data := source.recv(65536):
                sink.sendall(data)
                passed += len(data)
                if most is not None and passed >= most:
                    self.dropped += 1
                    break
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def close(self) -> None:
        """Listens no more."""
        self._listener.close()


def can_make_namespaces() -> bool:
    """Whether network namespaces can be made here."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    made = subprocess.run(["ip", "netns", "add", "edgekit-try"], capture_output=True, check=False).returncode == 0
    subprocess.run(["ip", "netns", "del", "edgekit-try"], capture_output=True, check=False)
    return made
