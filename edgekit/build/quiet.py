"""Whether the machine that is timed is quiet: asked before anything takes minutes, and waited for where that is asked.

What is found decides no result, so it is in the input of no stage. A build whose stages all come from the store does
not look.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.build.executor import OnDevice
from edgekit.build.runner import Event, Listener
from edgekit.devices.noise import MachineReading, look_here, look_there

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner

LOOKING: Final = "machine"
WAITING: Final = "wait for a quiet machine"
PAUSE_S: Final = 2.0
IN_A_ROW: Final = 2
"""Looks that must find it quiet, after one did not: others may only have caught their breath."""


@dataclass(frozen=True)
class Asked:
    """The last reading, how long was waited for it, and what the user should know; None where it is quiet."""

    reading: MachineReading
    waited_s: float
    warning: str | None


def asked(
    look: Callable[[], MachineReading],
    wait_idle_s: float | None,
    listener: Listener,
    name: str = "this machine",
    sleep: Callable[[float], None] = time.sleep,
) -> Asked:
    """Looks at a machine, and waits until it is quiet; where that takes too long it goes on, and says so.

    Args:
        look: takes a reading; wait_idle_s: how long may be waited; None does not wait.
        listener: is told what is waited for, and the warning at once.
    """
    listener(Event(LOOKING, detail=f"is {name} quiet enough to be measured?"))
    began, reading = time.monotonic(), look()
    waited = 0.0
    if reading.verdict == "noisy" and wait_idle_s is not None:
        quiet = 0
        while quiet < IN_A_ROW and waited < wait_idle_s:
            listener(Event(WAITING, round(waited), round(wait_idle_s), detail=reading.words))
            sleep(min(PAUSE_S, wait_idle_s - waited))
            reading = look()
            quiet = 0 if reading.verdict == "noisy" else quiet + 1
            waited = time.monotonic() - began
        listener(Event(WAITING, finished=True))
    warning = _warning(reading, waited, wait_idle_s, name)
    listener(Event(LOOKING, finished=True, warning=warning or ""))
    return Asked(reading, round(waited, 1), warning)


def _warning(reading: MachineReading, waited: float, wait_idle_s: float | None, name: str) -> str | None:
    if reading.verdict == "noisy" and wait_idle_s is not None:
        return f"{name} is still {reading.words}; waited {waited:.0f} s, and went on: latencies will not repeat well"
    if reading.verdict == "noisy":
        return f"{name} is {reading.words}; latencies will not repeat well. --wait-idle waits until that is over"
    if reading.verdict == "unknown" and wait_idle_s is not None:
        return f"{name}: {reading.words}, so that there was nothing to wait for"
    return None


@dataclass
class FirstLook:
    """The look before the first stage that is not in the store; `asked` stays None where all of them are."""

    plan: Plan
    run: Runner
    asked: Asked | None = None

    def take(self) -> None:
        """Looks at what is timed, and waits where the recipe says so."""
        plan, executor = self.plan, self.plan.executor
        timed_s = plan.recipe.latency.max_seconds  # what is timed for less needs no longer look
        look, name = (lambda: look_here(timed_s)), "this machine"
        if isinstance(executor, OnDevice):
            connection = executor.connection
            look, name = (lambda: look_there(connection)), connection.device.name
        self.asked = asked(look, plan.recipe.latency.wait_idle_s, self.run.listener, name)
        if self.asked.warning is not None:
            self.run.warn(f"before the build {self.asked.warning}")


def look_first(plan: Plan, run: Runner) -> FirstLook:
    """Has the runner look before it makes anything; not where nothing is timed."""
    first = FirstLook(plan, run)
    if plan.executor.untimed is None:
        run.before_work = first.take
    return first
