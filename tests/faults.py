"""Builds of a small network that something happens to, and what must hold whatever happened."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from classifiers import PLAIN, Graph, balanced, labelled_by, patches

from edgekit.bundle.directory import check_bundle

SIZE: Final = (32, 32)
LEFT_S: Final = 20.0
"""Within which processes that a killed build started must have ended."""

NUMBERS: Final = ("top1", "top5", "agreement", "images")


@dataclass(frozen=True)
class Ended:
    """How a build ended: its exit code (negative: the signal), seconds, and what it said on stderr and stdout.

    Attributes:
        happened: counts by those who made it happen, so that a fault which was none is seen: `calls` that change files
            below a folder and how many of them `failed`, `looks` at a clock that jumps. Empty after a kill.
    """

    code: int
    seconds: float
    said: str
    happened: Mapping[str, int]


@dataclass
class Bench:
    """A network, its pictures, and a process that forks builds of it; see `bench`."""

    folder: Path
    process: subprocess.Popen[str]
    library: Path | None
    user_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    @property
    def user(self) -> Path:
        """What belongs to the user: no build may change it."""
        return self.folder / "user"

    def store(self, name: str) -> Path:
        return self.folder / "stores" / name

    def out(self, name: str) -> Path:
        return self.folder / "outs" / name

    def build(self, name: str, **fault: Any) -> Ended:
        """A build with a store and an output folder of this name, to which something may happen."""
        return self.builds([self._job(name, name, fault)])[0]

    def at_once(self, store: str, count: int) -> list[Ended]:
        """So many builds at once on one store, each with an output folder of its own: STORE-0, STORE-1 and so on."""
        return self.builds([self._job(store, f"{store}-{each}", {}) for each in range(count)])

    def builds(self, jobs: Sequence[Mapping[str, Any]]) -> list[Ended]:
        """How each of several builds at once ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(list(jobs)) + "\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        for each in told:
            _nothing_runs_on(each["session"])
        return [
            Ended(each["code"], each["seconds"], Path(job["log"]).read_text(errors="replace"), _happened(job))
            for each, job in zip(told, jobs, strict=True)
        ]

    def _job(self, store: str, out: str, fault: Mapping[str, Any]) -> Mapping[str, Any]:
        for each in (self.temporary, self.folder / "stores", self.folder / "outs", self.folder / "logs"):
            each.mkdir(exist_ok=True)
        arguments = [
            *("build", "--model", self.user / "net.onnx", "--data", self.user / "photos" / "labels.csv"),
            *("--recipe", self.user / "quick.yaml", *PLAIN, "--size", SIZE[0], "--max-drop", 100),
            *("--out", self.out(out)),
        ]
        return {
            "environment": {"EDGEKIT_CACHE": str(self.store(store)), "TMPDIR": str(self.temporary)},
            "log": str(self.folder / "logs" / out),
            "happened": str(self.folder / "logs" / f"{out}.json"),
            "arguments": [str(each) for each in arguments],
            **fault,
        }

    def check(self, name: str) -> None:
        """What holds after anything: the user's files are as they were, and a bundle that verifies is whole."""
        assert hashes(self.user) == self.user_files
        out = self.out(name)
        if out.exists() and check_bundle(out) == []:
            assert set(numbers(out)) >= {"fp32", "int8"}
            assert (out / "report.html").stat().st_size > 0

    def whole(self, name: str) -> dict[str, Any]:
        """A build that nothing happens to, after those to which something did: it ends well, and what it says."""
        ended = self.build(name)
        assert ended.code == 0, ended.said
        assert check_bundle(self.out(name)) == []
        names = [each.name for each in self.temporary.iterdir()]
        assert names == [], names
        left = [each.name for each in self.out(name).parent.iterdir() if each.name.startswith(".")]
        assert left == [], left
        self.check(name)
        return numbers(self.out(name))


def numbers(out: Path) -> dict[str, Any]:
    """What a bundle's report says that no clock decides: accuracies by variant, and the graph's hash."""
    report = json.loads((out / "report.json").read_text())
    found: dict[str, Any] = {
        each["name"]: {key: (each["accuracy"] or {}).get(key) for key in NUMBERS}
        for each in report["variants"]
        if each["name"] != "torch-eager"
    }
    found["stages"] = [each["name"] for each in report["stages"]]
    return found


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _happened(job: Mapping[str, Any]) -> dict[str, int]:
    """What a build has counted, taken away for the next one; nothing of one that was killed."""
    file = Path(job["happened"])
    if not file.exists():
        return {}
    counted: dict[str, int] = json.loads(file.read_text())
    file.unlink()
    return counted


def _nothing_runs_on(session: int) -> None:
    """What a build started ends with it, soon."""
    until = time.monotonic() + LEFT_S
    while left := _of_session(session):
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.05)


def _of_session(session: int) -> list[str]:
    found = []
    for each in Path("/proc").iterdir():
        if not each.name.isdecimal():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):
            state = (each / "stat").read_text().rpartition(") ")[2].split()
            if int(state[3]) == session and state[0] != "Z":
                found.append((each / "cmdline").read_text().replace("\0", " ")[:200])
    return found


@contextlib.contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """A network of two convolutions with sixty pictures, and a process that builds it in seconds."""
    from file_faults import compiled

    user = folder / "user"
    user.mkdir(parents=True)
    pictures, graph = patches(60, SIZE), Graph(size=SIZE, seed=1)
    last = graph.convolution("x", 3, 16, strides=[2, 2])
    graph.head(graph.convolution(last, 16, 32, strides=[2, 2]), 32, 5)
    network = balanced(graph.save(user / "net.onnx", [("logits", ("n", 5))]), pictures)
    labelled_by(network, pictures, user / "photos")
    (user / "quick.yaml").write_text("latency: {runs: 10, max_seconds: 0.1}\nprune: none\n")
    library, tests = compiled(folder), Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])}
    if library is not None:
        environment["LD_PRELOAD"] = str(library)
    command = [sys.executable, str(tests / "fault_builds.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield Bench(folder, process, library, hashes(user))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(60)
