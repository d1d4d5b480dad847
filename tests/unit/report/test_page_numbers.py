"""Every number of the page is the report's: what cells and charts are given, and what policy lets the scripts run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from reports import embedding_report, full_report, many_variants, multilabel_report, still
from samples import SAMPLE_REPORT

from edgekit.report import html, validate
from edgekit.report.columns import columns

EVIL = "</script><script>alert(1)</script><!-- \u2028 & 'x' \""


class Cells(HTMLParser):
    """The cells of a table by rows: the text of each, and the number that it was made of, if there is one."""

    def __init__(self, page: str, table: str) -> None:
        super().__init__()
        self._table, self._inside, self._cell = table, False, False
        self.rows: list[list[tuple[str, float | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "table":
            self._inside = self._table in (told.get("id"), told.get("class"))
        if not self._inside:
            return
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            value = told.get("data-value")
            self.rows[-1].append(("", None if value is None else float(value)))
            self._cell = True
        if tag == "small":
            self._cell = False

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")
        self._inside = self._inside and tag != "table"

    def handle_data(self, data: str) -> None:
        if self._inside and self._cell:
            text, value = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, value)


def island(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found is not None
    told: dict[str, Any] = json.loads(found[1])
    return told


def shown_number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", "").rstrip("x"))


@pytest.mark.parametrize("made", [full_report, embedding_report, multilabel_report], ids=lambda made: made.__name__)
def test_cells_of_variants_are_the_numbers_of_the_report(made: Any) -> None:
    told = validate(made())
    rows = Cells(html(told), "variants").rows
    titles = [text for text, _ in rows[0]]
    known = {each.title: each for each in columns(told)}
    variants = [row for row in rows[1:] if len(row) > 1]
    assert [row[0][0] for row in variants] == [each.name for each in told.variants]
    scale = {"size, MB": 1e6, "params, M": 1e6, "GMACs": 1e9, "memory, MB": 1e6}
    for row, variant in zip(variants, told.variants, strict=True):
        for title, (text, value) in list(zip(titles, row, strict=True))[1:]:
            column = known[title]
            assert text == column.cell(told, variant)
            assert value == (None if column.value is None else column.value(told, variant))
            if value is not None:
                digits = len(text.partition(".")[2].rstrip("x"))
                exact = value / scale.get(title, 1)
                assert abs(shown_number(text) - exact) <= 0.5000001 * 10**-digits
    reasons = [row[0][0] for row in rows[1:] if len(row) == 1]
    assert all(variant.reason in said for said, variant in zip(reasons, told.variants, strict=True))


def test_charts_are_given_the_numbers_of_the_report() -> None:
    report = full_report()
    told = island(html(validate(report)))
    assert [each["name"] for each in told["points"]] == ["fp32", "bf16", "int8"]
    for point, spread, variant in zip(told["points"], told["distributions"], report["variants"], strict=True):
        latency, accuracy = variant["latency"], variant["accuracy"]
        assert (point["p50"], point["p50_ends"]) == (latency["p50"], latency["p50_bounds"])
        assert (point["accuracy"], point["accuracy_ends"]) == (accuracy["top1"], accuracy["ci95"])
        assert {key: spread[key] for key in ("percent", "ms")} == latency["quantiles"]
    assert (told["accuracy_limit"], told["latency_limit"]) == (pytest.approx(95.4), None)
    assert [(each["name"], each["start"], each["p50_start"]) for each in told["steps"]] == [
        ("fp32", None, None), ("bf16", "fp32", 12.0), ("int8", "bf16", 6.0),
    ]  # fmt: skip


def test_cells_of_layers_are_the_numbers_of_the_report() -> None:
    report = full_report()
    layers = report["variants"][2]["layer_times"]["layers"]
    total = sum(each["microseconds"] for each in layers)
    rows = Cells(html(validate(report)), "layers").rows[1:4]
    assert [row[0][0] for row in rows] == ["conv/1", "pool", "fc"]
    for row, layer in zip(rows, layers, strict=True):
        assert [text for text, _ in row[1:4]] == [layer["operator"], layer["precision"] or "–", layer["kernel"] or "–"]
        assert row[4] == (f"{layer['microseconds']:.1f}", layer["microseconds"])
        assert row[5][1] == pytest.approx(100 * layer["microseconds"] / total)


def test_small_tables_are_the_numbers_of_the_report() -> None:
    page = html(validate(full_report()))
    texts = {
        name: [[text for text, _ in row] for row in Cells(page, name).rows[1:]] for name in ("quantiles", "groups")
    }
    assert texts["quantiles"][0] == ["fp32", "11.4", "11.6", "11.9", "12.0", "12.2", "14.4", "15.6", "19.2", "200"]
    assert texts["groups"] == [
        ["Convolution", "int8", "1", "1.25", " 75.3 %"],
        ["MaxPool", "–", "1", "0.31", " 18.7 %"],
        ["Convolution", "fp32", "1", "0.10", " 6.0 %"],
    ]
    steps = [[text for text, _ in row] for row in Cells(page, "step-by-step").rows[1:]]
    assert steps[2] == ["int8", "bf16", "4.00", "−33 %", "96.20", "−0.20", "chosen"]


def test_what_is_not_told_is_not_on_the_page() -> None:
    page = html(validate(SAMPLE_REPORT))
    assert island(page)["distributions"] == []
    for said in ("Distribution of latencies", "Where the time goes", "recipe.lock.yaml holds"):
        assert said not in still(page)
        assert said in still(html(validate(full_report())))
    assert "reach from p50 to p90" in page
    assert "layers are not timed with TensorRT" in html(validate(full_report()))


def test_decisions_are_told_in_words() -> None:
    report = full_report()
    report["variants"][1]["taken_back"] = True
    page = html(validate(report))
    tags = re.findall(r'<tr class="why"><td colspan="\d+"><div><span class="tag \w+">([^<]+)</span>', page)
    assert tags == ["baseline", "taken back", "chosen"]
    assert "baseline</td>" in page or "baseline</span>" in page
    assert island(page)["points"][1]["look"] == "taken"


def test_each_script_is_allowed_by_its_hash_and_nothing_else_is() -> None:
    page = html(validate(full_report()))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    assert len(scripts) == 3
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    (allowed,) = re.findall(r"script-src ([^;]*);", policy[1])
    assert allowed.split() == [f"'sha256-{each}'" for each in hashes]


def test_data_for_scripts_cannot_end_their_element() -> None:
    report = full_report()
    report["variants"][1]["name"] = EVIL
    report["variants"][2]["layer_times"]["layers"][0] |= {"name": EVIL, "kernel": EVIL}
    page = html(validate(report))
    assert page.count("</script>") == 4
    assert EVIL not in page
    assert island(page)["points"][1]["name"] == EVIL.replace("\u2028", "\ufffd")


def test_a_page_of_many_variants_stays_below_a_megabyte() -> None:
    page = html(validate(many_variants(200)))
    assert len(page.encode()) < 1_000_000
    told = island(page)
    assert len(told["points"]) == 200
    assert [each["name"] for each in told["steps"]] == ["fp32", "int8"]
