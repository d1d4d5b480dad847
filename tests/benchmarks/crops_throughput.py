"""What cropping costs: views/s of an evaluation against the same session's on views that already lie in memory.

    python tests/benchmarks/crops_throughput.py
    python tests/benchmarks/crops_throughput.py build/inception_v4-cpu --data photos/ --crops 144 12 1 --rounds 8

For the shipped Inception-v4 in FP32 and for every bundle that is given. Each round evaluates some photos from their
files, and runs as many views from memory, in turn. Without --data the photos are generated: JPEG files of 500x375.
Beside views/s stands the ratio of processor time, which says on a busy machine what views/s would be on an idle one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgekit.backends import backend
from edgekit.build.runnable import prepare
from edgekit.data.folder import open_images
from edgekit.data.image_set import ImageSet
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.validate.faster import ratio
from edgekit.validate.protocols import Member, evaluate

Times: TypeAlias = NDArray[np.float64]
PHOTOS_FOR = {1: 192, 10: 48, 12: 48, 144: 5}
"""Photos of one round: some 600 views, 192 with one crop."""
BATCH = 144


def main() -> None:
    """Prints a line for each network and protocol."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("bundles", nargs="*", help="beside the shipped Inception-v4 in FP32")
    asked.add_argument("--data", help="a folder of photos, or a table; generated ones by default")
    asked.add_argument("--crops", type=int, nargs="+", default=[144], choices=sorted(PHOTOS_FOR))
    asked.add_argument("--rounds", type=int, default=5)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or photos(Path(folder), 192)
        for model in ("inception_v4", *given.bundles):
            runnable = prepare(Recipe(model=model), None, Store())
            compiled = runnable.compiled
            with backend(compiled.backend).load(compiled, "throughput") as session:
                member = Member(runnable.name, session, runnable.preprocessing)
                for crops in given.crops:
                    images = open_images(data, limit=PHOTOS_FOR[crops])
                    told_of = line(member, images, crops, given.rounds)
                    print(f"{runnable.name} ({compiled.precision}), {told_of}", flush=True)


def photos(folder: Path, count: int) -> Path:
    """Writes photos with the detail of real ones: noise at several scales."""
    dice = np.random.Generator(np.random.PCG64(0))
    for place in range(count):
        whole = np.zeros((375, 500, 3))
        for scale in (4, 16, 64):
            noise = dice.integers(0, 256, (375 // scale + 1, 500 // scale + 1, 3), dtype=np.uint8)
            whole += np.asarray(Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC)) / 3
        (folder / "ab"[place % 2]).mkdir(exist_ok=True)
        Image.fromarray(whole.astype(np.uint8)).save(folder / "ab"[place % 2] / f"{place}.jpg", quality=90)
    return folder


def line(member: Member, images: ImageSet, crops: int, rounds: int) -> str:
    """Views/s both ways, and the ratios of views/s and of processor time with 95 % intervals."""
    in_memory = np.stack([images.load(index % len(images), member.preprocessing) for index in range(BATCH)])
    files: list[tuple[float, float]] = []
    memory: list[tuple[float, float]] = []
    for place in range(rounds + 1):
        views, taken = timed(lambda: evaluate([member], images, crops).views)
        _, bare = timed(partial(run, member, in_memory, views))
        if place:  # the first round warms up
            files.append((taken[0] / views, taken[1] / views))
            memory.append((bare[0] / views, bare[1] / views))
    rates = [1 / np.mean(each, 0)[0] for each in (files, memory)]
    wall, processor = (told(*(np.array(each)[:, [place]] for each in (memory, files))) for place in (0, 1))
    return (
        f"{crops} crops of {len(images)} photos: {rates[0]:.1f} views/s, {rates[1]:.1f} from memory, ratio {wall},"
        f" of processor time {processor} ({rounds} rounds)"
    )


def told(memory: Times, files: Times) -> str:
    """How much of the speed from memory is left, with its interval."""
    middle, low, high = ratio(memory, files)
    return f"{middle:.3f} (95 % {low:.3f} to {high:.3f})"


def timed(work: Callable[[], int]) -> tuple[int, tuple[float, float]]:
    """What it gives, and the wall-clock and processor seconds that it takes."""
    wall, processor = time.monotonic(), time.process_time()
    made = work()
    return made, (time.monotonic() - wall, time.process_time() - processor)


def run(member: Member, pictures: NDArray[np.uint8], views: int) -> int:
    """Runs that many views from memory, in batches."""
    for first in range(0, views, BATCH):
        member.session.infer_many(pictures[: min(BATCH, views - first)])
    return views


if __name__ == "__main__":
    main()
