"""The journal of a search: torn lines, other searches, and two at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_samples import FIRST, complete, settings_of

from edgekit.cluster.search.journal import Journal, TrialRecord, claimed, difference
from edgekit.errors import InputError


def filled(folder: Path, count: int = 3) -> list[TrialRecord]:
    journal, records = Journal(folder), [complete(n, FIRST, 0.9, 0.5) for n in range(count)]
    for each in records:
        journal.append(each)
    return records


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_torn_last_line_is_dropped_and_nothing_else(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = filled(folder)
        path = folder / "trials.jsonl"
        content = path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        path.write_bytes(content[:cut])
        journal = Journal(folder)
        whole = content[:cut].count(b"\n")
        assert list(journal.records.values()) == records[:whole]
        assert journal.torn == (cut > 0 and not content[:cut].endswith(b"\n"))
        for each in records[whole:]:
            journal.append(each)
        assert path.read_bytes() == content


def test_a_line_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text().replace('"number":1', '"number":"one"'))
    with pytest.raises(InputError, match="line 2 of"):
        Journal(tmp_path)


def test_a_trial_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match="trial 0 twice"):
        Journal(tmp_path)


def test_figures_come_back_as_they_were(tmp_path: Path) -> None:
    records = filled(tmp_path)
    point = Journal(tmp_path).records[1].point
    assert point is not None
    assert records[1].point is not None
    assert (point.right == records[1].point.right).all()
    assert point.ratio == records[1].point.ratio


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"seed": 1}, "its seed is 0, and 1 is asked for"),
        ({"batch": 8}, "its batch is 4, and 8"),
        ({"weights_sha256": "ab"}, 'its weights_sha256 is null, and "ab"'),
        ({"versions": {"torch": "3"}}, 'its versions.torch is "2", and "3"'),
        ({"space": settings_of().space.model_copy(update={"pruning": ("none", 0.5)})}, "its space.pruning is"),
    ],
)
def test_another_search_is_refused_by_what_differs(tmp_path: Path, change: dict[str, object], what: str) -> None:
    out = tmp_path / "out"
    with claimed(out, settings_of()):
        pass
    with claimed(out, settings_of()):
        pass
    other = settings_of().model_copy(update=change)
    assert what in str(difference(settings_of(), other))
    with pytest.raises(InputError) as refused, claimed(out, other):
        pass
    assert what in refused.value.what


def test_two_searches_do_not_run_in_one_folder(tmp_path: Path) -> None:
    with (
        claimed(tmp_path / "out", settings_of()),
        pytest.raises(InputError, match="another search runs"),
        claimed(tmp_path / "out", settings_of()),
    ):
        pass


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"other files, such as notes\.txt"), claimed(tmp_path, settings_of()):
        pass
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != ".lock") == ["notes.txt"]
