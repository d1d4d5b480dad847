"""Builds to compare: reports with an accuracy of one's own, and bundles with answers by image."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bundles import fit, make_bundle
from numpy.typing import NDArray
from samples import SAMPLE_REPORT

from edgekit.bundle.answers import NAME, Answers

Change = Callable[[dict[str, Any]], Any]


def report_of(top1: float, images: int, change: Change = lambda told: None) -> dict[str, Any]:
    """The sample's report with another accuracy of the chosen variant, and bounds of its median."""
    told = copy.deepcopy(SAMPLE_REPORT)
    chosen = next(each for each in told["variants"] if each["name"] == told["chosen"])
    chosen["accuracy"] |= {"top1": top1, "images": images, "ci95": None}
    del chosen["accuracy"]["ci95"]
    chosen["latency"] |= {"p50": 4.0, "p50_bounds": [3.9, 4.1]}
    change(told)
    return told


def with_answers(out: Path, right: NDArray[np.bool_], baseline: NDArray[np.bool_] | None = None) -> Path:
    """A bundle with its report and which of some images it has right."""
    made = make_bundle(out, runtime="onnxruntime")
    base = right if baseline is None else baseline
    images = np.arange(len(base), dtype=np.uint64).view(np.uint8).reshape(-1, 8)
    answers = Answers(images, np.zeros(len(base), np.int32), base, right)
    report = report_of(100 * float(right.mean()), len(right))
    fit(made, {NAME: answers.to_bytes(), "report.json": json.dumps(report).encode()})
    return made
