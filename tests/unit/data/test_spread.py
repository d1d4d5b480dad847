"""Choosing some of many: in order, always the same, and of all classes, however a list has them in turns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgekit.data.folder import open_images
from edgekit.data.image_set import spread
from edgekit.prune.sources import signs_images


@given(st.integers(0, 3_000), st.none() | st.integers(0, 3_000))
def test_one_of_each_part(count: int, limit: int | None) -> None:
    chosen = spread(count, limit)
    wanted = count if limit is None else min(count, limit)
    assert len(chosen) == wanted
    assert all(part * count // wanted <= place < (part + 1) * count // wanted for part, place in enumerate(chosen))
    assert chosen == spread(count, limit)


@pytest.mark.parametrize("count", [1_600, 2_400, 9_600, 96_000])
@pytest.mark.parametrize("classes", [2, 3, 5, 8, 10, 24])
def test_classes_that_take_turns_are_all_chosen_from(count: int, classes: int) -> None:
    found = Counter(place % classes for place in spread(count, 800))
    assert min(found[each] for each in range(classes)) > 0.5 * 800 / classes


def test_signs_to_choose_by_show_every_class() -> None:
    tuning = signs_images(frozenset()).tuning
    assert tuning is not None
    held, chosen = tuning
    assert held.labels is not None
    labels = held.labels[chosen]
    assert min(Counter(labels.tolist()).values()) >= 20
    assert len(set(labels[spread(len(labels), 200)].tolist())) == len(set(held.labels.tolist()))


def test_some_rows_of_a_table_in_turns_are_of_every_class(tmp_path: Path) -> None:
    rows = ["path,label"]
    for index in range(96):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,{index % 4}")
    (tmp_path / "table.csv").write_text("\n".join(rows))
    labels = open_images(tmp_path / "table.csv", limit=24).labels
    assert labels is not None
    assert len(labels) == 24
    assert min(Counter(labels.tolist()).values()) >= 2
    assert set(labels.tolist()) == {0, 1, 2, 3}
