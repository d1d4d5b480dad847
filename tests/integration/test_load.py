"""One session, eight threads: every answer is that of the image alone, and nothing grows with the number of calls."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from bundles import make_bundle
from cpp_library import ENVIRONMENT, Programs, photo

THREADS: Final = 8
HOW_MANY: Final = [200, pytest.param(10_000, marks=pytest.mark.slow)]
GROWTH_BYTES: Final = 8 << 20
"""Of resident memory, from a tenth of the calls to their end: of the long run, 116 bytes a call."""

GROWTH_CPP_BYTES: Final = 16 << 20
"""In C++ 7.5 MB were added by 18,000 calls, and 8.1 MB by 72,000: they are not of the calls."""

PROGRAM: Final = Path(__file__).parents[1] / "load_runtime.py"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("load-bundle") / "bundle", crop_fraction=0.875)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, dice = tmp_path_factory.mktemp("load-images"), random.Random(11)
    return [photo(dice, folder / f"{index}.{'jpg' if index % 2 else 'png'}") for index in range(13)]


def told_by(*command: object, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout)
    print(told)
    return told


@pytest.mark.parametrize("calls", HOW_MANY)
@pytest.mark.parametrize(
    ("runtime", "mode"), [("openvino", "latency"), ("openvino", "throughput"), ("onnxruntime", "latency")]
)
def test_python(bundle: Path, images: list[Path], runtime: str, mode: str, calls: int) -> None:
    told = told_by(sys.executable, PROGRAM, bundle, runtime, mode, THREADS, calls, *images)
    assert (told["calls"], told["wrong"]) == (THREADS * calls, 0)
    assert told["counted"] == told["calls"] + len(images)
    assert told["end"]["bytes"] - told["warm"]["bytes"] < GROWTH_BYTES
    assert told["end"]["threads"] <= told["warm"]["threads"]
    assert told["end"]["files"] <= told["warm"]["files"]


@pytest.mark.parametrize("calls", HOW_MANY)
def test_cpp(programs: Programs, bundle: Path, images: list[Path], calls: int) -> None:
    told = told_by(programs.load, bundle, THREADS, calls, *images, **ENVIRONMENT)
    assert (told["calls"], told["wrong"]) == (THREADS * calls, 0)
    assert told["end_bytes"] - told["warm_bytes"] < GROWTH_CPP_BYTES
