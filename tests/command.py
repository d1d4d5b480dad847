"""The command line as tests run it: a process of its own, and what it says with --json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgekit.build.lock import read_lock, to_yaml


def with_int8(store: Path, bundle: Path, out: Path) -> dict[str, Any]:
    """Builds a bundle's network again with INT8 in it, whether or not that was measured to be the fastest; the report.

    What is tested of INT8 must not hang on a machine that runs BF16 as fast, or is busy with something else.
    """
    lock = read_lock(bundle / "recipe.lock.yaml").model_copy(update={"chosen": "int8"})
    path = out.with_suffix(".lock.yaml")
    path.write_text(to_yaml(lock))
    return json_of(store, "build", "--locked", str(path), "--out", str(out))


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
