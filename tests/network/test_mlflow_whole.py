"""Against `mlflow server` of the whole package, as people start it.

It is fetched into a folder of its own: it brings hundreds of megabytes, and another release of what the lock has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

import pytest
from mlflow_server import free_port, running
from package_index import CACHE
from tracked_bundles import reported

pytest.importorskip("mlflow")
pytestmark = pytest.mark.network

WHOLE: Final = "mlflow==3.17.2"


@pytest.fixture(scope="module")
def mlflow() -> Path:
    """The command of the whole package; skips where the index does not bring it."""
    place = CACHE / f"{WHOLE}-{sys.version_info[0]}.{sys.version_info[1]}"
    if not place.is_dir():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            made = Path(work) / "packages"
            venv.create(Path(work) / "pip", with_pip=True)
            pip = [str(Path(work) / "pip" / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
            ran = subprocess.run(
                [*pip, "install", "--target", made, WHOLE], capture_output=True, text=True, check=False
            )
            if ran.returncode:
                pytest.skip(f"the package index did not bring {WHOLE}: {ran.stderr.strip()[-200:]}")
            made.rename(place)
    return place


def test_a_run_on_the_server_that_people_start(mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, kept = free_port(), tmp_path / "kept"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{kept}/m.db", "--artifacts-destination", str(kept / "artifacts")]
    bundle = reported(tmp_path / "bundle")
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(mlflow))
        server = running(kept, command, port)
        there = server.__enter__()
    try:
        track = [
            sys.executable,
            "-m",
            "edgekit",
            "report",
            str(bundle),
            "--track",
            "mlflow",
            "--track-bundle",
            "--json",
        ]
        environment = os.environ | {"MLFLOW_TRACKING_URI": there.uri}
        ran = subprocess.run(track, capture_output=True, text=True, check=False, timeout=120, env=environment)
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        assert told["sent"] == len(list(bundle.iterdir()))
        (report,) = (kept / "artifacts").glob(f"*/{told['run_id']}/artifacts/report.json")
        assert report.read_bytes() == (bundle / "report.json").read_bytes()
    finally:
        server.__exit__(None, None, None)
