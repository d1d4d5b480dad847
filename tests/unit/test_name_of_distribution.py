"""What pip calls this project, and that no text sends anybody to the package `edgekit`, which is somebody else's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edgekit
from edgekit.errors import install_hint

TOP = Path(__file__).parents[2]
FOLDERS = ("edgekit", "docs", "docker", "recipes", "calibration", "tests", ".lock", ".ci")
ENDINGS = frozenset({".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".sh", ".Dockerfile", ".j2", ".cpp", ".hpp", ""})
NOT_OURS = re.compile(r"edgekit\[[a-z,]+\]|pip3? (?:install|download)(?:\s+-\S+)*\s+['\"]?edgekit(?![\w./-])")


def texts() -> dict[str, str]:
    """Every text of the project, by its path from the top."""
    found = [path for path in TOP.iterdir() if path.is_file()]
    found += [path for folder in FOLDERS for path in (TOP / folder).rglob("*") if path.is_file()]
    return {
        str(path.relative_to(TOP)): path.read_text(encoding="utf-8", errors="replace")
        for path in found
        if path.suffix in ENDINGS and path != Path(__file__) and "__pycache__" not in path.parts
    }


def test_no_text_names_the_package_of_somebody_else() -> None:
    read = texts()
    assert {"README.md", "Makefile", "docker/cpu.Dockerfile", "edgekit/errors.py"} <= set(read)
    assert {path: found for path, text in read.items() if (found := NOT_OURS.findall(text))} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install 'edgekit[cpu]'", True),
        ("pip install edgekit", True),
        ("pip install -U edgekit torch", True),
        ("pip install --no-deps edgekit-0.2.0-py3-none-any.whl", False),
        ("pip install inception-edgekit", False),
        ("/opt/edgekit/bin/pip install -r x.txt", False),
        ("r'edgekit[\\w.]*'", False),
    ],
)
def test_such_a_text_is_seen(text: str, found: bool) -> None:
    assert bool(NOT_OURS.search(text)) is found


def test_the_name_is_our_own_and_told_once() -> None:
    told = (TOP / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'(?m)^name = "(.*)"$', told.split("[[tool", 1)[0]) == [edgekit.DISTRIBUTION]
    assert not edgekit.DISTRIBUTION.startswith("edgekit")
    assert 'edgekit = "edgekit.cli:main"' in told
    assert 'dynamic = ["version"]' in told
    assert f"## [{edgekit.__version__}]" in (TOP / "CHANGELOG.md").read_text(encoding="utf-8")


def test_a_hint_names_a_checkout_and_a_wheel() -> None:
    assert "'.[cpu,gpu]' in a checkout" in install_hint("cpu", "gpu")
    assert "'WHEEL[cpu,gpu]'" in install_hint("cpu", "gpu")
    assert "pip install '.' in a checkout" in install_hint()
