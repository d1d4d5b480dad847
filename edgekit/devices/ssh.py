"""One device over the system's OpenSSH: its configuration, agent, jump hosts and known hosts are the user's own.

Host keys are always checked, whatever the configuration says; nothing is ever asked on the terminal.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from edgekit.devices.registry import Device
from edgekit.errors import EdgekitError, UnavailableError
from edgekit.runtime import frames
from edgekit.runtime.frames import Header

OPTIONS: Final = (
    *("-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3", "-T"),
)
SSH_FAILED: Final = 255
SIGNALS: Final = 128
"""A shell's exit codes above this are of signals."""

MISSING: Final = 97
"""What the device's shell answers when the runtime is not there yet."""

ALIVE_SECONDS: Final = 10.0
ROOT: Final = '"${EDGEKIT_DEVICE_HOME:-$HOME/.cache/edgekit/device}"'


class DisconnectedError(UnavailableError):
    """The connection went away, or never came to be; trying again may help."""


class MissingRuntimeError(UnavailableError):
    """The device does not have edgekit's runtime yet."""


class DeviceError(UnavailableError):
    """The device answered with an error; `kind` is its class there."""

    def __init__(self, what: str, hint: str, kind: str) -> None:
        super().__init__(what, hint)
        self.kind = kind


class Talk:
    """One verb of the agent running on the device."""

    def __init__(self, device: Device, command: list[str]) -> None:
        self.device = device
        self._complaint = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._lock = threading.Lock()
        self._done = threading.Event()
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaint
            )
        except OSError as error:
            raise UnavailableError(f"ssh cannot be started: {error.strerror}", "Install OpenSSH's client.") from error
        threading.Thread(target=self._say_alive, daemon=True).start()

    def _say_alive(self) -> None:
        while not self._done.wait(ALIVE_SECONDS):
            try:
                self.send({"alive": True})
            except DisconnectedError:
                return

    def quiet(self) -> None:
        """No more signs of life: raw bytes follow."""
        self._done.set()

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Sends a frame.

        Raises:
            DisconnectedError: the connection is gone.
        """
        assert self._process.stdin is not None
        try:
            with self._lock:
                frames.send(self._process.stdin, header, payload)  # type: ignore[arg-type]  # it is a BinaryIO
        except OSError:
            raise self._failure() from None

    def write(self, data: bytes) -> None:
        """Sends raw bytes, after `quiet`.

        Raises:
            DisconnectedError: the connection is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            raise self._failure() from None

    def receive(self) -> tuple[Header, bytes]:
        """The next frame of the device.

        Raises:
            DisconnectedError: the connection is gone.
            DeviceError: it told of an error.
        """
        assert self._process.stdout is not None
        try:
            frame = frames.receive(self._process.stdout)  # type: ignore[arg-type]  # it is a BinaryIO
        except ValueError:
            frame = None
        if frame is None:
            raise self._failure()
        if "error" in frame[0]:
            raise _complaint(self.device, str(frame[0]["error"]), str(frame[0].get("kind")))
        return frame

    def _failure(self) -> EdgekitError:
        """Why the other side is silent, by ssh's own words."""
        try:
            code = self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._complaint.seek(0)
        return explain(self.device, code, self._complaint.read().decode(errors="replace"))

    def close(self) -> None:
        """Ends the connection; the agent ends itself when it sees that."""
        self._done.set()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._complaint.close()


@contextmanager
def understood(device: Device) -> Iterator[None]:
    """Around what takes a device's answer apart: whatever answers in its place may say anything.

    Raises:
        DeviceError: the answer makes no sense.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:  # pydantic's is a ValueError
        what = f"{device.name} answers what makes no sense: {' '.join(str(error).split())[:200]}"
        raise DeviceError(what, "Is it the device that you mean?", "answer") from error


class Connection:
    """How to run verbs on a device; each is a connection of its own, so threads may share one.

    Attributes:
        placed: folders that were put there already, by the digest of what is in them; see edgekit.devices.remote.place.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.placed: dict[str, str] = {}
        self._cancelled = threading.Event()

    def cancel(self) -> None:
        """No more connections: what is cut from now on stays cut."""
        self._cancelled.set()

    def wait(self, seconds: float) -> bool:
        """Waits before another try; False when there shall be none."""
        return not self._cancelled.wait(seconds)

    def command(self, script: str) -> list[str]:
        """The ssh command that runs a POSIX shell script there, whatever the login shell is."""
        device = self.device
        program = shlex.split(os.environ.get("EDGEKIT_SSH", "ssh"))
        where = [*(["-p", str(device.port)] if device.port else []), *(["-l", device.user] if device.user else [])]
        return [*program, *OPTIONS, *where, "--", device.host, f"exec sh -c {shlex.quote(script)}"]

    @contextmanager
    def talk(self, verb: str, header: Header, archive: str) -> Iterator[Talk]:
        """Runs a verb of the agent in the runtime `archive`, its first frame sent."""
        path = f"{ROOT}/runtime/{archive}"
        script = f"[ -f {path} ] || exit {MISSING}; PYTHONPATH={path} exec {shlex.quote(self.device.python)}"
        talk = Talk(self.device, self.command(f"{script} -u -m edgekit_runtime {verb}"))
        try:
            talk.send(header)
            yield talk
        finally:
            talk.close()

    def run(self, script: str, data: bytes) -> None:
        """Runs a shell script with `data` on its standard input.

        Raises:
            UnavailableError: it failed, or the device cannot be reached.
        """
        done = subprocess.run(self.command(script), input=data, capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise explain(self.device, done.returncode, done.stderr.decode(errors="replace"))


def _complaint(device: Device, error: str, kind: str) -> DeviceError:
    if kind == "disk-full":
        return DeviceError(
            f"the disk of {device.name} is full",
            f"`edgekit device probe {device.name}` tells how much is free.",
            "disk-full",
        )
    return DeviceError(f"{device.name}: {error}", "`edgekit device probe` says what is there.", kind)


def explain(device: Device, code: int, complaint: str) -> EdgekitError:
    """ssh's exit code and words as an error with a hint."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    last = lines[-1][:200] if lines else f"exit code {code}"
    if code == MISSING:
        return MissingRuntimeError(f"{device.name} has no runtime of edgekit's yet", "It is sent when needed.")
    for words, kind, what, hint in _OF_SSH if code == SSH_FAILED else _OF_DEVICE:
        if words in complaint:
            return kind(what.format(device.name, last), hint.format(device.host, device.python))
    if code in (SSH_FAILED, 0) or code < 0 or code > SIGNALS:
        return DisconnectedError(f"the connection to {device.name} was lost: {last}", "Run it again: it resumes.")
    return UnavailableError(f"{device.name} cannot run edgekit's runtime: {last}", "See `edgekit device probe`.")


Explanation = tuple[str, Callable[[str, str], EdgekitError], str, str]

_OF_SSH: Final[tuple[Explanation, ...]] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        UnavailableError,
        "the host key of {0} has changed: this may be another machine, or someone between you and it",
        "If the change is known, `ssh-keygen -R {0}` forgets the old key.",
    ),
    (
        "Host key verification failed",
        UnavailableError,
        "the host key of {0} is not known",
        "Connect once with `ssh {0}` and compare the fingerprint.",
    ),
    (
        "Permission denied",
        UnavailableError,
        "{0} refuses the login: {1}",
        "Set up a key: `ssh-copy-id {0}`; edgekit never asks for passwords.",
    ),
    ("Could not resolve hostname", UnavailableError, "the host of {0} is not known", "Check the name {0}."),
    ("Connection refused", DisconnectedError, "{0} refuses the connection: {1}", "Is sshd running on {0}?"),
    ("timed out", DisconnectedError, "{0} does not answer: {1}", "Is it on, and on this network?"),
    ("No route to host", DisconnectedError, "{0} cannot be reached: {1}", "Is it on, and on this network?"),
    ("Network is unreachable", DisconnectedError, "{0} cannot be reached: {1}", "Is this machine on the network?"),
)
"""What ssh says when it fails: what it means and what to do; the first that fits."""

_OF_DEVICE: Final[tuple[Explanation, ...]] = (
    ("No space left on device", UnavailableError, "the disk of {0} is full", "Free some space there."),
    (
        "Permission denied",
        UnavailableError,
        "{0} does not let edgekit write there: {1}",
        "Set EDGEKIT_DEVICE_HOME there to a folder that it may write.",
    ),
    (
        "not found",
        UnavailableError,
        "{0} has no such Python: {1}",
        "Give another with `edgekit device add --python` ({1}).",
    ),
)
"""The same for what the shell or Python there says."""
