"""Fuzzes each of the C++ library's readers for so many seconds, and tells how much was tried: `make fuzz-cpp`.

    PYTHONPATH=tests python tests/fuzz/cpp/run.py SECONDS [TARGET...]

Needs clang with libFuzzer (apt install clang) and the libraries of docs/cpp.md. What was reached stays in
build/fuzz-cpp, so that the next run goes on from there; what ended a target is in build/fuzz-cpp/found. Exits 1 where
there is such, 4 where it cannot run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cpp_fuzzing import FOUND, TARGETS, configured, has_words, write_seeds, write_words

FOLDER = Path("build/fuzz-cpp")
LONGEST_S, MOST_MEMORY_MB, LONGEST_INPUT = 60, 2048, 8192


def fuzzed(target: str, seconds: int) -> tuple[int, str]:
    """The fuzzer's exit code, and what it said."""
    corpus, found = FOLDER / "corpus" / target, FOLDER / "found"
    for folder in (corpus, found, FOLDER / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    kept = [str(path) for path in (FOUND / target,) if path.is_dir()]
    done = subprocess.run(
        [
            str(FOLDER / "program" / "edgekit-fuzz"),
            f"-max_total_time={seconds}",
            f"-timeout={LONGEST_S}",
            f"-rss_limit_mb={MOST_MEMORY_MB}",
            f"-max_len={LONGEST_INPUT}",
            *([f"-dict={write_words(FOLDER / f'{target}.dict', target)}"] if has_words(target) else []),
            f"-artifact_prefix={found}/{target}-",
            "-print_final_stats=1",
            str(corpus),
            str(FOLDER / "seeds" / target),
            *kept,
        ],
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | {"EDGEKIT_FUZZ_TARGET": target, "TMPDIR": str(FOLDER / "tmp")},
        check=False,
    )
    return done.returncode, done.stderr


def main(seconds: int, targets: list[str]) -> int:
    compiler = shutil.which("clang++")
    why = "clang++ is not installed" if compiler is None else None
    why = why or configured(FOLDER / "program", f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_CXX_FLAGS_RELEASE=-O1")
    if why is not None:
        print(f"fuzz-cpp: error: {why}.", file=sys.stderr)
        return 4
    write_seeds(FOLDER / "seeds")
    worst = 0
    for target in targets:
        code, said = fuzzed(target, seconds)
        figures = dict(re.findall(r"stat::(\w+): +(\d+)", said))
        covered = re.findall(r"cov: (\d+)", said)
        print(
            f"{target:10} {int(figures.get('number_of_executed_units', 0)):>10,} executions, "
            f"{covered[-1] if covered else 0} places reached, {figures.get('peak_rss_mb', '?')} MB at most"
            + ("" if code == 0 else f", ENDED with {code}"),
            flush=True,
        )
        if code != 0:
            print(said[-4000:], file=sys.stderr)
            worst = 1
    return worst


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:] or list(TARGETS)))
