"""What tests of networks from the package index share: a few pictures, short timing, and timm beside a torch without
torchvision.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from build_answer import Answer, Build
from package_index import Package, unpacked
from PIL import Image

TIMM: Final[Package] = (
    "timm==1.0.31",
    "timm-1.0.31-py3-none-any.whl",
    "5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
)
ANY_NAME: Final = """
def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return type(name, (), {})
"""
"""A module that has every name, each a class that does nothing: timm imports them and a build calls none."""

INTERPOLATION: Final = """
import enum


class InterpolationMode(enum.Enum):
    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"
"""
TORCHVISION: Final = {
    "__init__.py": "",
    "datasets/__init__.py": ANY_NAME,
    "ops/__init__.py": "",
    "ops/misc.py": ANY_NAME,
    "transforms/__init__.py": ANY_NAME,
    "transforms/functional.py": INTERPOLATION,
}
"""What timm imports of torchvision, which cannot stand beside a torch that is built for processors alone."""


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 pictures of coarse patches, 96x128."""
    folder, dice = tmp_path_factory.mktemp("few"), np.random.Generator(np.random.PCG64(2))
    for place in range(36):
        coarse = Image.fromarray(dice.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        coarse.resize((128, 96), Image.Resampling.BICUBIC).save(folder / f"{place}.png")
    return folder


@pytest.fixture(scope="session")
def timm_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PYTHONPATH with timm, and with what it imports of torchvision."""
    stand_in = tmp_path_factory.mktemp("beside")
    for name, code in TORCHVISION.items():
        path = stand_in / "torchvision" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    kept = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return os.pathsep.join([*kept, str(unpacked(TIMM)), str(stand_in)])


@pytest.fixture
def build(shared_store: Path, tmp_path: Path) -> Build:
    """Runs `edgekit build`, its timing short."""
    quick = tmp_path / "quick.yaml"
    quick.write_text("latency: {runs: 10, max_seconds: 0.1}\n")

    def run(*arguments: object, path: str | None = None) -> Answer:
        command = [sys.executable, "-m", "edgekit", "build", *map(str, arguments)]
        more = ["--recipe", str(quick), "--json", "--out", str(tmp_path / "out")]
        given = os.environ if path is None else os.environ | {"PYTHONPATH": path}
        ran = subprocess.run([*command, *more], capture_output=True, text=True, timeout=550, check=False, env=given)
        lines = ran.stderr.splitlines()
        return Answer(ran.returncode, lines[-1] if lines else "", json.loads(ran.stdout) if ran.stdout else None)

    return run
