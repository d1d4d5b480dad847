"""INT8 stays on a device where it is faster for certain."""

from __future__ import annotations

import pytest

from edgekit.devices.forms import taken_by


@pytest.mark.parametrize(
    ("times", "low", "high", "form"),
    [(1.8, 1.7, 1.9, "int8"), (1.02, 0.99, 1.05, "fp16"), (1.0, 1.0, 1.0, "fp16"), (0.8, 0.7, 0.9, "fp16")],
)
def test_what_is_not_faster_is_taken_back(times: float, low: float, high: float, form: str) -> None:
    taken = taken_by(times, low, high)
    assert taken.form == form
    assert f"{times:.2f} times as fast" in taken.why
    assert f"{low:.2f} to {high:.2f}" in taken.why
