"""Draws docs/report.png: the top of a build's report in Chromium, as a PNG with a palette.

    make picture BUNDLE=build/inception_v4-cpu

It needs what tests need that look at reports: Playwright, and Chromium of the system.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "google-chrome", "chromium-browser")
SIZE, SCALE = {"width": 1440, "height": 1120}, 1200 / 1440  # what the top of the page needs; 1200 pixels wide
MOST_BYTES = 250_000


def main(report: Path, out: Path) -> None:
    """Opens the page in light colours and keeps what is seen of it without scrolling."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        sys.exit("picture: there is no Chromium here")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, device_scale_factor=SCALE, color_scheme="light", reduced_motion="reduce")
        page.goto(report.resolve().as_uri())
        page.wait_for_timeout(500)  # the charts are drawn by a script
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    shot.convert("RGB").quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        out, optimize=True
    )
    if out.stat().st_size > MOST_BYTES:
        sys.exit(f"picture: {out} has {out.stat().st_size} bytes, more than {MOST_BYTES}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "report.html", Path(sys.argv[2]))
