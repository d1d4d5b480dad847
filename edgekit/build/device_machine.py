"""A device over SSH as a Machine: part of the input of the stages that run something on it."""

from __future__ import annotations

from dataclasses import asdict

from edgekit.devices.facts import DeviceFacts
from edgekit.runtime.processor import LIMITS, bound
from edgekit.targets import Machine

PASSING = frozenset({"clocks_mhz", "temperatures_c", "free_disk_bytes"})
"""What a device tells of the moment, which decides nothing."""


NOT_SETTINGS = PASSING | {"features", "isa_limit"}
"""What a device tells that is no setting of a Machine's."""


def device_machine(facts: DeviceFacts) -> Machine:
    """A device by what its probe told, clocks, temperatures and free disk of the moment left out."""
    settings = sorted((key, str(value)) for key, value in asdict(facts).items() if key not in NOT_SETTINGS)
    if facts.isa_limit is not None:
        settings.append((LIMITS[0], facts.isa_limit))
    return Machine(
        facts.name,
        facts.architecture,
        bound(facts.features, facts.isa_limit),
        facts.cores or 0,
        tuple(settings),
    )
