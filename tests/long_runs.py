"""What edgekit holds while it runs for long: builds in one process, and the memory of a command and all that it starts.

python tests/long_runs.py BUILDS FOLDER    # builds a small network so often, a line of JSON after each
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from classifiers import PLAIN, Graph, balanced, labelled_by, patches
from numpy.typing import NDArray

POLL_S: Final = 0.02
MB: Final = 1e6


@dataclass(frozen=True)
class Held:
    """What a process holds: megabytes, open files, threads, children, and files in its folder of temporary files."""

    resident_mb: float
    files: int
    threads: int
    children: int
    temporary: int


def held() -> Held:
    """What this process holds now."""
    me = psutil.Process()
    return Held(
        round(me.memory_info().rss / MB, 1),
        me.num_fds(),
        me.num_threads(),
        len(me.children(recursive=True)),
        len(os.listdir(tempfile.gettempdir())),
    )


def built_again_and_again(count: int, folder: Path) -> None:
    """Builds one network with other seeds, each time with an empty store, so that all stages are run."""
    import shutil

    from edgekit.build.pipeline import build
    from edgekit.recipe import LatencyRecipe, PreprocessingRecipe, Recipe
    from edgekit.store import Store

    for number in range(count):
        store, out = folder / "store", folder / "out"
        recipe = Recipe(
            model=str(folder / "net.onnx"),
            data=str(folder / "photos" / "labels.csv"),
            preprocessing=PreprocessingRecipe(size=32, mean=(0, 0, 0), std=(1, 1, 1), crop_fraction=1),
            latency=LatencyRecipe(runs=10, max_seconds=0.1),
            prune="none",
            max_drop=100,
            seed=number,
        )
        began = time.monotonic()
        made = build(recipe, out, Store(store))
        assert {each.name for each in made.report.variants} >= {"fp32", "int8"}
        del made
        shutil.rmtree(store)
        shutil.rmtree(out)
        print(json.dumps(asdict(held()) | {"seconds": round(time.monotonic() - began, 2)}), flush=True)


def small_network(folder: Path, pictures: int = 60) -> Path:
    """A network of two convolutions for 32x32 pixels and five classes, and `photos` of which it is right."""
    graph, shown = Graph(seed=1), patches(pictures)
    last = graph.convolution("x", 3, 16, strides=[2, 2])
    graph.head(graph.convolution(last, 16, 32, strides=[2, 2]), 32, 5)
    network = balanced(graph.save(folder / "net.onnx", [("logits", ("n", 5))]), shown)
    labelled_by(network, shown, folder / "photos")
    return network


def large_network(path: Path, megabytes: int) -> Path:
    """A network whose weights take so much: 3x3 convolutions of 1,024 channels on 4x4 pixels."""
    graph = Graph(seed=2)
    last = graph.convolution("x", 3, 64, strides=[2, 2])
    last = graph.convolution(last, 64, 1024, strides=[4, 4])
    for _ in range(round(megabytes * MB / (1024 * 1024 * 9 * 4))):
        last = graph.convolution(last, 1024, 1024)
    graph.head(last, 1024, 5)
    return balanced(graph.save(path, [("logits", (1, 5))]), patches(60))


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as a PNG file, with no more than it must have."""
    rows = np.concatenate([np.zeros((len(picture), 1), np.uint8), picture.reshape(len(picture), -1)], 1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    size = picture.shape[1].to_bytes(4, "big") + picture.shape[0].to_bytes(4, "big")
    head, data = size + bytes([8, 2, 0, 0, 0]), zlib.compress(rows.tobytes(), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def many_pictures(folder: Path, count: int, classes: int = 5, different: int = 2_000) -> Path:
    """A folder of so many pictures by class, 16x16 pixels: `different` ones, the others further links to them."""
    dice = np.random.Generator(np.random.PCG64(count))
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
    firsts: list[Path] = []
    for number in range(count):
        path = folder / f"class{number % classes}" / f"{number:06}.png"
        if number < different:
            path.write_bytes(png(dice.integers(0, 256, (16, 16, 3), dtype=np.uint8)))
            firsts.append(path)
        else:  # of its own class, since a picture that is there under two labels is warned of
            os.link(firsts[number % different], path)
    return folder


@dataclass(frozen=True)
class Command:
    """How a command ended: its exit code, stdout and stderr, seconds, and the most that it and all its children held
    together at one time, in megabytes; what several of them share is counted for each.
    """

    code: int
    stdout: str
    stderr: str
    seconds: float
    peak_mb: float


def watched(arguments: Sequence[object], folder: Path, environment: Mapping[str, str] | None = None) -> Command:
    """Runs `edgekit` with its store, its temporary files and what it says below a folder."""
    for each in ("store", "tmp"):
        (folder / each).mkdir(parents=True, exist_ok=True)
    own = {"EDGEKIT_CACHE": str(folder / "store"), "TMPDIR": str(folder / "tmp"), **(environment or {})}
    began = time.monotonic()
    with (folder / "stdout").open("w+") as stdout, (folder / "stderr").open("w+") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *map(str, arguments)],
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **own},
        )
        peak = [0]
        watch = threading.Thread(target=_watch, args=(process, peak))
        watch.start()
        code = process.wait()
        watch.join()
    said = [(folder / each).read_text() for each in ("stdout", "stderr")]
    return Command(code, said[0], said[1], time.monotonic() - began, peak[0] / MB)


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    family = psutil.Process(process.pid)
    while process.poll() is None:
        whole = 0
        with contextlib.suppress(psutil.Error):
            for each in (family, *family.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    whole += each.memory_info().rss
        peak[0] = max(peak[0], whole)
        time.sleep(POLL_S)


def of_small_network(folder: Path) -> tuple[Any, ...]:
    """Flags of the small network: where it is, and its preprocessing."""
    return ("--model", folder / "net.onnx", *PLAIN, "--size", 32)


if __name__ == "__main__":
    built_again_and_again(int(sys.argv[1]), Path(sys.argv[2]))
