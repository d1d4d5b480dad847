"""Coverage-guided fuzzing of one target by atheris, where that is installed: it finds its own way from the seeds.

    pip install atheris                                       (Linux, Python 3.11 to 3.13)
    PYTHONPATH=tests python tests/fuzz/guided.py TARGET [-max_total_time=60] [-max_len=20000]

Flags are libFuzzer's. What breaks is written to the folder of -artifact_prefix, by default where this was started.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-not-found, unused-ignore]

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

with atheris.instrument_imports(include=["edgekit"]), contextlib.redirect_stderr(io.StringIO()):
    import engine
    from targets import TARGETS

    TARGET = next(each for each in TARGETS if each.name == sys.argv[1])
    with engine.place_for(TARGET) as warm:  # what the reader imports is instrumented, too
        engine.read(TARGET, next(iter(TARGET.seeds())), warm, engine.Ran())


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    with tempfile.TemporaryDirectory() as corpus, engine.place_for(TARGET) as place:
        for number, content in enumerate([*TARGET.seeds(), *(content for _, content in TARGET.known())]):
            (Path(corpus) / str(number)).write_bytes(content)
        ran = engine.Ran()
        atheris.Setup([sys.argv[0], *sys.argv[2:], corpus], lambda content: engine.read(TARGET, content, place, ran))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
