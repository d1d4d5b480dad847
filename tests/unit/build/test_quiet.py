"""The look before a build: what is warned of, what is waited for, and that it is taken once, before work begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from evidence import evidence
from hogs import busy_processes
from test_assemble import PROVENANCE, findings, plan_of

from edgekit.build.assemble import assembled
from edgekit.build.quiet import IN_A_ROW, FirstLook, asked, look_first
from edgekit.build.runner import Event, Runner, nobody
from edgekit.build.stage import Progress, Stage
from edgekit.devices.noise import MachineReading, TimingProcess, look_here
from edgekit.report import html, markdown, validate
from edgekit.runtime import noise
from edgekit.runtime.noise import Sight, Spin
from edgekit.store import Store
from edgekit.validate.latency import Conditions


def reading(others: float | None, load: float = 1.5) -> MachineReading:
    work = Spin(40, 12.0, 3.0, 0.5)
    seen = Sight(0.5, [0], 2, 1, None, load, 1, others, 0.0, None, 0, [], None, None, work)
    return MachineReading.model_validate(noise.as_json(noise.judged(seen)))


def in_turn(*others: float | None) -> Callable[[], MachineReading]:
    """Readings one after the other; the last one for ever."""
    left = list(others)
    return lambda: reading(left.pop(0) if len(left) > 1 else left[0])


def test_a_quiet_machine_is_not_spoken_of() -> None:
    events: list[Event] = []
    found = asked(in_turn(0.0), 60.0, events.append, sleep=pytest.fail)
    assert (found.warning, found.waited_s, found.reading.verdict) == (None, 0.0, "quiet")
    assert [each.warning for each in events if each.finished] == [""]


def test_a_noisy_one_is_warned_of_at_once_and_not_waited_for_unasked() -> None:
    events: list[Event] = []
    found = asked(in_turn(0.9), None, events.append, sleep=pytest.fail)
    assert found.warning is not None
    assert "load 1.5 on 1 CPU: other programs take 0.9 of it" in found.warning
    assert "--wait-idle" in found.warning
    assert events[-1].warning == found.warning


def test_it_is_waited_until_it_was_quiet_for_a_while() -> None:
    events, slept = list[Event](), list[float]()
    found = asked(in_turn(0.9, 0.8, 0.0, 0.7, 0.0, 0.0), 600.0, events.append, sleep=slept.append)
    assert found.warning is None
    assert found.reading.verdict == "quiet"
    assert len(slept) == 3 + IN_A_ROW
    waiting = [each for each in events if each.stage.startswith("wait") and not each.finished]
    assert "other programs take 0.9" in waiting[0].detail
    assert waiting[0].total == 600


def test_the_wait_ends_at_its_limit_and_says_so() -> None:
    found = asked(in_turn(0.9), 0.2, nobody, sleep=time.sleep)
    assert found.warning is not None
    assert "is still noisy" in found.warning
    assert found.waited_s >= 0.2


def test_what_cannot_be_told_is_not_waited_for() -> None:
    found = asked(lambda: reading(None, load=0.1), 600.0, nobody, sleep=pytest.fail)
    assert found.reading.verdict == "unknown"
    assert found.warning is not None
    assert "use by other programs, governor, clocks cannot be read" in found.warning
    assert asked(lambda: reading(None, load=0.1), None, nobody).warning is None, "the report says it"


def test_the_wait_is_over_when_what_disturbed_is_over() -> None:
    with busy_processes(1, seconds=60.0) as hogs:

        def look() -> MachineReading:
            return reading(0.0 if hogs[0].poll() is not None else 1.0)

        looks = 0

        def sleep(seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                hogs[0].kill()
                hogs[0].wait()

        found = asked(look, 600.0, nobody, sleep=sleep)
    assert found.reading.verdict == "quiet"
    assert looks == 2 + IN_A_ROW, "two looks found it busy; after the third pause it was not"


LONGEST_S = 15.0


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="there is no /proc here")
def test_the_wait_for_this_machine_is_over_when_real_programs_are() -> None:
    count = len(look_here().seen.cpus or (0,))
    with busy_processes(2 * count, seconds=5.0) as hogs:
        time.sleep(0.5)
        found = asked(look_here, LONGEST_S, nobody)
        still = [each for each in hogs if each.poll() is None]
    if found.reading.verdict == "noisy":  # other programs run beside the tests: it was waited as long as it may be
        assert found.waited_s == pytest.approx(LONGEST_S, abs=5.0)
    else:
        assert still == []
    assert found.waited_s > 0


@dataclass(frozen=True)
class Given:
    text: str


def _make(given: Given, folder: Path, progress: Progress) -> Sequence[str]:
    (folder / "text").write_text(given.text)
    return ()


SAY = Stage("say", ("click",), _make, lambda folder: (folder / "text").read_text())


def test_it_is_looked_once_and_only_before_something_is_made(tmp_path: Path) -> None:
    Runner(Store(tmp_path))(SAY, Given("kept"))
    looked: list[str] = []
    run = Runner(Store(tmp_path), before_work=lambda: looked.append("looked"))
    run(SAY, Given("kept"))
    assert looked == []
    run(SAY, Given("new"))
    run(SAY, Given("newer"))
    assert looked == ["looked"]


def test_how_long_may_be_waited_is_in_the_key_of_no_stage() -> None:
    from edgekit.build.measure import measure_input

    plan = plan_of()
    other = plan.recipe.model_copy(update={"latency": plan.recipe.latency.model_copy(update={"wait_idle_s": 60.0})})
    facts = findings(plan, evidence(), "int8").exported.facts
    assert measure_input(plan, (), facts) == measure_input(replace(plan, recipe=other), (), facts)


def test_nothing_is_looked_at_where_nothing_is_timed() -> None:
    from edgekit.build.plan import planned
    from edgekit.recipe import Recipe

    run = Runner(Store())
    look_first(planned(Recipe(target="raspberry-pi-5"), Store()), run)
    assert run.before_work is None
    look_first(plan_of(), run)
    assert run.before_work is not None


def test_the_report_tells_what_was_seen_in_all_its_formats() -> None:
    plan, given = plan_of(), evidence()
    process = TimingProcess(
        cpus=(0, 1, 2, 5), cores=8, sharing=2, others=0.7, stolen_percent=0.0, threads={"fp32": 4, "int8": 4}
    )
    first = FirstLook(plan, Runner(Store()))
    first.asked = asked(in_turn(0.9), None, nobody)
    found = replace(findings(plan, given, "int8"), before=first.asked)
    measured = replace(found.measured, conditions=Conditions(machine=reading(0.01), process=process))
    report = assembled(plan, Runner(Store()), replace(found, measured=measured), PROVENANCE)
    whole = validate(report.as_dict())
    told = whole.as_dict()["conditions"]
    assert told["before_build"]["verdict"] == "noisy"
    assert told["before_timing"]["not_read"] == ["governor", "clocks"]
    assert told["timing_process"]["cpus"] == [0, 1, 2, 5]
    for page in (markdown(whole), html(whole)):
        assert "Machine before the build" in page
        assert "other programs take 0.9 of it" in page
        assert "not read: governor, clocks" in page
        assert "held to 4 of the machine's 8 CPUs (0-2,5)" in page.replace("&#39;", "'")
        assert "2 of them share a core with another one" in page
        assert "4 threads a picture" in page
        assert "other programs took 0.70 CPUs meanwhile" in page
    assert process.doubts == ("other programs took 0.7 of 4 CPUs",)


def test_a_report_without_a_look_has_no_conditions() -> None:
    plan, given = plan_of(), evidence()
    report = assembled(plan, Runner(Store()), findings(plan, given, "int8"), PROVENANCE)
    assert "conditions" not in report.as_dict()
    assert "Machine before" not in markdown(report)
