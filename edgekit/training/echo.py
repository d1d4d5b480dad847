"""Which pictures of a step are drawn for it, and which come again from the steps before.

To draw a picture and to ask a teacher about it can take as long as to learn from it. Where pictures are trained on
`echo` times each, a step draws that part of its batch, and takes the rest from what was drawn some steps ago (data
echoing: Choi et al. 2019, arXiv 1907.05550). Pictures that come again meet others then than the first time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgekit.training.recipe import Stage

LAG: Final = 4
"""Steps between two uses of a picture at least."""

SPREAD: Final = 4
"""By how many steps more at most, so that pictures of one step are not together again."""


@dataclass(frozen=True)
class Row:
    """A picture of a step: drawn in step `step` of the stage, as number `place` of those that come again."""

    step: int
    place: int


@dataclass(frozen=True)
class Echo:
    """The rows of each step of a stage."""

    stage: Stage

    @property
    def fresh(self) -> int:
        """Pictures that a step draws once enough steps are behind it; each of them comes again."""
        return max(1, self.stage.batch // self.stage.echo)

    @property
    def memory(self) -> int:
        """Steps that pictures are kept for."""
        return 0 if self.stage.echo == 1 else (self.stage.echo - 1) * LAG + SPREAD

    def again(self, step: int) -> tuple[Row, ...]:
        """The pictures of a step that were drawn before it."""
        rows = []
        for row in range(self.fresh, self.fresh * self.stage.echo):
            use, place = divmod(row, self.fresh)
            source = step - use * LAG - place % SPREAD
            if source >= 0:
                rows.append(Row(source, place))
        return tuple(rows)

    def drawn(self, step: int) -> int:
        """How many pictures a step draws: more at the beginning, when there are none to come again."""
        return self.stage.batch - len(self.again(step))

    def drawn_before(self, step: int) -> int:
        """How many pictures all steps before one draw."""
        early = min(step, self.memory)
        return sum(map(self.drawn, range(early))) + (step - early) * self.drawn(self.memory)
