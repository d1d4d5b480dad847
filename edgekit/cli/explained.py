"""What `edgekit quantize --explain` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from edgekit.cli.output import print_table, say

if TYPE_CHECKING:
    from edgekit.report.explanation import Explanation, WorstOperator

BARS: Final = " ▁▂▃▄▅▆▇█"
COLUMNS: Final = 24
TITLES: Final = ("layer", "kind", "own, dB", "all, dB", "KL won", "reads", "quantizer", "values")


def show(explanation: Explanation) -> None:
    """Prints the worst layers and, beneath them, what is wrong with each."""
    say("", f"{explanation.sentence}")
    for cause in explanation.causes:
        say(f"input: {cause.text}")
    say("")
    print_table(TITLES, [_row(each) for each in explanation.worst])
    for each in explanation.worst:
        say("", f"{each.name}:")
        for cause in each.causes:
            say(f"  {cause.code}: {cause.text}")


def bars(counts: Sequence[int], columns: int = COLUMNS) -> str:
    """A histogram in one line; heights are square roots of counts, so that few far values are seen."""
    groups = [sum(counts[i * len(counts) // columns : (i + 1) * len(counts) // columns]) for i in range(columns)]
    most = max(groups, default=0)
    if most == 0:
        return ""
    return "".join(BARS[0 if group == 0 else max(1, round(8 * (group / most) ** 0.5))] for group in groups)


def _row(each: WorstOperator) -> Sequence[str]:
    seen = each.activation
    first = (each.name, each.kind, f"{each.own_db:.1f}", f"{each.total_db:.1f}", f"{each.kl_won:.2g}")
    if seen is None:
        return (*first, "", "", "")
    reads = f"{seen.low:.3g} to {seen.high:.3g}"
    return (*first, reads, f"{seen.quantizer_low:.3g} to {seen.quantizer_high:.3g}", bars(seen.histogram))
