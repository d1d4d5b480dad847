"""The process that a verb runs in: how signals end it, what its streams can say, and the folders that it needs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
"""What Docker, Kubernetes, systemd, CI and a closed terminal stop a command with. By default no block ends in order."""

SAME_WISH_S: Final = 5.0
"""A signal so soon after another says nothing new: `timeout` sends two. A later one ends what puts things away, too."""

AGAIN_S: Final = 0.05
"""After which a signal comes again whose exception nobody could be given."""

TEMPORARY: Final = ("TMPDIR", "TEMP", "TMP")
"""The variables that name the folder of temporary files, in the order in which Python looks at them."""


TORCH_CACHE: Final = "TORCHINDUCTOR_CACHE_DIR"


class Ended(SystemExit):
    """A signal has ended the command: its blocks are left in order, and its exit code is 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number, self.name = number, signal.Signals(number).name


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP raise Ended in it; where they are ignored (nohup) they stay so.

    What a signal raises is passed over where Python cannot raise: in finalizers, and in what libraries in C++ call.
    Then the signal, Ctrl-C as well, comes once more a moment later.
    """
    last = -SAME_WISH_S
    again: list[threading.Timer] = []

    def end(number: int, frame: Any) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= SAME_WISH_S:
            raise Ended(number)

    def passed_over(lost: Any) -> None:
        nonlocal last
        if not issubclass(lost.exc_type, Ended | KeyboardInterrupt):
            others(lost)
            return
        number = lost.exc_value.number if isinstance(lost.exc_value, Ended) else signal.SIGINT
        last = -SAME_WISH_S
        again.append(threading.Timer(AGAIN_S, os.kill, (os.getpid(), number)))
        again[-1].daemon = True
        again[-1].start()

    taken, others = [], sys.unraisablehook
    if threading.current_thread() is threading.main_thread():  # elsewhere whoever called has signals in hand
        sys.unraisablehook = passed_over
        for each in SIGNALS:
            if signal.getsignal(each) is signal.SIG_DFL:
                signal.signal(each, end)
                taken.append(each)
    try:
        yield
    finally:
        for timer in again:
            timer.cancel()
        for each in taken:
            signal.signal(each, signal.SIG_DFL)
        if sys.unraisablehook is passed_over:
            sys.unraisablehook = others


def say_any_character() -> None:
    """Characters that a stream has no code for are written as escapes: a locale must not end a command.

    Such are the bars of tables where the locale is not UTF-8, and names of files that are not of its encoding.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def libraries_in_words() -> None:
    """What libraries log and warn of is cleaned as edgekit's own words are: they tell names of networks, too."""
    import logging
    import warnings

    from edgekit.file_names import readable

    def cleaned(text: str) -> str:
        return "\n".join(map(readable, text.split("\n")))

    class Cleaned(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return cleaned(super().format(record))

    formatted = warnings.formatwarning
    if formatted.__module__ == __name__:  # a program runs several verbs
        return

    def format_warning(*told: Any, **more: Any) -> str:
        return cleaned(formatted(*told, **more))

    if logging.lastResort is not None:  # what prints the records of libraries that have no handler
        logging.lastResort.setFormatter(Cleaned())
    warnings.formatwarning = format_warning


def prepare() -> str | None:
    """What a verb needs before it runs: a folder for temporary files where one is named, and a home.

    Returns:
        what the user should know, if anything.
    Raises:
        InputError: there is no such folder.
    """
    from edgekit.store.root import give_home

    libraries_in_words()
    check_temporary()
    made = give_home()
    if made is None:
        return None
    return f"this user has no home folder: what edgekit keeps is in {made}; set HOME or EDGEKIT_CACHE to keep it longer"


@contextmanager
def torch_keeps_nothing() -> Iterator[None]:
    """Gives torch a folder for what it compiles, and removes it: nothing is, but it makes one when it is imported."""
    import shutil
    import tempfile

    try:
        path = os.path.join(tempfile.gettempdir(), f"edgekit-torch-{os.urandom(8).hex()}")
    except OSError:  # there is no temporary folder, which whoever needs one will say
        path = ""
    if not path or os.environ.get(TORCH_CACHE):
        yield
        return
    os.environ[TORCH_CACHE] = path
    try:
        yield
    finally:
        os.environ.pop(TORCH_CACHE, None)
        shutil.rmtree(path, ignore_errors=True)


def check_temporary() -> None:
    """Whether the named folder of temporary files can be used: Python takes another one without a word.

    Raises:
        InputError: it cannot.
    """
    name = next((each for each in TEMPORARY if os.environ.get(each)), None)
    if name is None:
        return
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=os.environ[name]):
            return
    except OSError as error:
        from edgekit.errors import InputError

        what = f"no temporary file can be made in {os.environ[name]}, which {name} names: {error.strerror}"
        raise InputError(what, f"Set {name} to a folder that can be written.") from error
