"""Processes that edgekit starts import nothing from the folder that a user works in, whatever lies there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit.runtime.probe import _version
from edgekit.training.apart import apart
from edgekit.validate.own_process import module_command


@pytest.fixture(autouse=True)
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user stands in a folder with files that are called as modules of Python are."""
    for name in ("runpy", "pickle", "argparse", "json", "struct", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from where the user stands')\n")
    monkeypatch.chdir(tmp_path)


def test_a_module_that_is_run() -> None:
    done = subprocess.run(module_command("json.tool", "--compact"), input="[1, 2]", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1,2]\n", "")


def test_work_that_is_done_apart() -> None:
    assert apart("operator:is_", ("a",), lambda: None) is False


def test_a_version_that_is_looked_up() -> None:
    import numpy

    assert _version("numpy") == numpy.__version__
