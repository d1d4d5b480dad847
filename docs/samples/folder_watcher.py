"""Classifies the images that arrive in a folder, and appends an answer a line to a JSONL file. Needs edgekit alone.

    python folder_watcher.py BUNDLE FOLDER ANSWERS.jsonl [--every SECONDS] [--settled SECONDS]

Nothing is moved or deleted. An image is taken once it has not changed for --settled seconds, so that one being written
is left alone. Started again, it goes on where it was. Ends on Ctrl-C or SIGTERM, after the image in hand.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from edgekit.runtime import Bundle, BundleError, ImageError, Session

SUFFIXES = {".jpg", ".jpeg", ".png"}
Version = tuple[str, int, int]  # a file's name, time of change in nanoseconds, and size in bytes


def answered(lines: list[str]) -> Iterator[Version]:
    """What an earlier run did; a line that it could not finish counts as not done."""
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            yield told["image"], told["changed_ns"], told["size_bytes"]


def version_of(path: Path, settled_s: float) -> Version | None:
    """None: no image, empty, gone again, or still being written."""
    with contextlib.suppress(OSError):
        facts = path.stat()
        ready = path.suffix.lower() in SUFFIXES and facts.st_size and time.time() - facts.st_mtime >= settled_s
        return (path.name, facts.st_mtime_ns, facts.st_size) if ready else None
    return None


def answer(session: Session, path: Path, version: Version) -> str:
    told: dict[str, object] = dict(zip(("image", "changed_ns", "size_bytes"), version, strict=True))
    try:
        told["classes"] = [{"label": label, "probability": share} for label, share in session.classify(path)]
    except ImageError as error:
        told["error"] = str(error)
    return json.dumps(told)


def watch(session: Session, folder: Path, answers: Path, every_s: float, settled_s: float) -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    before = answers.read_text(encoding="utf-8", errors="replace") if answers.exists() else ""
    done = set(answered(before.splitlines()))
    with answers.open("a", encoding="utf-8") as out:
        out.write("\n" if before and not before.endswith("\n") else "")  # after a line that was cut off
        while not stop.wait(every_s):
            for path in sorted(folder.iterdir()):
                version = version_of(path, settled_s)
                if version and version not in done and not stop.is_set():
                    print(answer(session, path, version), file=out, flush=True)
                    done.add(version)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Classify the images that arrive in a folder.")
    for name in ("bundle", "folder", "answers"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often to look (1)")
    parser.add_argument("--settled", type=float, default=2.0, metavar="SECONDS", help="unchanged for so long (2)")
    told = parser.parse_args()
    try:
        with Bundle.open(told.bundle) as bundle, bundle.session() as session:
            watch(session, told.folder, told.answers, told.every, told.settled)
    except (BundleError, OSError) as error:
        parser.exit(2, f"folder_watcher: error: {error}\n")
