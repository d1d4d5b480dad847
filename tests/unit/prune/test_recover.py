"""When recovery stops to look at the accuracy."""

from __future__ import annotations

import pytest

from edgekit.prune.recover import looks


@pytest.mark.parametrize(
    ("look_seconds", "planned_seconds", "parts"),
    [(10, 600, [0.6, 0.8, 1.0]), (20, 200, [0.6, 1.0]), (50, 200, [1.0]), (12, 6, [1.0]), (0.0, 0.0, [1.0])],
)
def test_a_look_must_be_able_to_save_several_times_what_it_takes(
    look_seconds: float, planned_seconds: float, parts: list[float]
) -> None:
    assert looks(look_seconds, planned_seconds) == parts
