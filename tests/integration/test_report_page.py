"""The report page in a real browser: drawn, silent, reachable by the keyboard, and whole without its scripts."""

from __future__ import annotations

import copy
import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium, opened
from reports import embedding_report, full_report, many_variants, multilabel_report
from samples import SAMPLE_REPORT

from edgekit.report import html, validate

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EVIL = "<img src=x onerror=alert(1)></script><b>"
PHONE = {"viewport": {"width": 390, "height": 844}}
LOOKS: dict[str, dict[str, Any]] = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": PHONE}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def written(report: dict[str, Any], folder: Path) -> Path:
    file = folder / "report.html"
    file.write_text(html(validate(report)), encoding="utf-8")
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(full_report(), tmp_path)


def names(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#variants > tbody:not([hidden]) > tr:first-child > th", "all => all.map(each => each.textContent)"
    )
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_charts_are_drawn_in_silence(browser: Browser, file: Path, look: str) -> None:
    with opened(browser, file, **LOOKS[look]) as (page, wrong):
        drawn = page.eval_on_selector_all("figure[data-chart]", "all => all.map(e => e.querySelectorAll('svg').length)")
        assert drawn == [2, 2, 1]  # the still plot is kept, hidden
        assert page.locator(".still").is_hidden()
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1]
        for reason in page.locator("tr.why div").all():
            box = reason.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= wide[1]
        assert wrong == []


def without(part: str) -> dict[str, Any]:
    """A report in which no variant has one of accuracy and latency."""
    report = copy.deepcopy(SAMPLE_REPORT)
    for each in report["variants"]:
        each[part] = dict.fromkeys(each[part]) | {"why": "there is nothing to measure with"}
    report["verdict"][part] = dict.fromkeys(report["verdict"][part]) | {"why": "there is nothing to measure with"}
    return report


def alone() -> dict[str, Any]:
    """A report of the baseline and nothing else."""
    report = copy.deepcopy(SAMPLE_REPORT)
    del report["variants"][1:]
    report["chosen"] = "fp32"
    return report


KINDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "least": (SAMPLE_REPORT, ["front", "steps"]),
    "vectors": (embedding_report(), ["front", "steps"]),
    "labels": (multilabel_report(), ["front", "steps"]),
    "no accuracy": (without("accuracy"), ["front", "steps"]),
    "no latency": (without("latency"), ["steps"]),
    "alone": (alone(), ["front"]),
    "many": (many_variants(200), ["front", "steps", "distribution"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_reports_of_all_kinds_are_drawn(browser: Browser, tmp_path: Path, kind: str) -> None:
    report, charts = KINDS[kind]
    with opened(browser, written(report, tmp_path)) as (page, wrong):
        drawn = page.eval_on_selector_all(
            "figure[data-chart]", "all => all.filter(e => e.querySelector('.drawn svg')).map(e => e.dataset.chart)"
        )
        assert drawn == charts
        text = page.locator("main").inner_text()
        assert not {"NaN", "undefined", "None", "null", "Infinity"} & set(text.split())
        broken = "all => all.filter(each => /NaN|undefined|Infinity/.test(each.outerHTML)).length"
        assert page.eval_on_selector_all(".drawn svg", broken) == 0
        assert wrong == []


def test_nothing_is_cut_off_at_1200_pixels(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, _):
        inside, outside = page.eval_on_selector("#variants", "t => [t.scrollWidth, t.parentElement.clientWidth]")
        assert inside <= outside
        said = [each["reason"] for each in full_report()["variants"]]
        assert [text.split(" ", 1)[1] for text in page.locator("tr.why div").all_inner_texts()] == said


def test_the_page_is_whole_without_scripts(browser: Browser, file: Path) -> None:
    with opened(browser, file, java_script_enabled=False) as (page, wrong):
        assert page.locator(".still svg").is_visible()
        for table in ("#variants", "#step-by-step", "#quantiles", "table.groups"):
            assert page.locator(table).first.is_visible(), table
        assert page.get_by_text("edgekit build --locked recipe.lock.yaml").is_visible()
        assert page.get_by_role("button").count() == 0
        # a browser says that it blocks what the page would run: those are the three scripts, and nothing else
        assert [each for each in wrong if "script" not in each.lower()] == []


def test_the_keyboard_reaches_every_point(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, wrong):
        charts = page.get_by_role("group").filter(has=page.locator("svg"))
        assert charts.count() == 4
        charts.nth(0).focus()
        said = page.locator("figure[data-chart=front] .readout")
        heard = []
        for _ in range(3):
            page.keyboard.press("ArrowRight")
            heard.append(said.inner_text())
        assert [each.split("; ")[0] for each in heard] == ["int8 (chosen)", "bf16", "fp32"]
        assert "p50 4.00 ms, 3.96 to 4.04" in heard[0]
        assert "96.20 % top-1, 95.20 to 97.20" in heard[0]
        assert page.locator("figure[data-chart=front] [aria-label=tip] text").count() == 1
        page.keyboard.press("Escape")
        assert page.locator("figure[data-chart=front] [aria-label=tip] text").count() == 0
        assert wrong == []


def test_tables_are_sorted_and_searched(browser: Browser, tmp_path: Path) -> None:
    report = many_variants(40)
    with opened(browser, written(report, tmp_path)) as (page, wrong):
        by_p50 = [each["name"] for each in sorted(report["variants"], key=lambda each: each["latency"]["p50"])]
        head = page.locator("#variants").get_by_role("columnheader", name="p50, ms")
        head.get_by_role("button").press("Enter")
        assert names(page) == by_p50
        assert head.get_attribute("aria-sort") == "ascending"
        head.get_by_role("button").press("Enter")
        assert set(names(page)[:3]) == set(by_p50[-3:])
        page.get_by_label("Search variants").fill("PRUNED-1 not")
        assert {name[:8] for name in names(page)} == {"pruned-1"}
        assert page.get_by_role("status").first.inner_text() == f"{len(names(page))} of 40 variants"
        assert wrong == []


def test_what_the_charts_are_given_is_the_report(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, _):
        told = json.loads(page.locator("#data").text_content() or "")
        values = page.eval_on_selector_all(
            "#variants [data-value]", "all => all.map(each => Number(each.dataset.value))"
        )
    known = set(numbers(full_report()))
    assert {each["p50"] for each in told["points"]} <= known
    speedups = {12.0 / each["latency"]["p50"] for each in full_report()["variants"]}
    assert set(values) <= known | speedups


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def test_names_stay_names(browser: Browser, tmp_path: Path) -> None:
    report = full_report()
    report["variants"][1]["name"] = report["variants"][1]["reason"] = EVIL
    report["variants"][2]["ratios"], report["variants"][2]["layer_times"]["layers"][0]["name"] = [], EVIL
    with opened(browser, written(report, tmp_path)) as (page, wrong):
        page.get_by_role("group").filter(has=page.locator("svg")).nth(0).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.locator("figure[data-chart=front] .readout").inner_text().startswith(EVIL)
        assert page.locator("img[src=x]").count() == 0
        assert names(page)[1] == EVIL
        assert wrong == []


def test_one_request_is_made_of_a_server(browser: Browser, file: Path) -> None:
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(file.parent))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/report.html")
        page.locator(".drawn svg").first.wait_for()
        page.close()
        server.shutdown()
    assert asked == ["/report.html"]


def test_print_shows_what_can_be_printed(browser: Browser, file: Path) -> None:
    with opened(browser, file) as (page, wrong):
        page.emulate_media(media="print")
        assert page.get_by_role("navigation").is_hidden()
        assert page.locator(".tools").first.is_hidden()
        assert page.locator(".drawn svg").first.is_visible()
        assert page.pdf()[:4] == b"%PDF"
        assert wrong == []
