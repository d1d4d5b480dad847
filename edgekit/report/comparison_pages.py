"""A comparison of builds as cells, as Markdown for pull requests, and as JUnit XML for what shows tests."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from xml.etree import ElementTree

from edgekit.file_names import readable
from edgekit.report.comparison import Row
from edgekit.report.gates import Check, pairing
from edgekit.report.markdown_parts import table, text
from edgekit.report.metrics import Metric

MISSING: Final = "–"
MARKS: Final = {"met": "✅ met", "missed": "❌ missed", "undecided": "❔ undecided"}
NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no word for."""


def titles(of_task: Metric) -> list[str]:
    """Of the columns; the first two are text."""
    drops = ("drop, points", "below first (95 %)")
    return ["build", "chosen", of_task.title, *drops, "p50, ms", "times as long (95 %)", "size, MB"]


def cells(row: Row, first: Row) -> list[str]:
    """A build in the table. Ratios of latencies that were not timed side by side have no interval."""
    below, slower = row.below_first, row.slower
    against = "" if row is first else MISSING
    if below is not None:
        against = f"{below.drop:.2f} ({below.ci95[0]:.2f} to {below.ci95[1]:.2f})"
    ratio = "" if row is first else MISSING
    if slower is not None:
        ratio = f"{slower.times:.3f} ({slower.ci95[0]:.3f} to {slower.ci95[1]:.3f})"
    elif row is not first and row.p50 and first.p50:
        ratio = f"{row.p50 / first.p50:.2f} (not side by side)"
    size = None if row.size_bytes is None else row.size_bytes / 1e6
    return [
        row.build,
        row.chosen,
        _shown(row.accuracy),
        _shown(row.drop),
        against,
        _shown(row.p50),
        ratio,
        _shown(size, 1),
    ]


def _shown(value: float | None, digits: int = 2) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def state(found: Sequence[Check], strict: bool) -> str:
    """The outcome of all gates in a few words."""
    if not found:
        return "No gate was asked for"
    failed = sum(each.fails(strict) for each in found)
    if failed:
        return f"{failed} of {len(found)} gates failed"
    open_to = sum(each.outcome == "undecided" for each in found)
    return f"All {len(found)} gates passed" + (f", {open_to} of them undecided" if open_to else "")


def markdown(
    rows: Sequence[Row], found: Sequence[Check], of_task: Metric, cautions: Sequence[str], strict: bool
) -> str:
    """The comparison as a comment on a pull request has it."""
    heads = titles(of_task)
    parts = [
        "## edgekit compare",
        f"**{text(state(found, strict))}.** Each build beside the first, {text(readable(rows[0].build))}.",
        table(
            heads,
            [[readable(cell) for cell in cells(row, rows[0])] for row in rows],
            [place < 2 for place in range(len(heads))],
        ),
    ]
    if found:
        gates = [(readable(each.build), each.gate, _mark(each, strict), readable(each.text)) for each in found]
        parts.append(table(("build", "gate", "outcome", "why"), gates, [True] * 4))
    pairs = dict.fromkeys(f"{readable(row.build)}: accuracy {readable(pairing(row))}" for row in rows[1:])
    parts.append("\n".join(f"- {text(line)}" for line in [*pairs, *map(readable, cautions)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _mark(check: Check, strict: bool) -> str:
    return "❌ undecided" if check.outcome == "undecided" and strict else MARKS[check.outcome]


def junit(rows: Sequence[Row], found: Sequence[Check], strict: bool, when: datetime) -> str:
    """The gates as JUnit XML: a test case each, by build; one that is undecided and passes is a skipped one.

    It fits the schema of Jenkins' xUnit plugin and the stricter one of Ant's JUnit reports.
    """
    failed = sum(each.fails(strict) for each in found)
    open_to = sum(each.outcome == "undecided" for each in found) - sum(
        each.outcome == "undecided" and each.fails(strict) for each in found
    )
    whole = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(
        whole,
        "testsuite",
        {
            "name": "edgekit compare",
            "package": "edgekit",
            "id": "0",
            "tests": str(len(found)),
            "failures": str(failed),
            "errors": "0",
            "skipped": str(open_to),
            "time": "0",
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": _xml(socket.gethostname()) or "localhost",
        },
    )
    facts = ElementTree.SubElement(suite, "properties")
    for row in rows:
        told = {"name": _xml(row.build), "value": _xml(f"{row.chosen}, {row.runtime}, {row.device or 'unknown'}")}
        ElementTree.SubElement(facts, "property", told)
    for each in found:
        told = {"name": _xml(each.gate), "classname": _xml(each.build), "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", told)
        if each.fails(strict):
            why = {"message": _xml(each.text), "type": each.outcome}
            ElementTree.SubElement(case, "failure", why).text = _xml(each.line)
        elif each.outcome == "undecided":
            ElementTree.SubElement(case, "skipped", {"message": _xml(f"undecided: {each.text}")})
    ElementTree.SubElement(suite, "system-out").text = _xml("\n".join(each.line for each in found))
    ElementTree.SubElement(suite, "system-err").text = ""
    ElementTree.indent(whole)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(whole, encoding="unicode") + "\n"


def _xml(told: str) -> str:
    """Text whose control characters a reader sees, and which XML can hold."""
    return NO_XML.sub("\ufffd", "\n".join(map(readable, told.split("\n"))))
