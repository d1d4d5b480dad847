"""The command line as tests run it: a process of its own, and what it says with --json."""

from __future__ import annotations

import atexit
import json
import locale
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from fork_server import BEFORE_TESTS, ForkServer, Job, surroundings

from edgekit.build.lock import read_lock, to_yaml

Ran = subprocess.CompletedProcess[str]

READ_LATE = (
    *("EDGEKIT_", "XDG_", "HF_", "MLFLOW_", "RAY_", "PYTEST_", "POLYGRAPHY_"),
    *("DOCKER_CONFIG", "DO_NOT_TRACK", "NO_PROXY"),
    *("TMPDIR", "TEMP", "TMP", "PATH", "PWD", "OLDPWD", "CI", "NO_COLOR", "TERM", "COLUMNS", "LINES"),
    *("NNCF_CI", "ORT_DISABLE_TELEMETRY"),  # which edgekit sets itself before it loads what reads them
)
"""How variables begin that are read when they are needed, by what the fork server has not loaded. All others may decide
how Python or a library starts: a command with another value of one gets a fresh process."""


def run_edgekit(
    *arguments: object,
    timeout: float = 400,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: IO[Any] | None = None,
    fresh: bool = False,
) -> Ran:
    """Runs the command as users do, in a process of its own, to its end.

    Args:
        timeout: seconds, after which it is killed.
        env: its whole environment; that of the tests by default.
        fresh: it starts as users start it. Otherwise it may be a fork that has its libraries loaded, which is faster.
    """
    words = [str(each) for each in arguments]
    command = [sys.executable, "-m", "edgekit", *words]
    environment = _plain(os.environ if env is None else env)
    if fresh or not _forks_alike(environment):
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, env=environment, cwd=cwd, stdin=stdin
        )
    job = Job(words, environment, str(Path.cwd() if cwd is None else cwd.absolute()))
    ended = _started()[0].run(job, 0 if stdin is None else stdin.fileno(), timeout)
    if ended.code is None:
        raise subprocess.TimeoutExpired(command, timeout, ended.out, ended.err)
    return subprocess.CompletedProcess(command, ended.code, _text(ended.out), _text(ended.err))


@lru_cache(maxsize=1)
def _started() -> tuple[ForkServer, Mapping[str, str], str]:
    """The fork server of this process, and what it was started with."""
    before = _plain(BEFORE_TESTS or os.environ)
    server = ForkServer(before)
    atexit.register(server.close)
    return server, before, surroundings()


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what torch adds to that of the process in which tests run: no user has it, and after it no
    fork would be taken for what a fresh process is.
    """
    return {name: value for name, value in environment.items() if name != "TORCHINDUCTOR_CACHE_DIR"}


def for_another_pytest(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without options that are for the pytest that runs: its base folder is emptied by who starts with
    the same, and its report written over.
    """
    return {name: value for name, value in environment.items() if name != "PYTEST_ADDOPTS"}


def _forks_alike(environment: Mapping[str, str]) -> bool:
    """Whether a fork is what a fresh process would be: all that is looked at when one starts is the same."""
    _, before, inherited = _started()
    names = {name for name in {*before, *environment} if before.get(name) != environment.get(name)}
    return all(name.startswith(READ_LATE) for name in names) and surroundings() == inherited


def _text(written: bytes) -> str:
    """As subprocess reads text."""
    text = written.decode(locale.getpreferredencoding(False))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def with_int8(store: Path, bundle: Path, out: Path) -> dict[str, Any]:
    """Builds a bundle's network again with INT8 in it, whether or not that was measured to be the fastest; the report.

    What is tested of INT8 must not hang on a machine that runs BF16 as fast, or is busy with something else.
    """
    lock = read_lock(bundle / "recipe.lock.yaml").model_copy(update={"chosen": "int8"})
    path = out.with_suffix(".lock.yaml")
    path.write_text(to_yaml(lock))
    return json_of(store, "build", "--locked", str(path), "--out", str(out))


def json_of(store: Path, *arguments: str, fresh: bool = False) -> dict[str, Any]:
    """What a verb that succeeds says with --json; `store` keeps its stages."""
    answer = run_edgekit(*arguments, "--json", timeout=500, env=os.environ | {"EDGEKIT_CACHE": str(store)}, fresh=fresh)
    assert answer.returncode == 0, answer.stderr
    told: dict[str, Any] = json.loads(answer.stdout)
    return told
