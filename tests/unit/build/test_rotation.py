"""Images that bear an EXIF rotation are told of by a stage, so that a cached build tells of them too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.build.rotation import CHECK_ROTATION, RotationInput
from edgekit.build.runner import Runner, nobody
from edgekit.data.folder import FolderSet, open_images
from edgekit.runtime.rgb import ORIENTATION
from edgekit.store import Store


def test_a_warning_counts_them_each_time(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 8
    for place in range(4):
        (tmp_path / "photos" / "ab"[place % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(place).integers(0, 256, (9, 7, 3), dtype=np.uint8)
        told = {"exif": exif} if place == 3 else {}
        Image.fromarray(pixels).save(tmp_path / "photos" / "ab"[place % 2] / f"{place}.png", **told)
    images = open_images(tmp_path / "photos")
    assert isinstance(images, FolderSet)
    for _ in range(2):
        run = Runner(Store(), nobody)
        run(CHECK_ROTATION, RotationInput(images))
        assert len(run.warnings) == 1
        assert run.warnings[0].startswith("1 of 4 images bear an EXIF rotation, which is not applied: b/3.png;")
