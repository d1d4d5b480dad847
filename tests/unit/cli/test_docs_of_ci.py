"""docs/ci.md: its commands are those of the verbs, and comparisons do what the page says."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from compared import with_answers

from edgekit.cli import group

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "ci.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """Every command of edgekit on the page, as words."""
    lines = [line.strip().removeprefix("- run: ") for line in PAGE.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("edgekit ")]


def test_every_option_is_there() -> None:
    assert {each[0] for each in commands()} == {"compare", "build"}
    assert len(commands()) >= 6
    for verb, *arguments in commands():
        found = group.get_command(click.Context(group), verb)
        assert found is not None
        found.make_context(verb, list(arguments))  # a usage error for what there is not


@pytest.mark.parametrize("words", [each for each in commands() if each[0] == "compare"], ids=" ".join)
def test_comparisons_run(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build").mkdir()
    right = np.arange(500) < 480
    for name in ("old", "new"):
        with_answers(tmp_path / "build" / name, right)
    if "--remeasure" in words:  # that bundles are timed is tested of the verb; how long they take is no test
        at = words.index("--max-latency")
        words = [each for each in [*words[:at], *words[at + 2 :]] if each != "--remeasure"]
    ran = CliRunner().invoke(group, words, standalone_mode=False)
    assert ran.exception is None, ran.output
    assert ran.return_value == 0, ran.output
    if "--markdown" in words:
        assert (tmp_path / "compare.md").read_text(encoding="utf-8").startswith("## edgekit compare")
        assert (tmp_path / "gates.xml").read_text(encoding="utf-8").startswith("<?xml")


def test_the_workflow_is_one() -> None:
    told: dict[Any, Any] = yaml.safe_load(PAGE.split("```yaml\n")[1].split("```")[0])
    steps = told["jobs"]["build"]["steps"]
    assert all(("run" in each) != ("uses" in each) for each in steps)
    assert told["permissions"]["pull-requests"] == "write"
