"""Trials of a search as tests need them: a small space, and records without any network behind them."""

from __future__ import annotations

import numpy as np

from edgekit.cluster.search.journal import AccuracyFound, LatencyFound, Settings, TrialRecord, packed
from edgekit.cluster.search.proposals import Sampler
from edgekit.cluster.search.space import Setting, Space
from edgekit.recipe import Recipe

IMAGES = 200
SPACE = Space(pruning=("none", "auto", 0.85, 0.7, 0.5, 0.3), importances=("fisher", "taylor", "magnitude"))
FIRST = Setting(pruning="auto", importance="fisher")


def settings_of(sampler: Sampler = "tpe", seed: int = 0) -> Settings:
    """A search of the small space."""
    return Settings(
        recipe=Recipe(),
        weights_sha256=None,
        data="0" * 64,
        space=SPACE,
        first=FIRST,
        sampler=sampler,
        objectives=("accuracy", "latency", "size"),
        seed=seed,
        batch=4,
        images=IMAGES,
        trial_minutes=1.0,
        most_calibration=16,
        versions={"torch": "2"},
    )


def complete(number: int, setting: Setting, right: float, ratio: float, size_bytes: int = 1000) -> TrialRecord:
    """A trial with values: the first images are right."""
    answers = np.arange(IMAGES) < round(right * IMAGES)
    top1 = 100 * float(answers.mean())
    return TrialRecord(
        number=number,
        setting=setting,
        state="complete",
        accuracy=AccuracyFound(
            top1=top1, ci95=(top1 - 3, top1 + 3), images=IMAGES, drop=0.0, drop_ci95=(-1, 1), right=packed(answers)
        ),
        latency=LatencyFound(
            p50=ratio,
            ratio=ratio,
            ratio_ci95=(ratio * 0.98, ratio * 1.02),
            reference_p50=1.0,
            fp32_p50=3.0,
            began=float(number // 4),
            ended=float(number // 4) + 0.5,
        ),
        size_bytes=size_bytes,
    )
