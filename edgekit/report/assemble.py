"""Puts what the stages found together as the report that report.json holds."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from pydantic import JsonValue

from edgekit import __version__
from edgekit.report.model import Report
from edgekit.report.schema import validate

if TYPE_CHECKING:
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet
    from edgekit.models.source import Source
    from edgekit.validate.verdict import Verdict

Values = Mapping[str, JsonValue]
"""An object as JSON has it: what a stage left in its file."""


@dataclass(frozen=True)
class Findings:
    """What the stages of a build found.

    Attributes:
        facts: of the exported graph: height, width, classes, params, macs.
        target: as the report has it; environment: what was used on this machine and the device.
        images: of the evaluation, if any; calibration: None where the precision needs none.
        spread: of the drop over other calibration sets, where it was measured.
        pruning: what was pruned, or why nothing was; tuning: how a mix of precisions was found, if one was looked for.
        referee: what an independent runtime says of the outputs, where one was asked.
    """

    source: Source
    facts: Values
    target: Values
    environment: Values
    images: ImageSet | None
    calibration: CalibrationSet | None
    spread: Values | None
    verdict: Verdict
    pruning: Values | None
    tuning: Values | None
    stages: Sequence[Values]
    warnings: Sequence[str]
    task: str = "classify"
    referee: Values | None = None


def assemble(found: Findings) -> Report:
    """The report, schema 1.

    Raises:
        InputError: a stage found what no report can hold; a bug of that stage.
    """
    source, facts = found.source, found.facts
    return validate(
        {
            "schema": 1,
            "edgekit": __version__,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "task": found.task,
            "model": {
                "name": source.name,
                "tag": source.tag,
                "weights_sha256": source.weights_sha256,
                "params": facts["params"],
                "macs": facts["macs"],
                "input": [1, 3, facts["height"], facts["width"]],
                "classes": facts["classes"],
            },
            "target": found.target,
            "data": _data(found.images),
            "calibration": found.calibration and _calibration(found.calibration, found.spread),
            "variants": found.verdict.variants,
            "chosen": found.verdict.chosen,
            "verdict": found.verdict.verdict,
            "pruning": found.pruning,
            "tuning": found.tuning,
            "referee": found.referee,
            "stages": found.stages,
            "warnings": [*found.warnings, *found.verdict.warnings],
            "environment": {
                "python": platform.python_version(),
                "system": platform.platform(),
                **found.environment,
            },
        }
    )


def _data(images: ImageSet | None) -> Values:
    if images is None:
        return {"name": None, "images": None, "digest": None, "why": "no evaluation images were given (--data)"}
    return {"name": images.name, "images": len(images), "digest": images.digest}


def _calibration(chosen: CalibrationSet, spread: Values | None) -> Values:
    values: Values = {
        "images": len(chosen.items),
        "strategy": chosen.strategy,
        "digest": chosen.digest,
        "seed": chosen.seed,
    }
    return values if spread is None else {**values, "spread": dict(spread)}
