"""Everything that the store keeps is listed and can be removed, but nothing that a running process holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit.cli import main
from edgekit.store import ContentIndex, Listed, Store

MAKING = """
import sys, pathlib
from edgekit.store import Store
def make(into):
    (into / "half").write_text("x" * 100)
    print("making", flush=True)
    sys.stdin.readline()
Store(pathlib.Path(sys.argv[1])).build(sys.argv[2], "recover", make, resumable=sys.argv[3] == "resumable")
"""


@contextmanager
def making(root: Path, key: str, how: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a stage."""
    command = [sys.executable, "-c", MAKING, str(root), key, how]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "making\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def killed(root: Path, key: str, how: str) -> None:
    with making(root, key, how) as process:
        process.send_signal(signal.SIGKILL)


@pytest.fixture
def store(own_store: Path) -> Store:
    """A store with one of each."""
    store = Store(own_store)
    store.build("done", "s", lambda into: (into / "x").write_text("hello") and None)
    killed(own_store, "half", "resumable")
    killed(own_store, "lost", "fresh")
    for folder, name, text in (("latency", "cpu.json", '{"a": 1.0}'), ("timing", "tensorrt.cache", "cache")):
        (own_store / folder).mkdir()
        (own_store / folder / name).write_text(text)
    ContentIndex(own_store).sha256(Path(json.__file__))
    return store


def kinds(rows: list[Listed]) -> list[tuple[str, str, str]]:
    return sorted((row.kind, row.stage, row.key) for row in rows)


LEFT = [("lock", "recover", "half"), ("lock", "recover", "lost"), ("work", "recover", "lost")]


def test_each_is_listed_with_its_kind(store: Store) -> None:
    assert [(row.kind, row.key) for row in store.ls()] == [("entry", "done")]
    rows = store.others()
    (index,) = (store.root / "index").iterdir()
    assert kinds(rows) == [
        ("index", "", index.name),
        ("latency", "", "cpu.json"),
        *LEFT[:2],
        ("timing", "", "tensorrt.cache"),
        ("unfinished", "recover", "half"),
        LEFT[2],
    ]
    assert not any(row.in_use for row in rows)
    assert {row.kind: row.size_bytes for row in rows if row.kind != "lock"} == {
        "index": index.stat().st_size,
        "latency": 10,
        "timing": 5,
        "unfinished": 100,
        "work": 100,
    }


def test_prune_sweeps_what_was_left_and_keeps_the_rest(store: Store) -> None:
    assert kinds(store.prune(on_busy=pytest.fail)) == LEFT
    assert sorted(row.kind for row in store.others()) == ["index", "latency", "timing", "unfinished"]
    assert store.prune() == []
    assert store.get("done") is not None
    os.utime(store.root / "unfinished" / "half", (time.time() - 10 * 86_400,) * 2)
    assert kinds(store.prune(older_than_days=5)) == [("unfinished", "?", "half")]


def test_prune_all_leaves_an_empty_store(store: Store) -> None:
    assert len(store.prune(everything=True, on_busy=pytest.fail)) == 8
    assert (store.ls(), store.others()) == ([], [])
    assert [path for path in store.root.rglob("*") if path.is_file()] == [
        store.root / name for name in os.listdir(store.root) if name in ("README", "CACHEDIR.TAG")
    ]


def test_prune_by_size_counts_all_that_is_kept(store: Store) -> None:
    assert "unfinished" in {row.kind for row in store.prune(max_bytes=0)}
    assert (store.ls(), store.others()) == ([], [])


@pytest.mark.parametrize("how", ["resumable", "fresh"])
def test_nothing_goes_that_a_running_process_holds(own_store: Path, how: str) -> None:
    store, busy = Store(own_store), []
    kind = "unfinished" if how == "resumable" else "work"
    with making(own_store, "key", how) as process:
        assert {(row.kind, row.in_use, row.problem) for row in store.others()} == {
            (kind, True, None),
            ("lock", True, None),
        }
        assert store.prune() == []
        assert store.prune(everything=True, on_busy=busy.append) == []
        assert kinds(busy) == sorted([(kind, "recover", "key"), ("lock", "recover", "key")])
        assert process.communicate("\n", timeout=60)[0] == ""
        assert process.returncode == 0
    assert [(row.key, row.in_use) for row in store.ls()] == [("key", False)]
    assert store.verify()[0].problem is None
    assert store.others() == []


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        raise SystemExit(main(list(arguments)))
    return int(stop.value.code or 0), capsys.readouterr().out


def test_the_verb_lists_entries_and_the_rest(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "cache", "ls", "--json")
    read = json.loads(out)
    assert code == 0
    assert [(row["key"], row["kind"], row["stage"]) for row in read["entries"]] == [("done", "entry", "s")]
    assert {row["kind"] for row in read["others"]} == {"index", "latency", "lock", "timing", "unfinished", "work"}
    assert read["size_bytes"] == sum(row["size_bytes"] for row in [*read["entries"], *read["others"]])
    code, out = run(capsys, "cache", "ls")
    assert "1 entries, 1 index, 1 latency, 2 lock, 1 timing, 1 unfinished, 1 work" in out


def test_the_verb_says_what_stays(own_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Store(own_store).build("done", "s", lambda into: None)
    with making(own_store, "0123456789abcdef0123", "resumable"):
        code, out = run(capsys, "cache", "prune", "--all")
        assert code == 0
        assert out.startswith(
            "unfinished recover 0123456789abcdef stays: a running process holds it\nremoved 1 entries,"
        )
        read = json.loads(run(capsys, "cache", "prune", "--all", "--json")[1])
        assert (read["removed"], [row["kind"] for row in read["in_use"]]) == (0, ["unfinished"])


def test_the_verb_names_damage_but_not_what_was_left(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "cache", "verify", "--json")
    assert (code, json.loads(out)) == (0, {"entries": 1, "damaged": [], "ok": True})
    (store.root / "latency" / "cpu.json").write_text("{")
    (store.root / "entries" / "done" / "x").write_text("hullo")
    code, out = run(capsys, "cache", "verify", "--json")
    assert code == 2
    assert [row["key"] for row in json.loads(out)["damaged"]] == ["done", "cpu.json"]
    assert run(capsys, "cache", "verify")[0] == 2


def test_the_root_says_whose_it_is(tmp_path: Path) -> None:
    Store(tmp_path / "new").build("key", "s", lambda into: None)
    assert "edgekit" in (tmp_path / "new" / "README").read_text()
    tag = (tmp_path / "new" / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")


def test_a_root_with_other_things_in_it_is_not_tagged(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    Store(tmp_path).build("key", "s", lambda into: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["entries", "locks", "thesis.txt", "work"]
