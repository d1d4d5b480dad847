"""Stages under way: made once, taken from the store after that, with their warnings; resumed where they were killed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from beside import Beside

from edgekit.build.runner import Event, Runner
from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.store import Store
from edgekit.store.over_http import OverHttp
from edgekit.store.sharing import Sharing

CALLS: list[str] = []


@dataclass(frozen=True)
class Given:
    text: str
    warning: str | None = None


def _make(given: Given, folder: Path, progress: Progress) -> Sequence[str]:
    CALLS.append(given.text)
    assert list(folder.iterdir()) == [] or given.text == "killed"
    progress(1, 2, "half way")
    (folder / "text").write_text(given.text)
    return () if given.warning is None else (given.warning,)


def _read(folder: Path) -> str:
    return (folder / "text").read_text()


SAY = Stage("say", ("click",), _make, _read)


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    CALLS.clear()
    return Runner(Store(tmp_path / "store"))


def test_a_result_is_made_once_and_read_again(run: Runner) -> None:
    assert [run(SAY, Given("a")), run(SAY, Given("a")), run(SAY, Given("b"))] == ["a", "a", "b"]
    assert CALLS == ["a", "b"]
    assert [(each.name, each.cached) for each in run.ran] == [("say", False), ("say", True), ("say", False)]


def test_warnings_come_again_from_the_store_and_each_once(run: Runner) -> None:
    run(SAY, Given("a", "mind the gap"))
    run(SAY, Given("a", "mind the gap"))
    assert run.warnings == ["mind the gap"]
    later = Runner(run.store)
    later(SAY, Given("a", "mind the gap"))
    assert later.warnings == ["mind the gap"]
    assert CALLS == ["a"]


def test_progress_becomes_events(run: Runner) -> None:
    events: list[Event] = []
    run.listener = events.append
    run(SAY, Given("a"))
    run(SAY, Given("a"))
    assert events == [
        Event("say"),
        Event("say", 1, 2, detail="half way"),
        Event("say", finished=True),
        Event("say"),
        Event("say", finished=True, cached=True),
    ]


def test_what_was_interrupted_is_made_again(run: Runner) -> None:
    cautious = replace(SAY, complete=lambda text: text != "broken off")
    run(cautious, Given("broken off"))
    run(cautious, Given("broken off"))
    run(cautious, Given("whole"))
    run(cautious, Given("whole"))
    assert CALLS == ["broken off", "broken off", "whole"]


def test_a_resumable_stage_goes_on_where_it_was_killed(run: Runner) -> None:
    left: list[list[str]] = []

    def make(given: Given, folder: Path, progress: Progress) -> Sequence[str]:
        left.append(sorted(path.name for path in folder.iterdir()))
        (folder / "checkpoint").write_text("half")
        if len(left) == 1:
            raise KeyboardInterrupt
        (folder / "checkpoint").unlink()
        return _make(given, folder, progress)

    stage = replace(SAY, make=make, resumable=True)
    with pytest.raises(KeyboardInterrupt):
        run(stage, Given("killed"))
    assert run(stage, Given("killed")) == "killed"
    assert left == [[], ["checkpoint"]]


def test_files_are_told_by_the_hashes_that_the_store_noted(run: Runner) -> None:
    by_file = replace(SAY, read=lambda folder: kept_file(folder, "text"))
    one, two = (Runner(run.store)(by_file, Given("a", warning)) for warning in (None, "another input"))  # type: ignore[arg-type]
    assert one.sha256 == two.sha256  # type: ignore[attr-defined]
    assert one.path != two.path  # type: ignore[attr-defined]


def test_what_is_made_again_is_told_by_its_new_hash(run: Runner) -> None:
    """The first result was read before it went: its hash must not be taken for that of the second."""
    contents = iter(["broken off", "whole"])

    def make(given: Given, folder: Path, progress: Progress) -> Sequence[str]:
        (folder / "text").write_text(next(contents))
        return ()

    def read(folder: Path) -> File:
        return kept_file(folder, "text")

    stage = Stage("say", ("click",), make, read, complete=lambda file: file.path.read_text() == "whole")
    run(stage, Given("a"))
    found = run(stage, Given("a"))
    assert found.sha256 == hashlib.sha256(b"whole").hexdigest()


def test_a_shared_store_is_asked_first_and_gets_what_is_whole(run: Runner, tmp_path: Path) -> None:
    theirs = Store(tmp_path / "theirs")
    Runner(theirs)(SAY, Given("a", "mind the gap"))
    later = Runner(Store(tmp_path / "ours", Sharing(Beside(theirs))))
    events: list[Event] = []
    later.listener = events.append
    assert later(SAY, Given("a", "mind the gap")) == "a"
    assert (CALLS, later.warnings, [each.cached for each in later.ran]) == (["a"], ["mind the gap"], [True])
    cautious = replace(SAY, complete=lambda text: text != "broken off")
    for text in ("broken off", "whole"):
        later(cautious, Given(text))
    assert [theirs.get(cautious.key(Given(text))) is not None for text in ("broken off", "whole")] == [False, True]
    assert not any(each.warning for each in events)


def test_trouble_with_a_shared_store_is_a_warning_at_once(tmp_path: Path) -> None:
    events: list[Event] = []
    run = Runner(Store(tmp_path, Sharing(OverHttp("http://127.0.0.1:9"))), events.append)
    run(SAY, Given("a"))
    run(SAY, Given("b"))
    (said,) = (each for each in events if each.warning)
    assert "http://127.0.0.1:9 is of no help" in said.warning
    assert [each.finished for each in events if each.stage == "say"][-1]
