"""The C++ library built for tests, and what its programs say when they are asked."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
SOURCES = Path(__file__).parent / "integration" / "cpp"
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TBB_ENABLE_SANITIZERS": "1",  # oneTBB loads a library of its own in a way that AddressSanitizer refuses
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@dataclass(frozen=True)
class Programs:
    """Where the sample and the tests' own programs are."""

    classify: Path
    probe: Path
    load: Path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(self.classify), *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | ENVIRONMENT
        )

    def ask(self, requests: Sequence[bytes]) -> list[str | Pixels]:
        """The probe's answers: pixels (H, W, 3), or the line it says instead. It must end well."""
        done = subprocess.run(
            [str(self.probe)],
            input=b"".join(requests),
            capture_output=True,
            timeout=500,
            check=False,
            env=os.environ | ENVIRONMENT,
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
        answers = answers_in(done.stdout)
        assert len(answers) == len(requests)
        return answers


def answers_in(out: bytes) -> list[str | Pixels]:
    """What the probe wrote, taken apart."""
    answers: list[str | Pixels] = []
    at = 0
    while at < len(out):
        end = out.index(b"\n", at)
        line, at = out[at:end].decode(errors="replace"), end + 1
        words = line.split()
        if words[0] != "ok" or words[2] == "0":
            answers.append(line)
            continue
        width, height = int(words[1]), int(words[2])
        answers.append(np.frombuffer(out, np.uint8, width * height * 3, at).reshape(height, width, 3))
        at += width * height * 3
    return answers


def build(folder: Path, sanitize: bool) -> Programs | str:
    """Configures and builds everything in `folder`; a string says why it cannot be."""
    import openvino

    for needed in ("cmake", "c++"):
        if shutil.which(needed) is None:
            return f"there is no {needed} on this system"
    settings = [
        f"-DOpenVINO_DIR={Path(openvino.__path__[0]) / 'cmake'}",
        f"-DEDGEKIT_SANITIZE={'ON' if sanitize else 'OFF'}",
    ]
    settings += ["-DCMAKE_CXX_FLAGS=-Werror", f"-DCMAKE_CXX_FLAGS_RELEASE={'-O1' if sanitize else '-O2'}"]
    configured = _command("cmake", "-S", str(SOURCES), "-B", str(folder), *settings)
    if configured.returncode != 0:
        words = " ".join(configured.stderr.split())
        assert "not found" in words or "ould not find" in words.replace("NOT", "not"), words
        return f"a library of docs/cpp.md is missing on this system: {words[:300]}"
    built = _command("cmake", "--build", str(folder), "-j1")
    assert built.returncode == 0, built.stdout[-6000:] + built.stderr[-6000:]
    return programs_in(folder)


def programs_in(folder: Path) -> Programs:
    """Those that were built in a folder."""
    return Programs(folder / "edgekit" / "edgekit-classify", folder / "edgekit-probe", folder / "edgekit-load")


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=570, check=False)


def noise(dice: random.Random, width: int, height: int, channels: int = 3) -> Pixels:
    """Smooth patches with noise on them; sometimes only black and white, where filters overshoot."""
    made = np.random.Generator(np.random.PCG64(dice.randrange(1 << 30)))
    small = made.integers(0, 256, (max(1, height // 7), max(1, width // 7), channels), dtype=np.uint8)
    patches = np.stack(
        [np.asarray(Image.fromarray(small[..., i]).resize((width, height))) for i in range(channels)], -1
    )
    pixels = np.clip(patches + made.normal(0, 15, patches.shape), 0, 255).astype(np.uint8)
    return np.where(pixels > 127, 255, 0).astype(np.uint8) if dice.random() < 0.2 else pixels


def photo(dice: random.Random, path: Path) -> Path:
    """A JPEG or PNG of an odd size."""
    Image.fromarray(noise(dice, dice.randint(20, 150), dice.randint(20, 150))).save(path)
    return path
