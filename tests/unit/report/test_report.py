"""The report: its schema, and that every format says what it holds and runs nothing."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from reports import still
from samples import SAMPLE_REPORT

from edgekit.errors import InputError
from edgekit.report import RENDERERS, read, validate
from edgekit.report.curve import Progress, curve


def changed(*path: Any, value: Any) -> dict[str, Any]:
    report = copy.deepcopy(SAMPLE_REPORT)
    inner: Any = report
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return report


def test_the_sample_is_valid() -> None:
    validate(SAMPLE_REPORT)


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (changed("schema", value=2), r"\$\.schema"),
        (changed("chosen", value="nothing"), r"\$\.chosen"),
        (changed("variants", 0, "accuracy", "top1", value=101), "top1"),
        (changed("variants", 0, "accuracy", "top1", value=None), "accuracy"),  # not measured, but no why
        (changed("variants", 0, "latency", "p50", value=float("nan")), "JSON"),
        (changed("variants", 0, "latency", "ci95", value=[2.0, 1.0]), "ci95"),
        (changed("surprise", value=1), "surprise"),
        (changed("variants", 1, "name", value="fp32"), "variants"),
    ],
)
def test_what_is_not_valid_is_refused_with_its_place(broken: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        validate(broken)


def test_read_refuses_what_is_no_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no report"):
        read(tmp_path / "nowhere")
    (tmp_path / "report.json").write_text("[1")
    with pytest.raises(InputError, match="not JSON"):
        read(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(SAMPLE_REPORT))
    assert read(tmp_path).as_dict() == SAMPLE_REPORT


@pytest.mark.parametrize("form", RENDERERS)
def test_every_format_names_every_variant_and_the_verdict(form: str) -> None:
    text = RENDERERS[form](validate(SAMPLE_REPORT))
    for variant in SAMPLE_REPORT["variants"]:
        assert variant["name"] in text
    assert "3.0x faster than FP32" in text
    assert "0.2 points" in text


def test_the_page_stands_alone() -> None:
    page = still(RENDERERS["html"](validate(SAMPLE_REPORT)))
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert "url(" not in page
    assert page.count("<svg") == 1


@pytest.mark.parametrize("form", RENDERERS)
def test_names_from_outside_cannot_inject(form: str) -> None:
    evil = '<img src=x onerror="alert(1)">'
    report = changed("model", "name", value=evil)
    report["target"]["device"] = report["variants"][0]["reason"] = report["warnings"][0] = evil
    assert evil not in RENDERERS[form](validate(report))


def test_a_report_without_accuracy_still_renders() -> None:
    report = copy.deepcopy(SAMPLE_REPORT)
    nothing = {"top1": None, "top5": None, "agreement": None, "images": None, "why": "the weights are random"}
    for variant in report["variants"]:
        variant["accuracy"] = dict(nothing)
    report["verdict"]["accuracy"] = {
        "drop": None, "ci95": None, "p_value": None, "budget": 1.0, "ok": None, "why": "the weights are random",
    }  # fmt: skip
    told = validate(report)
    for render in RENDERERS.values():
        assert "the weights are random" in render(told)


def test_the_training_curve_is_drawn_to_its_end() -> None:
    ticks = [Progress(images=n * 10, size=91 if n < 3 else 149, top1=n * 10.0) for n in range(1, 7)]
    drawn = curve(ticks)
    assert drawn.startswith("<svg")
    assert "91 px" in drawn
    assert "149 px" in drawn
    assert len(re.findall(r"points=\"([^\"]*)\"", drawn)[0].split()) == 6
    with pytest.raises(ValueError, match="empty"):
        curve([])
