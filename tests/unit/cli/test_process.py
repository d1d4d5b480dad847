"""The process of a verb: its temporary folder, its streams in any locale, and what it leaves of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.cli.process import TORCH_CACHE, torch_keeps_nothing

Edgekit = Callable[..., subprocess.CompletedProcess[str]]


def test_help_needs_no_home(edgekit: Edgekit, tmp_path: Path) -> None:
    """With a home that cannot be found: Python would say that it cannot, were it asked."""
    code = """
import os, pwd, sys
os.environ.pop("HOME", None)
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody
from edgekit.cli import main
main(["--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Verbs:" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["TMPDIR", "TEMP", "TMP"])
def test_a_temporary_folder_that_is_not_there(name: str, edgekit: Edgekit, tmp_path: Path) -> None:
    plain = {key: value for key, value in os.environ.items() if key not in ("TMPDIR", "TEMP", "TMP")}
    environment = plain | {name: str(tmp_path / "nowhere")}
    refused = edgekit("targets", env=environment)
    assert refused.returncode == 2
    assert refused.stderr == (
        f"edgekit: error: no temporary file can be made in {tmp_path}/nowhere, which {name} names: No such file or"
        f" directory. Set {name} to a folder that can be written.\n"
    )
    told = edgekit("doctor", env=environment)
    assert (told.returncode, told.stderr) == (0, "")
    assert f"which {name} names: No such file" in told.stdout
    assert edgekit("build", "--help", env=environment).returncode == 0


def test_no_temporary_folder_at_all_is_no_fault_of_edgekit() -> None:
    from edgekit.cli import failure

    code, line = failure(FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/']"))
    assert code == 2
    assert "Set TMPDIR" in line


PRINTS = """
from edgekit.cli.process import say_any_character
from edgekit.cli.output import emit_json, print_table
say_any_character()
name = b"caf\\xc3\\xa9-\\xff.png".decode("utf-8", "surrogateescape")
print_table(("image", "bars"), [(name, "\\u2581\\u2582")])
emit_json({"image": name, "bars": "\\u2581"})
"""


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C.UTF-8"},
    ],
    ids=lambda each: "-".join(each.values()),
)
def test_any_character_can_be_said_in_any_locale(locale: dict[str, str]) -> None:
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))}
    done = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, timeout=60, env=plain | locale)
    assert done.returncode == 0, done.stderr
    table, _, told = done.stdout.decode("latin-1").partition("{")
    assert "png" in table
    encoding = "utf-8" if not locale.get("PYTHONIOENCODING", "").startswith("latin") else "latin-1"
    read = json.loads(("{" + told).encode("latin-1").decode(encoding))
    assert read["bars"] == "\u2581"
    assert read["image"].startswith("caf\u00e9-")


def test_what_torch_makes_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(TORCH_CACHE, raising=False)
    with torch_keeps_nothing():
        made = Path(os.environ[TORCH_CACHE])
        made.mkdir()
    assert not made.exists()
    assert TORCH_CACHE not in os.environ
    monkeypatch.setenv(TORCH_CACHE, str(tmp_path))
    with torch_keeps_nothing():
        assert os.environ[TORCH_CACHE] == str(tmp_path)
    assert tmp_path.exists()
