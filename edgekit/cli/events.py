"""Shows the events of stages as progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.build.runner import Event
    from edgekit.cli.output import Progress


def shown_on(bars: Progress) -> Callable[[Event], None]:
    """A listener for stages that moves the bars."""

    def tell(event: Event) -> None:
        if event.finished:
            bars.finish(event.stage, "cached" if event.cached else "")
        else:
            bars.update(event.stage, event.done, event.total, event.detail)

    return tell
