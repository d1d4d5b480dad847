"""Connections to `edgekit cache serve` that only wait: nobody can hold them, since no token is asked for that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


def impatient(head_s: float, most: int) -> type[H11Protocol]:
    """What uvicorn takes for its `http`.

    A connection ends where the head of its next request has not come within so many seconds. Of more than `most`, the
    one ends that has been waiting longest for a head.

    Args:
        head_s: seconds from the beginning of a connection, or from its last answer.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._await_head()
            waiting = [each for each in self.connections if isinstance(each, Impatient) and each.waits()]
            if len(self.connections) > most and waiting:
                min(waiting, key=lambda each: each.until.when()).transport.abort()

        def waits(self) -> bool:
            """Whether nothing is done for it: no head has come since it began, or since its last answer."""
            cycle: RequestResponseCycle | None = self.cycle  # none before the first request
            return (cycle is None or cycle.response_complete) and not self.transport.is_closing()

        def on_response_complete(self) -> None:
            self.until.cancel()
            self._await_head()
            super().on_response_complete()

        def connection_lost(self, error: Exception | None) -> None:
            self.until.cancel()
            super().connection_lost(error)

        def _await_head(self) -> None:
            self.until = self.loop.call_later(head_s, self._end_if_it_waits)

        def _end_if_it_waits(self) -> None:
            if self.waits():
                self.transport.abort()

    return Impatient
