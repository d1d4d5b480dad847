"""Lines of a training log: JSON, whatever the loss was, and read also where the last one was cut short."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def as_line(values: Mapping[str, object]) -> str:
    """Values by name as a line of JSON, which has no words for a float that is no number: that is null."""
    told = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
    return json.dumps(told, allow_nan=False) + "\n"


def step_of(line: str) -> float:
    """The step of a line; beyond all steps where the line is none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
