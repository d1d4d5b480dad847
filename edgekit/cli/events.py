"""Shows the events of stages as progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from edgekit.cli.plain import CACHED

if TYPE_CHECKING:
    from edgekit.build.runner import Event
    from edgekit.cli.output import Progress


def shown_on(bars: Progress) -> Callable[[Event], None]:
    """A listener for stages that moves the bars."""

    def tell(event: Event) -> None:
        if event.ahead is not None:
            bars.foresee(event.ahead)
        elif event.finished:
            bars.finish(event.stage, CACHED if event.cached else event.detail)
        else:
            bars.update(event.stage, event.done, event.total, event.detail)

    return tell
