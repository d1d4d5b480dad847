"""What `edgekit build` says as a command, and what must hold of it whichever network it is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What a build said: its exit code, its last line on stderr, and the report where there is one."""

    code: int
    line: str
    report: dict[str, Any] | None

    def check(self) -> dict[str, Any]:
        """The report of a build that is whole, whose FP32 is the network that came."""
        assert self.code in (0, 3), self.line
        assert self.report is not None
        found = self.report["referee"]
        assert found["agreement"] == 100
        assert found["max_logit_difference"] <= found["tolerance"]
        return self.report

    def check_or_refused(self) -> None:
        """Either that, or one line that says why not; never a fault of edgekit's own."""
        if self.code in (2, 4):
            assert self.line.startswith("edgekit: error: ")
        else:
            self.check()


Build = Callable[..., Answer]
