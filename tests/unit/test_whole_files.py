"""Files are there whole, as they were, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.whole_files import partial_of, written_whole


def test_a_file_takes_the_place_of_the_one_before_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text("before")
    with written_whole(path) as partial:
        partial.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, "before"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path, error: BaseException, before: str | None) -> None:
    path = tmp_path / "some.json"
    if before is not None:
        path.write_text(before)

    def half() -> None:
        with written_whole(path) as partial:
            partial.write_text("aft")
            raise error

    with pytest.raises(type(error)):
        half()
    assert [each.read_text() for each in tmp_path.iterdir()] == ([] if before is None else [before])


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    partial_of(path).write_text("half of what a killed pro")
    with written_whole(path) as partial:
        partial.write_text("whole")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["whole"]


def test_nothing_is_left_where_it_cannot_be_put(tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.mkdir()
    with pytest.raises(OSError, match="directory"), written_whole(path) as partial:
        partial.write_text("text")
    assert list(tmp_path.iterdir()) == [path]
