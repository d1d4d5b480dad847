"""Runs the command line in forks of a process that has its libraries loaded: tenths of a second to start, not seconds.

A fork behaves as `python -m edgekit` in a fresh process does. It has computed nothing, has no thread, no lock and no
open file of others, and gets the environment, folder, streams and arguments that are asked for; tests/integration/
test_fork_server.py compares the two. What libraries and Python look at while they are loaded is as it was when the
server was started: tests/command.py takes a fresh process where anything of that is different.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import json
import os
import random
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

LIBRARIES = (
    *("torch", "onnx", "onnxscript", "onnx_ir", "onnxruntime", "openvino", "nncf", "safetensors.torch"),
    *("torch._dynamo", "torch._inductor.utils", "torch.onnx._internal.exporter._core", "onnxscript.rewriter"),
    *("nncf.onnx.quantization.quantize_model", "nncf.torch", "pydantic", "yaml", "jinja2", "zoneinfo"),
)
"""What takes long to load. None of them starts a thread, and none reads what tests set, or it would not stand here."""
OWN = ("build", "bundle", "data", "devices", "models", "prune", "quantize", "report", "store", "targets", "validate")
"""Packages of edgekit that are loaded whole. What only their functions load, they load in the forks."""
PROGRAMS = ("edgekit.validate.latency_worker",)
"""Modules that are programs of their own, and set up the process which loads them."""
BEFORE_TESTS: dict[str, str] = {}
"""The environment when all tests were collected and none had run: what one of them sets must not stay in the server."""

LARGEST_JOB = 1 << 17
LONGEST_START_S = 300


@dataclass(frozen=True)
class Job:
    """One run of the command: the words after `edgekit`, all of the environment, and the folder that it runs in."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: str


class Ended(NamedTuple):
    """How a run ended (negative: by that signal; None: it took too long and was killed), and what it wrote."""

    code: int | None
    out: bytes
    err: bytes


# The side of the tests.


class ForkServer:
    """The process, started at once; it ends with the one that made it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, str(Path(__file__)), str(theirs.fileno())]
        # Pipes, as tests give their commands: Python asks when it starts whether its streams can seek.
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        self._control.settimeout(LONGEST_START_S)
        if self._control.recv(1) != b"r":
            raise RuntimeError(self._said())
        self._control.settimeout(None)

    def run(self, job: Job, stdin: int, timeout_s: float) -> Ended:
        """Runs a command to its end; several threads may do so at once.

        Args:
            stdin: a descriptor that becomes the command's standard input.
        """
        with contextlib.ExitStack() as stack:
            (out, out_end), (err, err_end), (told, told_end) = (_pipe(stack) for _ in range(3))
            message = json.dumps(asdict(job)).encode()
            socket.send_fds(self._control, [message], [stdin, out_end, err_end, told_end])
            for each in (out_end, err_end, told_end):
                os.close(each)
            child, _, rest = (os.read(told, 64) or self._fail()).partition(b"\n")
            read = {out: bytearray(), err: bytearray(), told: bytearray(rest)}
            if not _drain(read, time.monotonic() + timeout_s):
                os.kill(int(child), signal.SIGKILL)
                _drain({told: bytearray()}, time.monotonic() + LONGEST_START_S)
                return Ended(None, bytes(read[out]), bytes(read[err]))
            return Ended(int(read[told] or self._fail()), bytes(read[out]), bytes(read[err]))

    def close(self) -> None:
        """Ends the process; what it took is then counted as that of this one's children."""
        self._control.close()
        self._process.communicate(timeout=LONGEST_START_S)

    def _fail(self) -> bytes:
        raise RuntimeError(f"the fork server ended: {self._said()}")

    def _said(self) -> str:
        return self._process.communicate(timeout=LONGEST_START_S)[0].decode(errors="replace")


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    ours, theirs = os.pipe()
    stack.callback(os.close, ours)
    return ours, theirs


def _drain(read: Mapping[int, bytearray], until: float) -> bool:
    """Reads pipes until all are at their end; whether that came in time."""
    with selectors.DefaultSelector() as ready:
        for each in read:
            ready.register(each, selectors.EVENT_READ)
        while ready.get_map():
            if (left := until - time.monotonic()) <= 0:
                return False
            for key, _ in ready.select(left):
                piece = os.read(key.fd, 1 << 16)
                read[key.fd].extend(piece)
                if not piece:
                    ready.unregister(key.fd)
    return True


def surroundings() -> str:
    """What a process inherits from the one that starts it, beside environment, folder and streams."""
    status = Path("/proc/self/status").read_text().splitlines()
    names = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "CapEff", "NoNewPrivs", "Cpus_allowed")
    told = [line for line in status if line.partition(":")[0] in names]
    return "\n".join(
        [*told, *(Path(f"/proc/self/{each}").read_text() for each in ("limits", "cgroup", "oom_score_adj"))]
    )


# The side of the server.


def load() -> dict[str, str]:
    """Loads the libraries as edgekit does, and its own modules; the environment that they set while they are loaded."""
    import importlib
    import logging
    import pkgutil

    from edgekit.cli.process import torch_keeps_nothing
    from edgekit.runtime.quiet import no_telemetry

    no_telemetry()
    os.environ.setdefault("NNCF_CI", "1")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    before = dict(os.environ)
    with torch_keeps_nothing():
        for each in LIBRARIES:
            importlib.import_module(each)
    for each in ("edgekit.cli", *(f"edgekit.{name}" for name in OWN)):
        for found in pkgutil.iter_modules(importlib.import_module(each).__path__, f"{each}."):
            if found.name not in PROGRAMS:
                importlib.import_module(found.name)
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def serve(control: socket.socket) -> tuple[Job, list[int]] | None:
    """Forks a process for each job, and tells its number and how it ended.

    Returns:
        in a fork, its job and the descriptors that become its streams; in the server nothing, when no one asks more.
    """
    ready = selectors.PollSelector()  # no descriptor of its own, which forks would share
    ready.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.data is not None:
                child, reply = key.data
                ready.unregister(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                _tell(reply, code)
                os.close(reply)
                os.close(key.fd)
                continue
            message, given, *_ = socket.recv_fds(control, LARGEST_JOB, 4, socket.MSG_CMSG_CLOEXEC)
            if not message:
                return None
            *streams, reply = given
            child = os.fork()
            if child == 0:
                for other in ready.get_map().values():
                    os.close(other.fd)
                    if other.data is not None:
                        os.close(other.data[1])
                control.detach()
                os.close(reply)
                return Job(**json.loads(message)), streams
            for each in streams:
                os.close(each)
            _tell(reply, child)
            ready.register(os.pidfd_open(child), selectors.EVENT_READ, (child, reply))


def _tell(reply: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        os.write(reply, b"%d\n" % number)


def become(job: Job, streams: Sequence[int], set_by_libraries: Mapping[str, str]) -> None:
    """Makes a fork what `python -m edgekit` is before it reads its first line."""
    import numpy as np

    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update({**set_by_libraries, **job.environment})
    os.chdir(job.folder)
    time.tzset()
    tempfile.tempdir = None
    random.seed()
    np.random.seed()  # noqa: NPY002  # the generator that libraries use
    sys.stdin = sys.__stdin__ = _same_kind(sys.stdin)  # the other one knows whether the server's input can seek
    sys.path[0] = os.getcwd()
    sys.argv = ["-m", *job.words]


def _same_kind(stream: TextIO) -> TextIO:
    """A stream like the one that Python made when it started, of what is standard input now."""
    how = {name: getattr(stream, name) for name in ("encoding", "errors", "line_buffering", "write_through")}
    return io.TextIOWrapper(open(0, "rb", closefd=False), **how)


def main() -> None:
    """Loads, says so, and serves; a fork runs its command."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    set_by_libraries = load()
    if (first := os.fork()) == 0:
        os._exit(0)
    os.waitpid(first, 0)
    if len(threads := os.listdir("/proc/self/task")) > 1:  # those that mind forks, as OpenBLAS's do, ended at the first
        raise RuntimeError(f"{len(threads)} threads after loading: forks would lack what they hold")
    gc.collect()
    gc.freeze()  # forks need not look through, and so copy, what is never let go
    control.send(b"r")
    if (forked := serve(control)) is not None:
        become(*forked, set_by_libraries)
        end_with(run_command())


def run_command() -> int:
    """Runs the command; its exit code. What is no exit code, an exception or words, ends the process as it ends any."""
    try:
        runpy.run_module("edgekit", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is not None and not isinstance(ended.code, int):
            raise
        return ended.code or 0
    return 0


def end_with(code: int) -> NoReturn:
    """Does what Python does at the end, threads waited for, exit handlers called, streams written; not the half second
    of taking apart thousands of modules that a fork shares with the server.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)


if __name__ == "__main__":
    main()
