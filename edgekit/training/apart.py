"""Work in a process of its own, so that what ends the process does not end whoever waits for the work.

The libraries that train compute in native code, and on some processors a kernel of theirs ends the process. The child
is a fresh interpreter (nothing is forked: threads of such libraries do not outlive that), tells its progress as it
goes, and ends with its parent, whatever ends that one.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from edgekit.errors import EdgekitError
from edgekit.training.failure import TrainingFailed

Tell: TypeAlias = Callable[..., None]
"""Hears of progress, with whatever arguments the work tells it."""

BEGIN: Final = (
    "import sys; sys.path[:] = filter(None, sys.path); import pickle; sys.path[:] = pickle.load(sys.stdin.buffer);"
    " from edgekit.training.apart import serve; serve()"
)
"""Nothing is imported from the folder that the user stands in, where `-c` would look before all others."""


def apart(work: str, arguments: tuple[Any, ...], tell: Tell) -> Any:
    """What a function gives for some arguments and a `tell`, computed by a process of its own.

    Args:
        work: `module:function`; it, the arguments and the result go through pickle.
        tell: hears what the work tells, in this process.
    Raises:
        TrainingFailed: a signal ended the process.
        Exception: what the work raised, as it was.
    """
    with _child() as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # why it ended is told below
            for each in (sys.path, (work, arguments)):
                pickle.dump(each, child.stdin)
            child.stdin.flush()
        for kind, told in _messages(child.stdout):
            if kind == "tell":
                tell(*told)
            elif kind == "made":
                return told
            elif kind == "expected":
                error, what, hint = told
                raise error(what, hint)
            else:
                raise told
        raise _ended(_code(child.pid))


@contextmanager
def _child() -> Iterator[subprocess.Popen[bytes]]:
    """A fresh interpreter with its own group of processes, which is gone afterwards."""
    command = [sys.executable, "-c", BEGIN]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    watch = threading.Thread(target=_end_group_after, args=(child.pid,), daemon=True)
    try:
        watch.start()
        yield child
    finally:
        _end_group(child.pid)
        if watch.ident is not None:
            watch.join()
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                assert pipe is not None
                pipe.close()
        child.wait()


def _code(pid: int) -> int:
    """How a process ended, when it has: its exit code, or the signal's number below 0. Its own number stays taken."""
    how = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert how is not None
    return how.si_status if how.si_code == os.CLD_EXITED else -how.si_status


def _end_group_after(pid: int) -> None:
    """Ends what a process leaves behind when it ends: its own children hold the pipe open that its parent reads."""
    _code(pid)
    _end_group(pid)


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _messages(pipe: Any) -> Iterator[tuple[str, Any]]:
    """What a child sends, until it ends."""
    while True:
        try:
            yield pickle.load(pipe)
        except (EOFError, pickle.UnpicklingError):  # it ended, maybe in the middle of a message
            return


def _ended(code: int) -> TrainingFailed:
    if code >= 0:
        return TrainingFailed(f"training ended with exit code {code}", "See what it wrote above.")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"number {-code}"
    why = "A lack of memory can be why." if name == "SIGKILL" else "torch's kernels do not run it on this processor."
    return TrainingFailed(f"training was ended by signal {name}", why)


def serve() -> None:
    """The child's side: does one piece of work that comes through standard input, and leaves."""
    work, arguments = pickle.load(sys.stdin.buffer)
    sending, parent = os.fdopen(os.dup(1), "wb"), os.dup(0)
    os.dup2(2, 1)  # what the work prints is for people
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # processes that are forked close standard input: nobody may hold it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for the work is interrupted, and ends it
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    lock = threading.Lock()

    def send(kind: str, told: Any) -> None:
        with lock:
            sending.write(_pickled(kind, told))
            sending.flush()

    module, _, name = work.partition(":")
    try:
        __import__(module)
        made = getattr(sys.modules[module], name)(*arguments, lambda *told: send("tell", told))
        send("made", made)
    except EdgekitError as error:
        send("expected", (type(error), error.what, error.hint))
    except Exception as error:  # the parent says of it what it would say of its own
        send("raised", error)
    sending.close()
    os._exit(0)  # nothing of the libraries' own endings may spoil what is done


def _pickled(kind: str, told: Any) -> bytes:
    try:
        made = pickle.dumps((kind, told))
        pickle.loads(made)  # some errors can be written and not read
    except Exception:  # what a class of any library raises when it is written or read
        return pickle.dumps((kind, RuntimeError(f"{type(told).__name__}: {told}")))
    return made


def _end_with_parent(pipe: int) -> None:
    """Standard input ends when the parent does: then this process goes, and all that it started."""
    os.read(pipe, 1)
    os.killpg(os.getpgrp(), signal.SIGKILL)
