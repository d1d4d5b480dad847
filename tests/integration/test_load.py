"""One session, eight threads: every answer is that of the image alone, and nothing grows with the number of calls."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from bundles import make_bundle
from cpp_library import ENVIRONMENT, Programs, photo

THREADS: Final = 8
HOW_MANY: Final = [200, pytest.param(10_000, marks=pytest.mark.slow)]
GROWTH_BYTES: Final = 8 << 20
"""Of resident memory, from a tenth of the calls to their end: of the long run, 116 bytes a call."""

GROWTH_CPP_BYTES: Final = 2 << 20
"""In C++ 43,200 calls beside two busy loops added 12 kB."""

BUSY_CALLS: Final = 1_000
GROWTH_BUSY_BYTES: Final = 2 << 20
"""Tasks of threads whose workers came late were never freed, 600 to 700 bytes of each call: 5 MB of these calls."""

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


@pytest.fixture
def busy() -> Iterator[None]:
    """Every core has something else to do."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for each in loops:
            each.kill()
            each.wait()


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


@pytest.mark.usefixtures("busy")
def test_python_beside_busy_cores(bundle: Path, images: list[Path]) -> None:
    told = told_by(sys.executable, PROGRAM, bundle, "openvino", "latency", THREADS, BUSY_CALLS, *images, **ENVIRONMENT)
    assert (told["calls"], told["wrong"]) == (THREADS * BUSY_CALLS, 0)
    assert told["end"]["bytes"] - told["warm"]["bytes"] < GROWTH_BUSY_BYTES


@pytest.mark.usefixtures("busy")
def test_cpp_beside_busy_cores(programs: Programs, bundle: Path, images: list[Path]) -> None:
    told = told_by(programs.load, bundle, THREADS, BUSY_CALLS, *images, **ENVIRONMENT)
    assert (told["calls"], told["wrong"]) == (THREADS * BUSY_CALLS, 0)
    assert told["end_bytes"] - told["warm_bytes"] < GROWTH_BUSY_BYTES
