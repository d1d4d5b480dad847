"""`edgekit compare`: gates decided on bounds, what is refused, and what Markdown, JUnit XML and JSON say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import numpy as np
import pytest
from bundles import fit, make_bundle
from click.testing import CliRunner, Result
from compared import report_of, with_answers

from edgekit.cli.compare import command as compare
from edgekit.errors import InputError, UnavailableError


def run(*arguments: object) -> Result:
    return CliRunner().invoke(compare, [str(each) for each in arguments], standalone_mode=False)


def alone(path: Path, *told: Any) -> Path:
    """A report.json without a bundle."""
    path.write_text(json.dumps(report_of(*told)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two bundles: the second has 26 of the first's right answers wrong, and 6 of its wrong ones right."""
    folder = tmp_path_factory.mktemp("pair")
    before = np.arange(1_000) < 930
    after = before.copy()
    after[:26], after[930:936] = False, True
    return with_answers(folder / "old", before), with_answers(folder / "new", after)


def test_a_drop_is_found_on_paired_images(pair: tuple[Path, Path]) -> None:
    ran = run(*pair, "--max-drop", 0.5, "--json")
    assert ran.return_value == 3
    told = json.loads(ran.stdout)
    against = told["builds"][1]["below_first"]
    assert (against["drop"], against["images"], against["why"]) == (pytest.approx(2.0), 1_000, None)
    assert (against["paired"]["lost"], against["paired"]["won"]) == (26, 6)
    assert told["builds"][1]["fp32_below_first"]["images"] == 1_000
    assert told["gates"][0]["outcome"] == "missed"
    expected = "2.00 points below the first (95 % interval 0.86 to 3.13, paired on 1,000 images), the gate is 0.5"
    assert told["failures"] == [f"{pair[1]}: missed: {expected}"]
    assert run(*pair, "--max-drop", 4).return_value == 0


def test_what_the_images_cannot_decide_passes_unless_strict(pair: tuple[Path, Path]) -> None:
    ran = run(*pair, "--max-drop", 1.2, "--json")
    gate = json.loads(ran.stdout)["gates"][0]
    assert (ran.return_value, gate["outcome"]) == (0, "undecided")
    assert gate["images_needed"] > 1_000
    assert "1,000 images cannot tell, about" in ran.stderr
    assert run(*pair, "--max-drop", 1.2, "--strict").return_value == 3


def test_reports_alone_are_not_paired_and_say_so(tmp_path: Path) -> None:
    one, two = alone(tmp_path / "a.json", 93.0, 1_000), alone(tmp_path / "b.json", 91.0, 1_000)
    ran = run(one, two, "--max-drop", 0.5)
    assert ran.return_value == 0
    assert "not paired (a build keeps no answers by image), 1,000 and 1,000 images" in ran.stderr
    assert "latencies are of one session each and do not compare" in ran.stderr
    assert run(one, alone(tmp_path / "c.json", 88.0, 1_000), "--max-drop", 0.5).return_value == 3


def test_what_was_not_measured_misses_its_gate(tmp_path: Path) -> None:
    def unmeasured(told: dict[str, Any]) -> None:
        for each in told["variants"]:
            each["accuracy"] |= {"top1": None, "top5": None, "why": "no labels"}
            each["latency"] |= {"p50": None, "why": "no device"}
            each["latency"].pop("p50_bounds", None)

    one, two = alone(tmp_path / "a.json", 93.0, 1_000), alone(tmp_path / "b.json", 91.0, 1_000, unmeasured)
    told = json.loads(run(one, two, "--max-drop", 5, "--max-latency", 5, "--json").stdout)
    assert [each["outcome"] for each in told["gates"]] == ["met", "missed", "missed"]
    assert [each["text"] for each in told["gates"][1:]] == ["accuracy was not measured", "latency was not measured"]


def test_latency_is_decided_by_its_bounds(tmp_path: Path) -> None:
    one = alone(tmp_path / "a.json", 93.0, 1_000)
    for limit, code, word in (("4.2", 0, "met"), ("4.05", 0, "undecided"), ("3.8", 3, "missed")):
        ran = run(one, "--max-latency", limit, "--json")
        assert (ran.return_value, json.loads(ran.stdout)["gates"][0]["outcome"]) == (code, word)
    assert run(one, "--max-latency", "4.05", "--strict").return_value == 3


def test_size_against_the_first(tmp_path: Path) -> None:
    def larger(told: dict[str, Any]) -> None:
        for each in told["variants"]:
            each["size_bytes"] = 5_400_000

    one, two = alone(tmp_path / "a.json", 93.0, 1_000), alone(tmp_path / "b.json", 93.0, 1_000, larger)
    found = {limit: run(one, two, "--max-size", limit).return_value for limit in ("5%", "10%", "1.05x", "5.2", "6")}
    assert found == {"5%": 3, "10%": 0, "1.05x": 3, "5.2": 3, "6": 0}
    for wrong in ("five", "-5%", "0", "nan", "5%%", "٣"):
        assert "is no limit" in str(run(one, "--max-size", wrong).exception)
    assert run(one, two, "--max-size", "1.1X").return_value == 0
    for wrong in ("nan", "inf", "-1"):
        assert isinstance(run(one, two, "--max-drop", wrong).exception, click.UsageError)


def test_sessions_and_devices_are_not_gated_silently(tmp_path: Path) -> None:
    one = alone(tmp_path / "a.json", 93.0, 1_000)
    other = alone(tmp_path / "b.json", 93.0, 1_000, lambda told: told["target"].update(device="another"))
    ran = run(one, one, "--max-latency", "5%")
    assert isinstance(ran.exception, InputError)
    assert "latencies of two sessions do not compare" in ran.exception.what
    ran = run(one, other, "--max-drop", 5)
    assert isinstance(ran.exception, InputError)
    assert "no gate holds (device: " in ran.exception.what
    assert run(one, other).return_value == 0
    assert run(one, other, "--max-drop", 5, "--across-devices").return_value == 0


def test_answers_that_do_not_fit_the_report_are_refused(tmp_path: Path) -> None:
    made = with_answers(tmp_path / "bundle", np.arange(100) < 90)
    fit(made, {"report.json": json.dumps(report_of(95.0, 100)).encode()})
    assert "are not those that its report tells of" in str(run(made).exception)


def test_a_bundle_for_another_runtime_is_not_timed_here(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    made = make_bundle(tmp_path / "engine", runtime="tensorrt")
    fit(made, {"report.json": json.dumps(report_of(93.0, 100)).encode()})
    ran = run(made, "--remeasure")
    assert isinstance(ran.exception, UnavailableError)
    assert "is for tensorrt, which" in ran.exception.what
    ran = run(alone(tmp_path / "a.json", 93.0, 100), "--remeasure")
    assert "is no bundle that could be timed again" in str(ran.exception)


def test_bundles_are_timed_side_by_side(pair: tuple[Path, Path]) -> None:
    ran = run(*pair, "--remeasure", "--runs", 30, "--max-latency", "100x", "--json")
    assert ran.return_value == 0, ran.output
    told = json.loads(ran.stdout)
    low, high = told["builds"][1]["slower"]["ci95"]
    assert low <= told["builds"][1]["slower"]["times"] <= high
    assert told["builds"][0]["slower"] is None
    assert [each["build"] for each in told["gates"]] == [str(pair[1])]
    assert not any("one session" in each for each in told["warnings"])


CONTAINS: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": (set(), {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "skipped", "time", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"failure", "skipped"}),
    "failure": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}
"""Attributes and elements that both usual schemas of JUnit XML allow, by element."""

ORDER = ["properties", "testcase", "system-out", "system-err"]


def test_gates_as_junit_xml(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    ran = run(*pair, "--max-drop", 1.2, "--max-size", 0.1, "--max-latency", 9, "--junit", tmp_path / "gates.xml")
    assert ran.return_value == 3
    whole = ElementTree.parse(tmp_path / "gates.xml").getroot()
    for each in whole.iter():
        attributes, inside = CONTAINS[each.tag]
        assert set(each.attrib) <= attributes, each.tag
        assert {one.tag for one in each} <= inside, each.tag
    (suite,) = whole
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["5", "2", "0", "1"]
    places = [ORDER.index(each.tag) for each in suite]
    assert places == sorted(places)
    assert set(places) == set(range(4))
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert "cannot tell" in str(skipped.get("message"))


EVIL = "\x1b[31m<b>&'\"]]>|`# \x00\x0b"


def test_names_do_no_harm_in_any_format(tmp_path: Path) -> None:
    def named(told: dict[str, Any]) -> None:
        told["chosen"] = EVIL
        told["variants"][-1]["name"] = EVIL

    one, two = alone(tmp_path / "a.json", 93.0, 1_000), tmp_path / "<b>|\x1b[0m\udcfc.json"
    alone(two, 80.0, 1_000, named)
    arguments = [one, two, "--max-drop", 1, "--junit", tmp_path / "gates.xml", "--markdown"]
    for ran in (run(*arguments, "-"), run(*arguments, tmp_path / "page.md")):
        assert ran.return_value == 3, ran.exception
        assert "\x1b" not in ran.output
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert run(*arguments, "-").stdout == page
    assert not any(each in page for each in ("\x1b", "\x00", "\x0b", "<b>"))
    rows = [line.replace("\\|", "") for line in page.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {9, 5}
    case = ElementTree.parse(tmp_path / "gates.xml").getroot().find("testsuite/testcase")
    assert case is not None
    assert str(case.get("classname")).endswith("<b>|\\x1b[0m\\xfc.json")


def test_the_markdown_of_a_pull_request(tmp_path: Path, pair: tuple[Path, Path]) -> None:
    page = run(*pair, "--max-drop", 0.5, "--max-size", "5%", "--markdown", "-").stdout
    assert page.startswith("## edgekit compare\n\n**1 of 2 gates failed.**")
    assert "❌ missed" in page
    assert "✅ met" in page
    assert "accuracy paired on 1,000 images" in page
    with pytest.raises(AssertionError):
        assert run(*pair, "--json", "--markdown", "-").exception is None
    assert "cannot write" in str(run(*pair, "--markdown", tmp_path / "no" / "page.md").exception)
