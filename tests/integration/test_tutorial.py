"""docs/tutorial.md from its first line to its last: its files are written, its Python and its commands are run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from doc_tutorial import steps
from ssh_server import Server

FEWER = ("range(count)", "range(count // 2)")
"""Half of the pictures, so that it takes minutes; all else is as the page has it, but for what is timed for long."""
SHORT = {"size: 203, images: 960": "size: 107, images: 96", "size: 299, images: 480": "size: 139, images: 64"}
QUICK = "latency: {runs: 30, max_seconds: 0.1}\n"


@pytest.mark.slow
def test_all_of_it_in_its_order(server: Server, tmp_path: Path, shared_store: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    address = f"ssh://{server.address}:{server.port}"
    counts = dict.fromkeys(("file", "python", "command", "output"), 0)
    for step in steps():
        counts[step.kind] += 1
        if step.kind == "file":
            text = step.text
            for told, instead in SHORT.items():
                text = text.replace(told, instead)
            (work / step.words[0]).write_text(text + (QUICK if step.words[0] == "recipe.yaml" else ""))
        elif step.kind == "python":
            done = ran([sys.executable, "-c", step.text.replace(*FEWER)], work)
            assert done.returncode == 0, done.stderr
        elif step.kind == "command":
            words = [address if word.startswith("ssh://") else word for word in step.words[1:]]
            more = ["--python", sys.executable] if words[:2] == ["device", "add"] else []
            done = ran([sys.executable, "-m", "edgekit", *words, *more], work)
            assert done.returncode == 0, f"{step.text}\n{done.stdout}\n{done.stderr}"
    assert counts == {"file": 2, "python": 4, "command": 17, "output": 8}
    assert (work / "build" / "new" / "manifest.json").is_file()
    assert (work / "gates.xml").is_file()


def ran(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A command, run to its end in a folder."""
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
