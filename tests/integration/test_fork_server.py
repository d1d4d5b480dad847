"""A fork of the fork server is what a fresh process is: a user's factory, imported by the command in both, tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import command
import pytest
from command import READ_LATE, run_edgekit

TELLS = """
import importlib, json, locale, logging, multiprocessing, os, random, signal, sys, tempfile, time, warnings

import numpy as np

from edgekit.runtime.quiet import no_telemetry
from fork_server import LIBRARIES

no_telemetry()
os.environ.setdefault("NNCF_CI", "1")
for each in LIBRARIES:
    importlib.import_module(each)
import torch


def make():
    main = sys.modules["__main__"]
    limits = open("/proc/self/limits").read()
    descriptors = {int(each): os.readlink(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{each}")}
    same = {
        "arguments": sys.argv, "path": sys.path, "flags": str(sys.flags), "warn": sys.warnoptions,
        "environment": dict(os.environ), "folder": os.getcwd(), "limits": limits,
        "main": [main.__name__, main.__spec__.name, main.__file__],
        "umask": os.umask(0o22), "group": os.getpgid(0), "session": os.getsid(0), "nice": os.nice(0),
        "cores": sorted(os.sched_getaffinity(0)), "mask": [int(each) for each in signal.pthread_sigmask(0, [])],
        "signals": {int(each): str(signal.getsignal(each)).split(" at ")[0] for each in signal.valid_signals()},
        "streams": [[each.encoding, each.errors, each.line_buffering, each.write_through, each.isatty(),
                     each.seekable()] for each in (sys.stdin, sys.stdout, sys.stderr)],
        "locale": [locale.getlocale(), locale.getpreferredencoding(False), sys.getfilesystemencoding()],
        "zone": time.tzname, "temporary": tempfile.gettempdir(), "descriptors": sorted(descriptors),
        "filters": sorted(map(str, warnings.filters)), "torch": [torch.initial_seed(), torch.get_num_threads()],
        "logging": {name: [logging.getLogger(name).level, len(logging.getLogger(name).handlers)]
                    for name in ("", "nncf", "torch", "onnxruntime")},
        "process": multiprocessing.current_process().name, "method": multiprocessing.get_start_method(True),
    }
    other = {"process": os.getpid(), "random": random.random(), "numpy": float(np.random.random()),
             "named": tempfile.mktemp(), "torch folder": same["environment"].pop("TORCHINDUCTOR_CACHE_DIR")}
    with open("told.json", "w") as file:
        json.dump([same, other], file)
    sys.exit("told")
"""


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A folder with a factory that tells of the process which it is called in."""
    (tmp_path / "telling.py").write_text(TELLS)
    (tmp_path / "fork_server.py").write_text((Path(__file__).parents[1] / "fork_server.py").read_text())
    return tmp_path


def told(folder: Path, fresh: bool, **more: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What should be the same in both kinds of processes, and what never is."""
    answer = run_edgekit(
        *("evaluate", "telling:make", "--data", "signs"), cwd=folder, env=os.environ | more, fresh=fresh
    )
    assert answer.returncode == 2, answer.stderr
    assert "telling:make raised SystemExit: told" in answer.stderr
    same, other = json.loads((folder / "told.json").read_text())
    return same, other


def test_a_fork_is_what_a_fresh_process_is(probe: Path) -> None:
    (probe / "for a while").mkdir()
    more = {"TMPDIR": str(probe / "for a while"), "EDGEKIT_CACHE": str(probe / "store")}
    fresh, of_fresh = told(probe, True, **more)
    fork, of_fork = told(probe, False, **more)
    assert fork == fresh
    again, of_again = told(probe, False, **more)
    assert again == fresh
    for name in of_fresh:
        assert len({of_fresh[name], of_fork[name], of_again[name]}) == 3, name


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The commands that were given to fresh processes; each counts, and runs."""
    command._started()
    found: list[Any] = []
    real = subprocess.run

    def run(words: Any, **more: Any) -> Any:
        found.append(words)
        return real(words, **more)

    monkeypatch.setattr(subprocess, "run", run)
    return found


def test_what_is_read_at_the_start_gets_a_fresh_process(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_edgekit("--version", env=os.environ | {"EDGEKIT_CACHE": "/nowhere"}).returncode == 0
    assert len(started) == 0
    for count, name in enumerate(("PYTHONPATH", "LC_ALL", "OMP_NUM_THREADS", "LD_PRELOAD", "NEW"), 1):
        assert not name.startswith(READ_LATE)
        run_edgekit("--version", env=os.environ | {name: os.environ.get(name, "") + ":"})
        assert len(started) == count
    monkeypatch.delenv("HOME", raising=False)
    assert run_edgekit("--version").returncode == 0
    assert len(started) == count + 1


def test_an_inherited_umask_and_an_ignored_signal_get_a_fresh_process(started: list[Any]) -> None:
    before = os.umask(0o77)
    try:
        assert run_edgekit("--version").returncode == 0
    finally:
        os.umask(before)
    assert len(started) == 1
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run_edgekit("--version").returncode == 0
    finally:
        signal.signal(signal.SIGHUP, handler)
    assert len(started) == 2


def test_streams_exit_codes_and_what_takes_too_long(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("import os, signal, time\ndef dies(): os.abort()\ndef waits(): time.sleep(60)\n")
    answer = run_edgekit("frobnicate")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("edgekit: error: Unknown verb 'frobnicate'")
    assert run_edgekit("--version").stdout.startswith("edgekit ")
    died = run_edgekit("evaluate", "nets:dies", "--data", "signs", cwd=tmp_path)
    assert died.returncode == -signal.SIGABRT
    with pytest.raises(subprocess.TimeoutExpired):
        run_edgekit("evaluate", "nets:waits", "--data", "signs", cwd=tmp_path, timeout=3)


def test_several_at_once(tmp_path: Path) -> None:
    found: dict[int, str] = {}

    def run(number: int) -> None:
        found[number] = run_edgekit("inspect", tmp_path / f"none-{number}").stderr

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert all(f"none-{number}" in found[number] for number in range(4))
