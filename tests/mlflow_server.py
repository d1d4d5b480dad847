"""A real MLflow tracking server for tests: the request handlers, database and artifact store of the package itself.

`mlflow server` of the whole package starts more (jobs, an assistant), which no test here needs; a test that fetches the
whole package starts that.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVE = """
import sys
from mlflow.server import app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""
PATIENCE_S = 60


@dataclass(frozen=True)
class Server:
    """Where it is; `log` has a line for each request."""

    uri: str
    log: Path

    def requests(self) -> list[str]:
        """Method and path of each request, but for those that ask whether it is up."""
        lines = (line.split('"')[1] for line in self.log.read_text().splitlines() if line.count('"') >= 2)
        return [" ".join(line.split()[:2]) for line in lines if "/health" not in line]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(folder: Path, command: list[str] | None = None, port: int | None = None) -> Iterator[Server]:
    """A server that keeps everything in a folder, for as long as the block runs.

    Args:
        command: that starts one at `port` instead; what is kept where is told by the environment.
    """
    folder.mkdir(exist_ok=True)
    port = port or free_port()
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    }
    log = folder / "log"
    with log.open("wb") as into:
        process = subprocess.Popen(
            command or [sys.executable, "-c", SERVE, str(port)], stdout=into, stderr=into, env=environment, cwd=folder
        )
    try:
        wait(f"http://127.0.0.1:{port}/health", process, log)
        yield Server(f"http://127.0.0.1:{port}", log)
    finally:
        process.terminate()
        process.wait(30)


def wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"the server did not come up: {log.read_text()[-2000:]}")
