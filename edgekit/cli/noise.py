"""What verbs that time have in common: --wait-idle, and a warning before they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import warn
from edgekit.cli.stacking import AnyFunction

if TYPE_CHECKING:
    from edgekit.build.quiet import Asked
    from edgekit.build.runner import Event, Listener
    from edgekit.cli.output import Progress
    from edgekit.devices.noise import MachineReading

DEFAULT_S = 600.0


class Seconds(click.ParamType):  # type: ignore[type-arg]
    """How long to wait; a word that is no number was meant for the verb itself."""

    name = "SECONDS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse; a usage error otherwise."""
        try:
            found = float(value)
        except ValueError:
            found = -1.0
        if not 0 <= found < float("inf"):
            self.fail(f"{value!r} is no number of seconds; give --wait-idle last, or --wait-idle=600", param, ctx)
        return found


def wait_idle_option(function: AnyFunction) -> AnyFunction:
    """Add --wait-idle [SECONDS]; the verb's function gets wait_idle (float or None)."""
    return click.option(
        "--wait-idle",
        type=Seconds(),
        is_flag=False,
        flag_value=str(DEFAULT_S),
        metavar="[SECONDS]",
        help="Where the machine to be timed is noisy, wait until it is quiet; after SECONDS (600) go on, warned.",
    )(function)


def warned(listener: Listener) -> Listener:
    """A listener that also says what an event warns of, at once."""

    def tell(event: Event) -> None:
        listener(event)
        if event.warning:
            warn(event.warning)

    return tell


def asked_here(wait_idle: float | None, bars: Progress) -> Asked:
    """Looks at this machine before it is timed, warns, and waits where that is asked."""
    from edgekit.build.quiet import asked
    from edgekit.cli.events import shown_on
    from edgekit.devices.noise import look_here

    return asked(look_here, wait_idle, warned(shown_on(bars)))


def noise_here() -> MachineReading | None:
    """Whether this machine could be measured now; None where a package is missing."""
    try:
        from edgekit.devices.noise import look_here
    except ImportError:
        return None
    return look_here()


def noise_in_words(noise: MachineReading | None) -> str:
    """A line for `edgekit doctor`."""
    if noise is None:
        return "not looked at: packages are missing"
    hint = ("--wait-idle of `edgekit build` waits",) if noise.verdict == "noisy" else ()
    return "; ".join((noise.words, *noise.notes, *hint))
