"""The command line as tests run it: a process of its own, and what it says with --json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def json_of(store: Path, *arguments: str) -> dict[str, Any]:
    """What a verb that succeeds says with --json; `store` keeps its stages."""
    answer = subprocess.run(
        [sys.executable, "-m", "edgekit", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=os.environ | {"EDGEKIT_CACHE": str(store)},
    )
    assert answer.returncode == 0, answer.stderr
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


def chosen(report: dict[str, Any], asked: str) -> dict[str, Any]:
    """The variant in the bundle: what was asked for, or, where it could not be told to be faster, what it is beaten by.

    How fast INT8 is beside BF16 is the processor's affair, and how well that can be told the machine's quiet.
    """
    variants = {each["name"]: each for each in report["variants"]}
    if report["chosen"] != asked:
        assert variants[asked]["beaten_by"] in variants, variants[asked]["reason"]
        assert variants[asked]["ratios"], "it was compared"
    return variants[report["chosen"]]
