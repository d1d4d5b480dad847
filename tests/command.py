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
