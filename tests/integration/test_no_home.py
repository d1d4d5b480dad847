"""Users without a home and without a name, as containers and services have them: commands run as one of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import edgekit

NOBODY = 54321
"""No entry of the password file has this number."""

LEAST = "latency: {runs: 30, max_seconds: 0.1}\n"
Make = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of that user, in which it works; its temporary folder is t."""
    can = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    if os.getuid() != 0 or shutil.which("setpriv") is None or as_nobody(["true"], tmp_path, {}, can).returncode != 0:
        pytest.skip("no other user can be taken here")
    made = tmp_path / "place"
    (made / "t").mkdir(parents=True)
    for path in (made, made / "t"):
        os.chown(path, NOBODY, NOBODY)
    return made


def as_nobody(
    command: list[str], folder: Path, environment: Mapping[str, str], rights: list[str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command as a user without a name; it may read what root can, since this Python may lie in root's home."""
    rights = rights or ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *rights]
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(edgekit.__file__).parents[1])}
    return subprocess.run(
        [*user, *command], cwd=folder, env=plain | dict(environment), capture_output=True, text=True, timeout=300
    )


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return as_nobody(
        [sys.executable, "-m", "edgekit", *arguments], folder, {"TMPDIR": str(folder / "t"), **environment}
    )


def left(folder: Path) -> set[str]:
    """What lies in the folder, and in its temporary one."""
    return {path.name for path in folder.iterdir()} | {f"t/{path.name}" for path in (folder / "t").iterdir()}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["build", "--help"], ["targets"], ["device", "list"]])
def test_what_needs_no_home_runs(arguments: list[str], place: Path) -> None:
    for own in ({}, {"EDGEKIT_CACHE": str(place / "cache")}):
        done = run(place, *arguments, **own)
        assert done.returncode == 0, done.stderr
    assert left(place) <= {"t", f"t/edgekit-{NOBODY}"}


def test_doctor_says_where_the_cache_is(place: Path) -> None:
    done = run(place, "doctor", "--json", EDGEKIT_CACHE=str(place / "cache"))
    assert (done.returncode, done.stderr) == (0, "")
    assert str(place / "cache") in done.stdout
    assert left(place) == {"t"}
    assert f"t/edgekit-{NOBODY}" in run(place, "doctor").stdout


@pytest.mark.parametrize("named", [True, False])
def test_a_build_and_a_run(named: bool, place: Path, tiny_onnx: Make, photos: Make) -> None:
    (place / "least.yaml").write_text(LEAST)
    own = {"EDGEKIT_CACHE": str(place / "cache")} if named else {}
    arguments = ["--model", str(tiny_onnx()), "--data", str(photos()), "--prune", "none", "--recipe", "least.yaml"]
    built = run(place, "build", *arguments, "--out", "out", **own)
    assert built.returncode == 0, built.stderr
    assert ("has no home folder" in built.stderr) is not named
    picture = next(photos("more").rglob("*.png"))
    for command in (["run", "out", str(picture)], ["verify", "out"]):
        done = run(place, *command, **own)
        assert done.returncode == 0, done.stderr
    archive = as_nobody([sys.executable, "out/edgekit_runtime.pyz", "verify", "out"], place, own)
    assert archive.returncode == 0, archive.stderr
    assert left(place) == {"t", "least.yaml", "out", "cache" if named else f"t/edgekit-{NOBODY}"}


def test_a_temporary_folder_of_somebody_else_is_not_used(place: Path) -> None:
    (place / "t" / f"edgekit-{NOBODY}").mkdir()  # root's
    done = run(place, "cache", "ls")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "Set HOME, or EDGEKIT_CACHE" in done.stderr
    told = run(place, "doctor")
    assert told.returncode == 0
    assert "Set HOME, or EDGEKIT_CACHE" in told.stdout


def test_a_home_that_cannot_be_written(place: Path, tiny_onnx: Make, photos: Make) -> None:
    """As /nonexistent is, which services have for a home."""
    arguments = ["build", "--model", str(tiny_onnx()), "--data", str(photos()), "--prune", "none"]
    done = run(place, *arguments, HOME="/nonexistent")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("Set EDGEKIT_CACHE to another folder.")
