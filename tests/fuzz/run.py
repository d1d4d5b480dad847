"""Reads hostile files of every kind, until the time is over: each kind in a process of its own.

    python tests/fuzz/run.py [--seconds 600] [--least 10000] [TARGET ...]

Prints how many cases each kind had, and how many of those were refused in words. A case that breaks what must hold is
kept in build/fuzz/; put it into tests/fixtures/fuzz/TARGET/ once it is mended, with a name that says what it is.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

FOUND = Path("build/fuzz")
ROUND = 100
"""Cases at a time, with one seed."""


def main() -> int:
    """1 if anything did not hold, or there were fewer cases than there must be."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--least", type=int, default=10_000)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    told = parser.parse_args()
    if told.one:
        return one(told.names[0], told.seconds)
    from targets import TARGETS

    chosen = [each for each in TARGETS if not told.names or each.name in told.names]
    began, shares, cases, bad = time.monotonic(), sum(each.share for each in chosen), 0, list[str]()
    for target in chosen:
        seconds = max(2.0, (told.seconds - (time.monotonic() - began)) * target.share / shares)
        shares -= target.share
        command = [sys.executable, __file__, "--one", "--seconds", str(seconds), target.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120 + 4 * seconds, check=False)
        last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "0 cases"
        print(f"{target.name:<18} {last}", flush=True)
        cases += int(last.split()[0])
        if done.returncode:
            bad.append(target.name)
            print(f"  exit code {done.returncode}: see {FOUND / target.name}", flush=True)
    print(f"{cases} cases of {len(chosen)} kinds in {time.monotonic() - began:.0f} s; {len(bad)} kinds broke")
    return 1 if bad or cases < told.least else 0


def one(name: str, seconds: float) -> int:
    """Rounds of one target until the time is over."""
    import engine
    from targets import TARGETS

    target = next(each for each in TARGETS if each.name == name)
    folder = FOUND / name
    whole, last = engine.Ran(), b""

    def keep(content: bytes) -> None:
        nonlocal last
        last = content
        if target.heavy:  # a library's crash leaves no time to say what it was
            (folder / "last").write_bytes(content)

    if target.heavy:
        folder.mkdir(parents=True, exist_ok=True)
    until, code = time.monotonic() + seconds, 0
    try:
        whole.add(engine.read_known(target, keep))
        while time.monotonic() < until and not code:
            whole.add(engine.read_new(target, ROUND, random.getrandbits(32), keep))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(last).hexdigest()[:16]).write_bytes(last)
        print(f"{name}: {type(error).__name__}: {str(error)[:300]!r}", file=sys.stderr)
        code = 1
    if not code and (folder / "last").exists():
        (folder / "last").unlink()
    print(f"{whole.cases} cases, {whole.refused} refused in words, {whole.slowest_s:.1f} s the slowest")
    return code


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    sys.exit(main())
