"""Every command that the README, docs/ and recipes/ show is run: here in a sandbox, or by the test that a row names."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from doc_commands import TOP, Shown, commands, parsed, snippets
from doc_runs import OVER, PAGES, ROWS, SWAPS, UNDER, Row
from doc_sandbox import Sandbox, bundles, prepare, run, saved_devices

from edgekit.size import size_of

ROW_OF = {row.command: row for row in ROWS}


def to_run() -> list[Shown]:
    """One of each command that is more than the mention of a verb."""
    found: dict[str, Shown] = {}
    for each in commands():
        if each.page not in PAGES and parsed_quietly(each) == "command":
            found.setdefault(each.text, each)
    return list(found.values())


def parsed_quietly(shown: Shown) -> str:
    """What a command is; tests/unit/test_docs.py tells of those that do not parse."""
    try:
        with open(os.devnull, "w") as nowhere:
            before, sys.stdout = sys.stdout, nowhere
            try:
                return parsed(shown)
            finally:
                sys.stdout = before
    except Exception:
        return "command"


def words_of(command: Sequence[str], row: Row | None, folder: Path) -> list[str]:
    """What is run for a command's words; `folder` is where devices keep what applications open."""
    swaps = {**SWAPS, "/opt/models/signs": str(folder / "signs"), **(row.swaps or {} if row else {})}
    words = list[str]()
    for word in map(os.path.expanduser, command):
        words.append(swaps[word] if word in swaps else ",".join(swaps.get(each, each) for each in word.split(",")))
    verb = " ".join(words[:2]) if words[0] == "device" else words[0]
    count = len(verb.split())
    under = () if verb == "build" and {"--recipe", "--locked"} & set(words) else UNDER.get(verb, ())
    more = row.more if row is not None else ()
    return [*words[:count], *under, *(each for each in words[count:] if each), *OVER.get(verb, ()), *more]


def run_here() -> list[Shown]:
    """Those that no other test runs, once each: pages may differ in words that are swapped for the same."""
    found: dict[tuple[object, ...], Shown] = {}
    for each in SHOWN:
        row = ROW_OF.get(each.text)
        if row is None or not row.elsewhere:
            found.setdefault((*words_of(each.words, row, Path()), each.piped, row and row.before), each)
    return list(found.values())


SHOWN = to_run()
HERE = run_here()


def test_no_row_is_stale() -> None:
    assert len(ROW_OF) == len(ROWS)
    assert sorted(set(ROW_OF) - {each.text for each in SHOWN}) == []
    words = {part for each in SHOWN for word in each.words for part in re.split("[,=]", word)}
    assert sorted(set(SWAPS) - words) == []
    assert sorted(set(PAGES) - {each.page for each in commands()}) == []
    verbs = {*UNDER, *OVER}
    assert sorted(verb for verb in verbs if not any(each.text.startswith(f"edgekit {verb} ") for each in HERE)) == []


@pytest.mark.parametrize("test", sorted({*PAGES.values(), *(row.elsewhere for row in ROWS if row.elsewhere)}))
def test_a_test_that_is_named_is_there(test: str) -> None:
    path, _, name = test.partition("::")
    text = (TOP / path).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE)


@pytest.mark.parametrize("row", [row for row in ROWS if row.elsewhere], ids=lambda row: row.command)
def test_what_runs_elsewhere_is_about_the_verb(row: Row) -> None:
    text = (TOP / row.elsewhere.partition("::")[0]).read_text(encoding="utf-8")
    verb = row.command.split()[1]
    assert re.search(rf"\b{verb}\b", text), f"{row.elsewhere} says nothing of {verb}"
    assert row.why


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, common_store: Path) -> Iterator[Sandbox]:
    """The template, with its bundles built and a real sshd where there is one."""
    from ssh_server import SSHD, start

    folder = tmp_path_factory.mktemp("docs")
    made = prepare(folder)
    if os.access(SSHD, os.X_OK):
        made.device = start(folder / "sshd", folder / "device")
    with pytest.MonkeyPatch.context() as patch:
        surroundings(made, patch, common_store)
        patch.chdir(made.folder)
        bundles()
        if made.device is not None:
            saved_devices(made.device)
        yield made
    if made.device is not None:
        made.device.process.terminate()
        made.device.process.wait()


def surroundings(sandbox: Sandbox, patch: pytest.MonkeyPatch, store: Path) -> None:
    """The environment of a user who has a home, keys, a store and devices."""
    patch.setenv("HOME", str(sandbox.home))
    patch.setenv("XDG_CONFIG_HOME", str(sandbox.home / ".config"))
    patch.setenv("EDGEKIT_CACHE", str(store))
    for name in ("EDGEKIT_ARM64_ROOT", "XDG_DATA_HOME"):
        patch.delenv(name, raising=False)
    if sandbox.device is not None:
        patch.setenv("EDGEKIT_SSH", sandbox.device.ssh)


def size_in(words: list[str]) -> tuple[int, int] | None:
    """The size of images that a command tells of."""
    return size_of(words[words.index("--size") + 1]) if "--size" in words else None


@pytest.mark.timeout(240)
@pytest.mark.parametrize("shown", HERE, ids=[f"{each.page}: {each.text}" for each in HERE])
def test_it_runs(
    shown: Shown, sandbox: Sandbox, common_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    row = ROW_OF.get(shown.text)
    if "device" in shown.text and sandbox.device is None:
        pytest.skip("there is no sshd here")
    surroundings(sandbox, monkeypatch, common_store)
    config = shutil.copytree(sandbox.home / ".config", tmp_path / "config", dirs_exist_ok=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
    words = words_of(shown.words, row, tmp_path)
    monkeypatch.chdir(sandbox.copy(tmp_path / "work", size_in(words)))
    found = "\n".join(map(str, Path().glob("photos/*/*.png"))) if shown.piped.startswith("find") else ""
    (tmp_path / "stdin").write_text(found)
    with (tmp_path / "stdin").open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        for first in row.before if row is not None else ():
            assert run(words_of(shlex.split(first)[1:], None, tmp_path)) == 0, capfd.readouterr()
        code, (out, err) = run(words), capfd.readouterr()
    assert code in (row.codes if row is not None else (0,)), f"{words} ended with {code}\n{out}\n{err}"
    if row is not None and code:
        assert row.says in out + err


SNIPPETS = {
    "README.md": (),
    "docs/bundles.md": ("edgekit sign build/inception_v4-cpu --key ~/.ssh/id_ed25519",),
}
"""Pages whose Python is run here, and what comes before; that of the tutorial is run with all of it."""
ELSEWHERE = {"docs/tutorial.md"}


def test_no_snippet_is_left_out() -> None:
    assert {page for page, _, _ in snippets("python")} == {*SNIPPETS, *ELSEWHERE}


@pytest.mark.parametrize("page", SNIPPETS)
def test_python_runs(
    page: str, sandbox: Sandbox, common_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an application has it: with pictures, a camera's frame and a file's bytes at hand."""
    import numpy as np

    surroundings(sandbox, monkeypatch, common_store)
    monkeypatch.chdir(sandbox.copy(tmp_path / "work", None))
    for name in ("a.jpg", "b.jpg"):
        shutil.copy("photo.jpg", name)
    for first in SNIPPETS[page]:
        with (tmp_path / "stdin").open("w+") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert run(words_of(shlex.split(first)[1:], None, tmp_path)) == 0
    at_hand = {"camera_frame": np.zeros((48, 64, 3), np.uint8), "jpeg_bytes": Path("photo.jpg").read_bytes()}
    for told, line, text in snippets("python"):
        if told == page:
            exec(compile(text, f"{page}:{line}", "exec"), at_hand)
