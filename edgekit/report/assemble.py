"""Puts what the stages found together as the report that report.json holds."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edgekit import __version__

if TYPE_CHECKING:
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet
    from edgekit.models.source import Source
    from edgekit.validate.verdict import Verdict


def assemble(
    *,
    source: Source,
    facts: Mapping[str, Any],
    target: Mapping[str, Any],
    images: ImageSet | None,
    calibration: CalibrationSet | None,
    spread: Mapping[str, Any] | None,
    verdict: Verdict,
    pruning: Mapping[str, Any],
    tuning: Mapping[str, Any] | None,
    stages: Sequence[Mapping[str, Any]],
    warnings: Sequence[str],
) -> dict[str, Any]:
    """The report, schema 1.

    Args:
        facts: of the exported graph: height, width, classes, params, macs.
        target: as the report has it, and under "environment" what was used on this machine.
        tuning: how a mix of precisions was found, if one was looked for.
        pruning: what was pruned, or why nothing was.
        calibration: None where the precision needs none.
        spread: of the drop over other calibration sets, where it was measured.
    """
    return {
        "schema": 1,
        "edgekit": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {
            "name": source.name,
            "tag": source.tag,
            "weights_sha256": source.weights_sha256,
            "params": facts["params"],
            "macs": facts["macs"],
            "input": [1, 3, facts["height"], facts["width"]],
            "classes": facts["classes"],
        },
        "target": {key: value for key, value in target.items() if key != "environment"},
        "data": _data(images),
        "calibration": calibration and _calibration(calibration, spread),
        "variants": verdict.variants,
        "chosen": verdict.chosen,
        "verdict": verdict.verdict,
        "pruning": dict(pruning),
        "tuning": tuning,
        "stages": list(stages),
        "warnings": [*warnings, *verdict.warnings],
        "environment": {
            "python": platform.python_version(),
            "system": platform.platform(),
            **target["environment"],
        },
    }


def _data(images: ImageSet | None) -> dict[str, Any]:
    if images is None:
        return {"name": None, "images": None, "digest": None, "why": "no evaluation images were given (--data)"}
    return {"name": images.name, "images": len(images), "digest": images.digest}


def _calibration(chosen: CalibrationSet, spread: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "images": len(chosen.items),
        "strategy": chosen.strategy,
        "digest": chosen.digest,
        "seed": chosen.seed,
        **({"spread": dict(spread)} if spread is not None else {}),
    }
