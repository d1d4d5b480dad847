"""Many threads on one session of the Python runtime, as a program of its own, so that its memory is its own.

    python load_runtime.py BUNDLE RUNTIME MODE THREADS CALLS IMAGE...

Tells, as JSON, how many answers were others than that of the image alone, and what the process holds after a tenth of
the calls and at the end: resident memory (bytes), threads and open files.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from edgekit.runtime import Bundle, Session


def held() -> dict[str, int]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "bytes": pages * os.sysconf("SC_PAGESIZE"),
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
    }


def asked(session: Session, image: bytes, call: int) -> Any:
    """An answer by one of the ways to get it, turn by turn."""
    if call % 3 == 0:
        return session.submit(image).result()
    return session.classify(image) if call % 3 == 1 else session.classify([image])[0]


def main(bundle: str, runtime: str, mode: str, threads: int, calls: int, paths: list[str]) -> None:
    images = [Path(path).read_bytes() for path in paths]
    seen: list[dict[str, int]] = []
    wrong, made = [0] * threads, [0] * threads
    meeting = threading.Barrier(threads, lambda: seen.append(held()))
    with Bundle.open(bundle, runtime=runtime, mode=mode) as opened, opened.session() as session:
        alone = [session.classify(image) for image in images]

        def work(thread: int) -> None:
            for call in range(calls):
                if call == calls // 10:
                    meeting.wait()
                place = (call * 7 + thread) % len(images)
                wrong[thread] += asked(session, images[place], call) != alone[place]
                made[thread] += 1
            meeting.wait()

        running = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
        for each in running:
            each.start()
        for each in running:
            each.join()
        counted = session.counters()
    told = {"calls": sum(made), "wrong": sum(wrong), "warm": seen[0], "end": seen[1], "counted": counted["images"]}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6:])
