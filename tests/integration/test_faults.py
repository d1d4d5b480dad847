"""Whatever stops a build: no wrong number, no bundle that verifies and is not whole, and the next build goes on.

The quick ones are a part of those marked slow, which `make faults` runs; docs/reliability.md has what they found.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from faults import Bench, bench
from file_faults import NUMBERS

from edgekit.store import Store

FEW: Final = "few"
MANY: Final = pytest.param("many", marks=pytest.mark.slow)
LAST_BOUNDARY: Final = 60
"""No build has as many boundaries of stages: a chain of kills ends when a build ends."""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("faults") / "it") as made:
        yield made


@pytest.fixture(scope="module")
def right(builds: Bench) -> dict[str, Any]:
    """The numbers of a build that nothing happens to; its store and bundle stay."""
    return builds.whole("right")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how_many", [FEW, MANY])
def test_killed_at_the_boundaries_of_stages(builds: Bench, right: dict[str, Any], how_many: str) -> None:
    """Before a stage, before its result is put in place, and after it: one after the other, in one store."""
    name, kills = f"boundaries-{how_many}", 0
    for at in range(2, LAST_BOUNDARY, 5 if how_many == FEW else 1):
        ended = builds.build(name, at=at, what="kill")
        builds.check(name)
        assert ended.code in (0, -signal.SIGKILL), ended.said
        if ended.code == 0:
            break
        kills += 1
    assert kills >= (4 if how_many == FEW else 25)
    assert builds.whole(name) == right


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how_many", [FEW, MANY])
def test_killed_at_random_moments(builds: Bench, right: dict[str, Any], how_many: str) -> None:
    dice, wanted = random.Random(how_many), 4 if how_many == FEW else 180
    kills, store = 0, 0
    while kills < wanted:
        name = f"moments-{how_many}-{store}"
        ended = builds.build(name, signal_after_s=dice.uniform(0.2, 5.0), signal=signal.SIGKILL)
        builds.check(name)
        assert ended.code in (0, -signal.SIGKILL), ended.said
        if ended.code:
            kills += 1
            continue
        assert builds.whole(name) == right
        store += 1
    assert builds.whole(f"moments-{how_many}-{store}") == right


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how_many", [FEW, MANY])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(builds: Bench, right: dict[str, Any], number: int, code: int, how_many: str) -> None:
    """Unlike a kill, a signal leaves nothing in the folder of temporary files."""
    dice, name = random.Random(number), f"signal-{number}-{how_many}"
    stops, wanted = 0, 1 if how_many == FEW else 15
    while stops < wanted:
        ended = builds.build(name, signal_after_s=dice.uniform(0.5, 5.0), signal=number)
        assert ended.code in (0, code), ended.said
        assert "Traceback" not in ended.said
        assert list(builds.temporary.iterdir()) == []
        builds.check(name)
        stops += ended.code == code
        if ended.code == 0:
            shutil.rmtree(builds.store(name))
    assert builds.whole(name) == right


PLACES: Final = {"stores": {5: 2, 200: 2}, "outs": {3: 2}, "tmp": {2: 0}}
"""Folders whose disk is full or read-only, after how many calls that change a file there, and with what exit code a
build then ends, for the quick ones."""

EVERY: Final = {"stores": range(0, 340, 9), "outs": range(0, 60, 4), "tmp": range(10)}
LEAST: Final = {"stores": 30, "outs": 8, "tmp": 2}
"""Of those, how many must be calls that a build makes."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("how_many", [FEW, MANY])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("why", NUMBERS)
def test_a_disk_is_full_or_read_only(builds: Bench, right: dict[str, Any], why: str, place: str, how_many: str) -> None:
    """At any call: bad input with its reason, or a build that could do without."""
    if builds.library is None:
        pytest.skip("there is no C compiler here")
    known, faults = PLACES[place] if how_many == FEW else {}, 0
    for after in known or EVERY[place]:
        name = f"{why}-{place}-{after}-{how_many}"
        below = builds.folder / place
        below.mkdir(exist_ok=True)
        if place != "stores" and after:  # what comes before is known to be right, and comes from the store
            shutil.copytree(builds.store("right"), builds.store(name))
        ended = builds.build(name, under=str(below), call=after, errno=NUMBERS[why])
        happened = (
            ended.happened["failed"] > 0
        )  # later calls than a build makes, and removals from a full disk, never fail
        faults += happened
        assert ended.code in ((known[after],) if known else (0, 2) if happened else (0,)), ended.said
        assert "Traceback" not in ended.said
        errors = [line for line in ended.said.splitlines() if line.startswith("edgekit: error: ")]
        assert len(errors) == (ended.code != 0), ended.said
        assert all(any(word in line for word in ("full", "written", "Read-only", "space")) for line in errors), errors
        builds.check(name)
        if place == "tmp":  # nobody could remove what was just made when the disk became read-only
            shutil.rmtree(builds.temporary)
        assert builds.whole(name) == right
        shutil.rmtree(builds.store(name))
    assert faults >= (len(known) or LEAST[place])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how_many", [FEW, MANY])
def test_a_library_fails_in_a_stage(builds: Bench, right: dict[str, Any], how_many: str) -> None:
    """A fault is told as one; what was half made is no result, and the stages before it are not done again."""
    name, faults = f"raises-{how_many}", 0
    for at in range(2, LAST_BOUNDARY, 5 if how_many == FEW else 1):
        ended = builds.build(name, at=at, what="raise")
        builds.check(name)
        if ended.code == 0:
            break
        faults += 1
        assert ended.code == 1, ended.said
        assert "RuntimeError: a library failed" in ended.said
    assert faults >= (2 if how_many == FEW else 12)
    assert builds.whole(name) == right


@pytest.mark.parametrize("by_s", [86_400.0, -400 * 86_400.0])
def test_the_clock_jumps(builds: Bench, right: dict[str, Any], by_s: float) -> None:
    name = f"clock{by_s:.0f}"
    ended = builds.build(name, clock=by_s)
    assert ended.code == 0, ended.said
    assert ended.happened["looks"] > 2, "it never jumped"
    assert builds.whole(name) == right


SPOILT: Final = ("changed", "cut", "gone", "empty record", "record of another")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", SPOILT)
def test_entries_of_the_store_are_spoilt(builds: Bench, right: dict[str, Any], how: str) -> None:
    """One file of each entry, whatever it is: the stage is made again, and nothing of it is believed."""
    name = f"spoilt-{how.replace(' ', '-')}"
    shutil.copytree(builds.store("right"), builds.store(name))
    entries = sorted((builds.store(name) / "entries").iterdir())
    records = [(entry / "entry.json").read_bytes() for entry in entries]
    for place, entry in enumerate(entries):
        files = sorted(path for path in entry.rglob("*") if path.is_file() and path.name != "entry.json")
        file, record = files[place % len(files)], entry / "entry.json"
        content = file.read_bytes()
        if how == "changed":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if content else b"x")
        elif how == "cut":
            file.write_bytes(content[: len(content) // 2] if content else b"x")
        elif how == "gone":
            file.unlink()
        elif how == "empty record":
            record.write_bytes(b"")
        else:
            record.write_bytes(records[place - 1])
    store = Store(builds.store(name))
    assert all(each.problem for each in store.verify()), "one of them is as it was"
    assert builds.whole(name) == right
    assert [each.problem for each in store.verify()] == [None] * len(entries)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("count", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_builds_at_once_on_one_store(builds: Bench, right: dict[str, Any], count: int) -> None:
    from faults import numbers

    name = f"at-once-{count}"
    for place, ended in enumerate(builds.at_once(name, count)):
        assert ended.code == 0, ended.said
        builds.check(f"{name}-{place}")
        assert numbers(builds.out(f"{name}-{place}")) == right
    entries = [each for each in (builds.store(name) / "entries").iterdir() if each.is_dir()]
    alone = [each for each in (builds.store("right") / "entries").iterdir() if each.is_dir()]
    assert len(entries) == len(alone), "each stage was made once"


def test_the_timing_process_is_killed(builds: Bench, right: dict[str, Any]) -> None:
    """As a system that runs out of memory does: told, and the next build measures."""
    ended = builds.build("no-memory", kill_child="latency_worker")
    assert ended.code == 4, ended.said
    assert "the timing process was killed by SIGKILL. A lack of memory can be why" in ended.said
    builds.check("no-memory")
    assert builds.whole("no-memory") == right


def test_nothing_of_the_users_was_touched(builds: Bench) -> None:
    """Looked at after each of the above; here that the look can fail."""
    extra = Path(builds.user / "photos" / "new.png")
    extra.write_bytes(b"x")
    with pytest.raises(AssertionError):
        builds.check("right")
    extra.unlink()
    builds.check("right")
