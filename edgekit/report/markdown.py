"""The report as Markdown (GitHub flavour)."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit.report import flips, layers, precision_search, pruned, repeat, summary
from edgekit.report.columns import columns
from edgekit.report.markdown_parts import table as _table
from edgekit.report.markdown_parts import text as _text
from edgekit.report.method import method
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_pruning import Pruning


def markdown(report: Report) -> str:
    """Render a valid report as Markdown."""
    shown = columns(report)
    rows = [[column.cell(report, variant) for column in shown] for variant in report.variants]
    mark = next(i for i, each in enumerate(report.variants) if each.name == report.chosen)
    table = _table([each.title for each in shown], rows, [each.is_text for each in shown], bold=mark)
    parts = [
        f"# {_text(summary.title(report))}",
        f"**{summary.state(report)[1]}.** {_text(summary.verdict(report))}",
        *_list("Warnings", report.warnings),
        "## Variants",
        table,
        f"The bundle holds **{_text(report.chosen)}**. {summary.MISSING} is a value that was not measured.",
        *_list("Not measured", summary.gaps(report)),
        *_fidelity(report),
        *_layers(report),
        *_flips(report),
        *_pruning(report),
        *_tuning(report),
        *_stages(report),
        "## How it was measured",
        _bullets(method(report)),
        *_again(report),
    ]
    if report.environment:
        told = [(key, summary.scalar(value)) for key, value in report.environment.items()]
        parts += ["## Environment", _bullets(told)]
    parts.append(f"edgekit {_text(report.edgekit)}, {_text(report.created)}. The numbers are in report.json.")
    return "\n\n".join(parts) + "\n"


def _bullets(pairs: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(value)}" for name, value in pairs)


def _list(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"## {heading}", "\n".join(f"- {_text(line)}" for line in lines)] if lines else []


def _fidelity(report: Report) -> list[str]:
    rows = summary.fidelity(report)
    if not rows:
        return []
    titles = ("variant", f"{metric(report).same}, %", "cosine", "KL")
    return ["## Fidelity to FP32", _table(titles, rows, (True, False, False, False))]


def _layers(report: Report) -> list[str]:
    """Where the time of the chosen variant goes, by operator; empty where its layers were not timed."""
    found = next(iter(layers.timed(report)), None)
    if found is None:
        return []
    titles = ("operator", "precision", "layers", "ms", "share, %")
    rows = [
        (each.operator, each.precision, f"{each.count:,}", summary.number(each.microseconds / 1e3, 2),
         summary.number(each.share))
        for each in found.groups
    ]  # fmt: skip
    said = _text(f"{found.sentence} {found.note}")
    return ["## Where the time goes", said, _table(titles, rows, (True, True, False, False, False))]


def _again(report: Report) -> list[str]:
    """What the lock holds to, and the commands; empty where a report tells nothing of it."""
    decisions = repeat.decisions(report)
    if not decisions:
        return []
    commands = "\n".join(f"- {_text(what)}: `{command}`" for what, command in repeat.COMMANDS)
    return ["## Do it again", _bullets(decisions), "In the bundle's directory:", commands]


def _flips(report: Report) -> list[str]:
    """The section on the images that changed, without pictures; empty where a report tells nothing of them."""
    found = flips.changed(report)
    if found is None:
        return []
    variant, flipped = found
    parts = [f"## {flips.HEADING}", _text(flips.sentence(variant, flipped))]
    if rows := flips.class_rows(variant):
        parts.append(_table(flips.CLASS_TITLES, rows, _first_is_text(flips.CLASS_TITLES)))
    if note := flips.left_out(variant):
        parts.append(_text(note))
    if shown := flips.flip_rows(flipped):
        titles = flips.flip_titles(variant)
        parts += [_text(flips.choice(flipped)), _table(titles, shown, [True] * len(titles))]
    return parts


def _pruning(report: Report) -> list[str]:
    """The section on pruning; empty where a report tells nothing of it."""
    pruning = report.pruning
    if pruning is None:
        return []
    parts = ["## Pruning", _text(pruned.sentence(pruning))]
    parts += [_table(each.titles, each.rows, _first_is_text(each.titles)) for each in pruned.tables(pruning)]
    parts += [_bullets(facts)] if (facts := pruned.facts(pruning)) else []
    curves = pruned.sensitivity_table(pruning)
    if curves is not None and pruning.sensitivity is not None:
        text = f"{pruned.sensitivity_title(pruning.sensitivity)} By the share removed:"
        parts += ["### Sensitivity", _text(text), _table(curves.titles, curves.rows, _first_is_text(curves.titles))]
    return [*parts, *_widths(pruning)]


def _tuning(report: Report) -> list[str]:
    """The section on the budget loop; empty where there was none."""
    search = report.precision_search
    if search is None:
        return []
    table = _table(precision_search.TITLES, precision_search.rows(search), _first_is_text(precision_search.TITLES))
    return [
        f"## {precision_search.HEADING}",
        _text(precision_search.sentence(search)),
        table,
        *filter(None, [_text(precision_search.floats(search))]),
    ]


def _first_is_text(titles: Sequence[str]) -> list[bool]:
    return [place == 0 for place in range(len(titles))]


def _widths(pruning: Pruning) -> list[str]:
    if not pruning.widths:
        return []
    rows = [
        (each.layer, *map(_arrow, each.before, each.after), pruned.percent(each.after[1] / each.before[1]))
        for each in pruning.widths
    ]
    table = _table(("layer", "in", "out", "out kept"), rows, (True, False, False, False))
    return [f"<details>\n<summary>{pruned.widths_title(pruning)}</summary>", table, "</details>"]


def _arrow(before: int, after: int) -> str:
    return f"{before}" if before == after else f"{before} → {after}"


def _stages(report: Report) -> list[str]:
    if not report.stages:
        return []
    rows = [(each.name, summary.number(each.seconds), "cached" if each.cached else "ran") for each in report.stages]
    return ["## Stages", _table(("stage", "seconds", "this time"), rows, (True, False, True))]
