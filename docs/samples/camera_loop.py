"""Classifies what a camera sees, frame by frame; a video file or an image sequence does as well. Needs OpenCV.

    python camera_loop.py BUNDLE [SOURCE] [--every N] [--frames N]

SOURCE is a camera's number (0), a file, or what OpenCV opens else ("frames/%04d.png", a GStreamer pipeline). Prints a
JSON line for each frame looked at, and the latencies at the end. Not yet run on a camera: on files alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from edgekit.runtime import Bundle, BundleError

MISSED = 30
"""Frames that a camera may fail to give in a row before it counts as gone."""


def frames_of(source: str, every: int) -> Iterator[tuple[int, np.ndarray]]:
    """Each `every`-th frame with its number; RGB, uint8 (H, W, 3), at the camera's size."""
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    if not capture.isOpened():
        raise OSError(f"cannot open {source}")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # a camera's newest frame rather than its oldest, where it is asked
    number = missed = 0
    try:
        while missed < (MISSED if source.isdecimal() else 1):
            fine, frame = capture.read()
            missed = 0 if fine else missed + 1
            if fine and number % every == 0:
                yield number, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # OpenCV's order is not the bundle's
            number += fine
    finally:
        capture.release()


def main() -> int:
    parser = argparse.ArgumentParser(description="Classify what a camera sees.")
    parser.add_argument("bundle")
    parser.add_argument("source", nargs="?", default="0", help="a camera's number, or a file (0)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="look at each N-th frame (1)")
    parser.add_argument("--frames", type=int, metavar="N", help="end after so many frames")
    told = parser.parse_args()
    if told.every < 1 or (told.frames is not None and told.frames < 1):
        parser.error("--every and --frames take numbers above 0")
    looked = 0
    try:
        with Bundle.open(told.bundle) as bundle, bundle.session() as session:
            for number, frame in frames_of(told.source, told.every):
                label, share = session.classify(frame, top=1)[0]
                print(json.dumps({"frame": number, "label": label, "probability": share}), flush=True)
                looked += 1
                if looked == told.frames:
                    break
            counters = session.counters()
    except KeyboardInterrupt:
        return 130
    except (BundleError, OSError) as error:
        parser.exit(2, f"camera_loop: error: {error}\n")
    if looked == 0:
        parser.exit(2, f"camera_loop: error: {told.source} gave no frames\n")
    print(f"{looked} frames, median {counters['p50_ms']:.1f} ms, 99 % within {counters['p99_ms']:.1f}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
