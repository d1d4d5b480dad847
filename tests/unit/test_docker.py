"""Container files: linted, pinned, nobody is root, and what runs a bundle looks after it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).resolve().parents[2] / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))


def final_stages(path: Path) -> dict[str, str]:
    """The stages that nothing else is made from or copied from, by name: what people build."""
    text = path.read_text()
    parts = re.split(r"^FROM (\S+) AS (\S+)$", text, flags=re.MULTILINE)[1:]
    stages = {parts[i + 1]: (parts[i], parts[i + 2]) for i in range(0, len(parts), 3)}
    used = {base for base, _ in stages.values()} | set(re.findall(r"--from=(\S+)", text))
    return {name: body for name, (_, body) in stages.items() if name not in used}


def test_there_is_one_for_each_kind_of_machine() -> None:
    assert [path.name for path in FILES] == ["cpu.Dockerfile", "gpu.Dockerfile", "jetson.Dockerfile"]
    wanted = {"cpu": {"build", "runtime", "serve"}, "gpu": {"build", "runtime"}, "jetson": {"runtime"}}
    assert {path.name.partition(".")[0]: set(final_stages(path)) for path in FILES} == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    tool = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if tool is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([tool, "--no-color", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bases_are_pinned_and_nobody_is_root(path: Path) -> None:
    for base in re.findall(r"^ARG (?:PYTHON|TENSORRT|CUDA|BASE)=(\S+)$", path.read_text(), re.MULTILINE):
        assert re.search(r":[a-z]?\d+\.\d+", base), base
    for name, body in final_stages(path).items():
        assert re.search(r"^USER 1000:1000$", body, re.MULTILINE), name
        assert ("HEALTHCHECK" in body) == (name != "build")


def test_the_arm64_root_says_what_is_wrong_before_it_makes_anything(tmp_path: Path) -> None:
    """That it makes a root that works is in tests/network/test_arm_emulation.py."""

    def run(*options: str, **environment: str) -> tuple[int, str]:
        command = ["sh", str(DOCKER / "arm64-root.sh"), *options]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
        return ran.returncode, ran.stderr

    assert run("--rood", "x")[0] == 2
    assert run("--root")[0] == 2
    code, said = run("--root", str(tmp_path / "none"), PYTHON="/no/python")
    assert code == 4
    # On a system without apt-get that is missed first.
    assert "set PYTHON" in said or "is missing" in said
    assert not (tmp_path / "none").exists()


def test_what_is_copied_is_there() -> None:
    for path in FILES:
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", path.read_text(), re.MULTILINE):
            for source in sources.split():
                assert source.startswith("${BUNDLE}") or list(DOCKER.parent.glob(source)), source
