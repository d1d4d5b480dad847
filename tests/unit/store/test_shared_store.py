"""A store behind another one: what comes from it is verified, and whatever is wrong with it costs nothing but time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from beside import Beside
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.store import Store
from edgekit.store.claims import Claims
from edgekit.store.entries import ENTRY_FILE, read_record
from edgekit.store.intake import Intake, one_line
from edgekit.store.opening import store_settings
from edgekit.store.shared import Claimed, UnreachableError, UntrueError, contents_of, is_inside, told_record
from edgekit.store.sharing import Sharing

KEY = "a" * 64
FILES = {"x.bin": b"hello", "inner/y.bin": b"world" * 1000}


def fill(folder: Path) -> None:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def never(folder: Path) -> None:
    raise AssertionError("made although it is there")


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    """A shared store that has one entry."""
    store = Store(tmp_path / "theirs")
    store.build(KEY, "s", fill)
    return Beside(store)


def content_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def test_an_entry_is_fetched_and_then_there(tmp_path: Path, beside: Beside) -> None:
    store = Store(tmp_path / "ours", Sharing(beside))
    found = store.find(KEY, "s")
    assert found is not None
    assert content_of(found) == FILES
    assert store.build(KEY, "s", never).cached
    assert [row.problem for row in store.verify()] == [None]
    assert (store.find(KEY, "s"), beside.asked) == (found, 1)
    assert store.others() == []


def test_what_is_made_here_is_offered(tmp_path: Path, beside: Beside) -> None:
    other = "b" * 64
    store = Store(tmp_path / "ours", Sharing(beside))
    assert store.find(other, "s") is None
    assert not store.build(other, "s", fill).cached
    there = beside.store.get(other)
    assert there is not None
    assert content_of(there) == FILES
    store.build("c" * 64, "s", fill, is_complete=lambda folder: False)
    assert beside.store.get("c" * 64) is None


def test_a_store_that_takes_nothing_is_only_read(tmp_path: Path, beside: Beside) -> None:
    beside.takes = False
    store = Store(tmp_path / "ours", Sharing(beside))
    assert not store.build("b" * 64, "s", fill).cached
    assert beside.store.get("b" * 64) is None
    assert store.troubles() == ()


Change = Callable[[dict[str, Any]], object]


def renamed(name: str) -> Change:
    """A record whose first file has another name."""

    def change(record: dict[str, Any]) -> None:
        record["files"][name] = record["files"].pop("x.bin")

    return change


def of_file(**values: object) -> Change:
    return lambda record: record["files"]["x.bin"].update(values)


LIES: dict[str, Change] = {
    "wrong key": lambda record: record.update(key="b" * 64),
    "wrong stage": lambda record: record.update(stage="t"),
    "wrong hash": of_file(sha256="0" * 64),
    "no hash": of_file(sha256="../../x"),
    "short": of_file(size_bytes=4),
    "negative size": of_file(size_bytes=-1),
    "huge size": of_file(size_bytes=1 << 62),
    "infinite size": of_file(size_bytes=float("inf")),
    "parent": renamed("../out.bin"),
    "deep parent": renamed("inner/../../out.bin"),
    "absolute": renamed("/tmp/matrix-out.bin"),
    "the record": renamed(ENTRY_FILE),
    "empty": renamed(""),
    "dot": renamed("./x.bin"),
    "nul": renamed("x\0.bin"),
    "surrogate": renamed("\ud800"),
    "backslash": renamed("..\\out.bin"),
    "a file that is a folder": renamed("inner"),
    "below a file": renamed("inner/y.bin/z"),
    "never": lambda record: record.update(seconds=float("nan")),
    "no files": lambda record: record.update(files=[]),
    "many files": lambda record: record.update(
        files={str(n): {"sha256": "0" * 64, "size_bytes": 0, "time_ns": 0} for n in range(20_000)}
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_said_once(tmp_path: Path, beside: Beside, lie: str) -> None:
    beside.change = LIES[lie]
    store = Store(tmp_path / "ours", Sharing(beside))
    assert store.find(KEY, "s") is None
    assert not store.build(KEY, "s", fill).cached
    assert store.find("b" * 64, "s") is None
    assert beside.asked == 1
    said = store.troubles()
    assert len(said) == 1
    assert "beside is not to be trusted" in said[0]
    assert store.troubles() == ()
    written = sorted(path.relative_to(tmp_path / "ours").parts[0] for path in (tmp_path / "ours").rglob("*.bin"))
    assert set(written) == {"entries"}
    assert not list(tmp_path.glob("*.bin"))


def endless(content: bytes) -> Iterator[bytes]:
    while True:
        yield content


def test_an_endless_file_is_given_up(tmp_path: Path, beside: Beside) -> None:
    beside.bytes_of = endless
    store = Store(tmp_path / "ours", Sharing(beside))
    assert store.find(KEY, "s") is None
    assert "longer than was told" in store.troubles()[0]
    assert list((tmp_path / "ours" / "work").iterdir()) == []


def test_a_file_that_breaks_off_is_made_here(tmp_path: Path, beside: Beside) -> None:
    beside.bytes_of = lambda content: iter([content[:-1]])
    store = Store(tmp_path / "ours", Sharing(beside))
    assert store.find(KEY, "s") is None
    assert "broke off after" in store.troubles()[0]
    assert store.find(KEY, "s") is None  # and is let alone for a while
    assert (beside.asked, store.troubles()) == (1, ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text(alphabet="ab./\\\0\ud800 ", max_size=12)


@given(st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_bytes_are_a_record_or_refused(content: bytes) -> None:
    with pytest.raises(UntrueError):
        told_record(content, KEY)


@given(st.dictionaries(NAMES, st.fixed_dictionaries({"sha256": JSON, "size_bytes": JSON, "time_ns": JSON}), max_size=3))
def test_any_files_are_told_or_refused(files: dict[str, Any]) -> None:
    are_told(files)


@given(st.dictionaries(NAMES, st.integers(-1, 5), max_size=2))
def test_files_are_told_where_all_are_inside_and_have_a_size(sizes: dict[str, int]) -> None:
    files = {name: {"sha256": "b" * 64, "size_bytes": size, "time_ns": 0} for name, size in sizes.items()}
    assert are_told(files) == all(is_inside(name) and size >= 0 for name, size in sizes.items())


def are_told(files: dict[str, Any]) -> bool:
    told = {"stage": "s", "key": KEY, "seconds": 1.0, "files": files}
    try:
        return set(told_record(json.dumps(told).encode(), KEY).files) == set(files)
    except UntrueError:
        return False


@given(NAMES)
def test_names_that_are_inside_stay_there(name: str) -> None:
    if is_inside(name):
        place = Path("/root/entry") / name
        assert place.resolve().is_relative_to("/root/entry")
        assert place.name != ENTRY_FILE or place.parent != Path("/root/entry")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 6000), more=st.binary(max_size=20), at=st.integers(0, 6000))
def test_an_offer_is_whole_or_not_taken(tmp_path: Path, cut: int, more: bytes, at: int) -> None:
    store = Store(tmp_path / "theirs")
    made = store.build(KEY, "s", fill).path
    record = read_record(made)
    assert record is not None
    whole = one_line((made / ENTRY_FILE).read_bytes()) + b"".join(contents_of(made, record))
    sent = whole[: len(whole) - cut] if cut < len(whole) else b"?"
    sent = sent[:at] + more + sent[at:]
    into = Store(tmp_path / "into")
    into.prune(everything=True)
    intake = Intake(into, KEY, max(1, len(sent)))
    try:
        intake.add(sent)
        taken = intake.finish()
    except (UntrueError, UnreachableError):
        taken = False
    finally:
        intake.close()
    found = into.get(KEY)
    assert taken == (sent == whole or (found is not None and content_of(found) == FILES))
    assert [row.problem for row in into.verify()] == [None] * taken


def test_more_or_less_than_was_said_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UntrueError, match="no room"):
        Intake(Store(tmp_path), KEY, 1 << 60)
    intake = Intake(Store(tmp_path), KEY, 3)
    intake.add(b"12")
    with pytest.raises(UntrueError, match="less came"):
        intake.finish()
    with pytest.raises(UntrueError, match="more came"):
        intake.add(b"34")
    intake.close()


def test_two_machines_make_an_entry_once(tmp_path: Path, beside: Beside) -> None:
    made, other = list[str](), "b" * 64

    def build(name: str) -> None:
        def make(folder: Path) -> None:
            made.append(name)
            time.sleep(0.5)
            fill(folder)

        Store(tmp_path / name, Sharing(beside)).build(other, "s", make)

    both = [threading.Thread(target=build, args=(name,)) for name in ("one", "two")]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(made) == 1
    assert all(Store(tmp_path / name).get(other) is not None for name in ("one", "two"))


def test_a_claim_ends_unless_it_is_renewed() -> None:
    now = [0.0]
    claims = Claims(30, lambda: now[0])
    assert claims.claim(KEY, "one", "machine one") == Claimed(True)
    assert claims.claim(KEY, "two", "machine two") == Claimed(False, "machine one")
    now[0] = 20
    assert claims.claim(KEY, "one", "machine one").yours
    now[0] = 40
    assert not claims.claim(KEY, "two", "machine two").yours
    claims.let_go(KEY, "two")
    now[0] = 51
    assert claims.claim(KEY, "two", "machine two").yours
    claims.let_go(KEY, "two")
    assert claims.claim(KEY, "one", "machine one").yours


def test_a_maker_that_fails_lets_the_next_one_go_on(tmp_path: Path, beside: Beside) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        Store(tmp_path / "one", Sharing(beside)).build("b" * 64, "s", fail)
    assert not Store(tmp_path / "two", Sharing(beside)).build("b" * 64, "s", fill).cached


@pytest.mark.parametrize(
    "told", ["ftp://x", "http://", "http://h:x", "http://u:p@h:1", "http://h:1/path", "http://h:1?q", "http://[::1"]
)
def test_addresses_that_are_none(told: str) -> None:
    with pytest.raises(InputError, match="no address of a store"):
        store_settings(told)


def test_what_a_store_may_be(tmp_path: Path) -> None:
    assert store_settings(None).open().root == Store().root
    assert store_settings(str(tmp_path / "s")).open().root == tmp_path / "s"
    assert store_settings("ray").by_ray
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"):
        store_settings(str(tmp_path / "file"))
    with pytest.raises(InputError, match="a token is for a store over HTTP"):
        store_settings(None, tmp_path / "file")
    with pytest.raises(InputError, match="holds no token"):
        store_settings("http://127.0.0.1:1", tmp_path / "file")
