"""Builds side by side: the chosen variant of each, and how it differs from the first build's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.bundle.answers import Answers, read_answers
from edgekit.bundle.directory import MANIFEST
from edgekit.errors import InputError
from edgekit.report.metrics import Metric, metric
from edgekit.report.model import Report
from edgekit.report.schema import read
from edgekit.validate.between_builds import Below, Sample, below, common
from edgekit.validate.side_by_side import SideBySide, Slower

NO_ANSWERS: Final = "a build keeps no answers by image"
OF_NO_IMAGE: Final = "this accuracy is of no single images"
ROUNDING: Final = 1e-6


@dataclass(frozen=True)
class Build:
    """A build as it is compared: its name as it was given, its report, and its answers by image if it keeps them."""

    name: str
    report: Report
    answers: Answers | None = None


@dataclass(frozen=True)
class Row:
    """A build in the comparison: its chosen variant, percent, points, ms and bytes; None where not measured.

    Attributes:
        top1, map: accuracy is one of them, by the task; drop: from the build's own FP32.
        p50, p50_bounds: of its report, or as it was timed once more.
        below_first: accuracy against the first build's; why_no_drop: why there is none. Of the first both are None.
        fp32_below_first: the same of FP32, of builds whose images are paired.
        slower: against the first build, where both were timed side by side.
    """

    build: str
    chosen: str
    top1: float | None
    map: float | None
    ci95: tuple[float, float] | None
    images: int | None
    drop: float | None
    p50: float | None
    p50_bounds: tuple[float | None, float | None] | None
    size_bytes: int | None
    data: str | None
    device: str | None
    runtime: str
    below_first: Below | None = None
    why_no_drop: str | None = None
    fp32_below_first: Below | None = None
    slower: Slower | None = None

    @property
    def accuracy(self) -> float | None:
        """Percent."""
        return self.top1 if self.map is None else self.map


def read_build(path: Path) -> Build:
    """A build from its bundle's directory, or from its report.json alone.

    Raises:
        InputError: there is no report, or the bundle's files are not those of its manifest.
    """
    report = read(path)
    answers = read_answers(path) if path.is_dir() and (path / MANIFEST).exists() else None
    if answers is not None:
        told = report.chosen_variant.accuracy
        right = 100 * float(answers.chosen.mean())
        if told.images != len(answers.chosen) or told.top1 is None or abs(told.top1 - right) > ROUNDING:
            raise InputError(f"the answers in {path} are not those that its report tells of", "Build it again.")
    return Build(str(path), report, answers)


def check_tasks(builds: Sequence[Build]) -> None:
    """Refuses what has nothing to compare.

    Raises:
        InputError: the builds are of different tasks.
    """
    tasks = dict.fromkeys(each.report.task for each in builds)
    if len(tasks) > 1:
        raise InputError(f"the builds are of different tasks: {', '.join(tasks)}", "Compare builds of one task.")


def compared(builds: Sequence[Build], timed: SideBySide | None = None) -> tuple[Row, ...]:
    """The builds in their order, each against the first; they are of one task.

    Args:
        timed: their latencies once more, by `name_of`.
    """
    return tuple(_row(place, each, builds[0], timed) for place, each in enumerate(builds))


def name_of(place: int, build: Build) -> str:
    """A name that no other build of a comparison has."""
    return f"{place + 1}:{build.name}"


def _row(place: int, build: Build, first: Build, timed: SideBySide | None) -> Row:
    report, chosen, of_task = build.report, build.report.chosen_variant, metric(build.report)
    again = None if timed is None else timed.timed[name_of(place, build)]
    against, why = (None, None) if place == 0 else _below(first, build, of_task)
    return Row(
        build=build.name,
        chosen=chosen.name,
        top1=of_task.value(chosen.accuracy) if of_task.key == "top1" else None,
        map=of_task.value(chosen.accuracy) if of_task.key == "map" else None,
        ci95=chosen.accuracy.ci95,
        images=chosen.accuracy.images,
        drop=report.verdict.accuracy.drop,
        p50=chosen.latency.p50 if again is None else again.p50,
        p50_bounds=chosen.latency.p50_bounds if again is None else again.p50_bounds,
        size_bytes=chosen.size_bytes,
        data=report.data.digest,
        device=report.target.device,
        runtime=chosen.runtime,
        below_first=against,
        why_no_drop=why,
        fp32_below_first=_fp32(first, build) if against is not None and against.paired is not None else None,
        slower=None if timed is None or place == 0 else timed.slower[name_of(place, build)],
    )


def _below(first: Build, other: Build, of_task: Metric) -> tuple[Below | None, str | None]:
    before, after = (_sample(each.report, of_task) for each in (first, other))
    if before is None or after is None:
        return None, f"accuracy {'of the first build ' if before is None else ''}was not measured"
    for which, each in (("the first build", first), ("this build", other)):
        verdict = each.report.verdict.accuracy
        if verdict.drop is not None and verdict.ok is None and verdict.why:
            return None, f"the accuracy of {which} proves nothing ({verdict.why})"
    if first.answers is None or other.answers is None:
        return below(before, after, None, NO_ANSWERS if first.report.task == "classify" else OF_NO_IMAGE), None
    return below(before, after, common(first.answers, other.answers)), None


def _fp32(first: Build, other: Build) -> Below | None:
    """Of FP32 on the images that both saw; the samples stand for nothing here."""
    assert first.answers is not None
    assert other.answers is not None
    pairs = common(first.answers, other.answers, baseline=True)
    nothing = Sample(0.0, 1)
    return below(nothing, nothing, pairs) if pairs.why_not is None else None


def _sample(report: Report, of_task: Metric) -> Sample | None:
    told = report.chosen_variant.accuracy
    value = of_task.value(told)
    if value is None or not told.images or (not of_task.is_share and told.ci95 is None):
        return None
    return Sample(value, told.images, None if of_task.is_share else told.ci95)


def apart(builds: Sequence[Build]) -> list[str]:
    """In what the devices and runtimes of builds differ, so that their figures do not compare; empty if in nothing."""
    found = []
    for what, values in (
        ("device", [each.report.target.device or "unknown" for each in builds]),
        ("processor features", [" ".join(sorted(each.report.target.features)) or "none" for each in builds]),
        ("runtime", [each.report.chosen_variant.runtime for each in builds]),
    ):
        if len(set(values)) > 1:
            found.append(f"{what}: {' / '.join(dict.fromkeys(values))}")
    return found
