"""How a build can be done again: what its lock holds to, and the commands."""

from __future__ import annotations

from typing import Final

from edgekit.report.model import Report
from edgekit.report.model_evidence import LockedDecisions, LockedPruning
from edgekit.report.summary import number

COMMANDS: Final = (
    ("Check that the bundle is whole, and answers as it did", "edgekit verify ."),
    ("Make the same network again, whatever is measured", "edgekit build --locked recipe.lock.yaml --out ../again"),
    ("Build it from the recipe, every decision measured anew", "edgekit build --recipe recipe.yaml --out ../again"),
    ("Compare the two", "edgekit compare . ../again"),
    ("Time it again, alone", "edgekit bench ."),
    ("Write this page again", "edgekit report . --out report.html"),
)
"""What is done, and the command for a shell in the bundle's directory."""


def decisions(report: Report) -> list[tuple[str, str]]:
    """What the lock holds to: subject and text; empty where a report does not tell."""
    locked = report.locked
    if locked is None:
        return []
    on = "" if locked.backend is None else f" on {locked.backend}"
    lines = [
        ("Chosen", f"{locked.chosen}{on}, of the precisions {', '.join(locked.precisions)}"),
        ("Weights", f"sha256 {locked.weights_sha256}" if locked.weights_sha256 else "without a hash"),
        ("Calibration set", locked.calibration_digest or "none"),
        ("Seed", str(locked.seed)),
        ("Pruning", _pruning(locked.pruning)),
        ("Mix of precisions", _search(locked)),
        ("Decided on", locked.made_on),
    ]
    told = ", ".join(f"{name} {version or 'none'}" for name, version in locked.versions.items())
    return [*lines, ("Versions", told)] if told else lines


def _pruning(pruned: LockedPruning | None) -> str:
    if pruned is None:
        return "none"
    kept = f"{number(pruned.kept, 0)} of {number(pruned.units, 0)} channels stay"
    kept += f", {number(pruned.layers, 0)} layers changed"
    kept += f", {number(pruned.blocks, 0)} residual blocks removed" if pruned.blocks else ""
    parts = [f"{pruned.importance}: {kept}" if pruned.importance else kept]
    run = pruned.recovery
    if run is not None:
        trained = f"recovery of {number(run.steps, 0)} steps, {number(run.images, 0)} images"
        parts.append(f"{trained}, {run.number_format}, {run.threads} threads")
    return "; ".join(parts)


def _search(locked: LockedDecisions) -> str:
    found = locked.search
    if found is None:
        return "none"
    trained = ", trained" if found.trained else ""
    return f"{found.way}, {number(found.float_operators, 0)} operators in 16 bits{trained}"
