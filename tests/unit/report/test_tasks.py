"""Reports of tasks other than classification: what accuracy holds, and that every format names the metric rightly."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from reports import embedding_report, multilabel_report
from samples import SAMPLE_REPORT

from edgekit.cli.compare import command as compare
from edgekit.cli.report import command as report_command
from edgekit.errors import InputError
from edgekit.report import RENDERERS, html, markdown, plot, schema, summary, validate
from edgekit.report.columns import columns
from edgekit.report.metrics import METRICS

CHECKER = Draft202012Validator(schema())
REPORTS: dict[str, Callable[[], dict[str, Any]]] = {"embed": embedding_report, "multilabel": multilabel_report}


def columns_of(report: dict[str, Any]) -> dict[str, list[str]]:
    told = validate(report)
    return {each.title: [each.cell(told, variant) for variant in told.variants] for each in columns(told)}


@pytest.mark.parametrize("make", REPORTS.values(), ids=REPORTS)
def test_they_are_read_and_written_as_they_were(make: Callable[[], dict[str, Any]]) -> None:
    report = make()
    assert validate(report).as_dict() == report
    assert CHECKER.is_valid(report)


def test_the_columns_of_vectors() -> None:
    found = columns_of(embedding_report())
    assert found["nearest-neighbour top-1, %"] == ["99.15", "99.15", "98.31"]
    assert found["cosine"] == ["1.0000", "0.9999", "0.9946"]
    assert found["cosine, p1"] == ["1.0000", "0.9997", "0.9620"]
    assert found["ROC AUC"] == ["0.9853", "0.9853", "0.9848"]
    assert found["false accepts, %"] == ["1.00", "1.00", "0.85"]
    assert found["false rejects, %"] == ["5.17", "5.17", "5.32"]
    assert not {"top-1, %", "top-5, %", "agreement, %"} & set(found)
    assert list(found).index("ROC AUC") < list(found).index("p50, ms")


def test_the_columns_of_label_sets() -> None:
    found = columns_of(multilabel_report())
    assert found["macro average precision, %"] == ["71.40", "71.40", "71.15"]
    assert found["F1, %"] == ["66.00", "66.00", "65.80"]
    assert not {"top-1, %", "top-5, %"} & set(found)


def test_classes_are_told_as_before() -> None:
    told = validate(SAMPLE_REPORT)
    assert [each.title for each in columns(told)][6:9] == ["top-1, %", "top-5, %", "agreement, %"]
    assert "costs 0.2 points (95 % interval" in summary.verdict(told)
    assert "Top-1 drop" in html(told)
    assert "top-1 accuracy, % · better" in html(told)


@pytest.mark.parametrize(
    ("task", "name"), [("embed", "nearest-neighbour top-1"), ("multilabel", "macro average precision")]
)
def test_every_format_names_the_metric(task: str, name: str) -> None:
    told = validate(REPORTS[task]())
    assert f"costs 0.2 points of {name} (95 % interval" in summary.verdict(told)
    for form, render in RENDERERS.items():
        drawn = render(told)
        assert f"costs 0.2 points of {name}" in drawn, form
        assert "Top-1 drop" not in drawn, form
    page = html(told)
    assert f"{name[0].upper()}{name[1:]} drop" in page
    assert f"{name}, % · better" in page
    assert f"98.31 % {name}" in page or f"71.15 % {name}" in page


def test_how_it_was_measured() -> None:
    page = markdown(validate(embedding_report()))
    assert (
        "Pairs: of one class from a cosine of 0.2702 on, the same for all variants; all 6,903 pairs of images" in page
    )
    assert "exact McNemar test: p = 0.4" in page
    report = embedding_report()
    for variant in report["variants"]:
        variant["accuracy"]["pairs"] |= {"compared": 5_000_000, "of": 12_000_000}
    assert "5,000,000 drawn of 12,000,000 pairs of images" in markdown(validate(report))
    page = markdown(validate(multilabel_report()))
    assert "Labels: given from a probability of 0.5 on" in page
    assert "95 % interval, by resampling the images: p = 0.4" in page


def test_bars_of_the_plot_are_intervals_that_were_measured() -> None:
    """Macro average precision is no share of the images: without an interval of its own it has none."""
    report = multilabel_report()
    assert [each.y_ends for each in plot.points(validate(report))[1]] == 3 * [(69.0, 73.5)]
    for variant in report["variants"]:
        del variant["accuracy"]["ci95"]
    assert [each.y_ends for each in plot.points(validate(report))[1]] == [None] * 3
    report = embedding_report()
    for variant in report["variants"]:
        del variant["accuracy"]["ci95"]
    assert all(each.y_ends for each in plot.points(validate(report))[1])


@pytest.mark.parametrize(
    ("task", "key"), [("embed", "top1"), ("embed", "cosine"), ("multilabel", "map"), ("multilabel", "f1")]
)
def test_what_a_task_wants_is_there_or_says_why_not(task: str, key: str) -> None:
    report = REPORTS[task]()
    report["variants"][2]["accuracy"][key] = None
    assert not CHECKER.is_valid(report)
    with pytest.raises(InputError, match=rf"\$\.variants\[2\]\.accuracy: {key} is null"):
        validate(report)
    report["variants"][2]["accuracy"]["why"] = "no labels"
    assert CHECKER.is_valid(report)
    assert "int8, accuracy: no labels" in summary.gaps(validate(report))
    del report["variants"][2]["accuracy"][key]
    assert not CHECKER.is_valid(report)
    with pytest.raises(InputError, match=key):
        validate(report)


def test_the_accuracy_is_of_the_task() -> None:
    for task, other in (("embed", multilabel_report), ("multilabel", embedding_report), ("classify", embedding_report)):
        report = other()
        report["task"] = task
        lacks = METRICS[task].required  # type: ignore[index]
        with pytest.raises(InputError, match=rf"of 'fp32' lacks ({'|'.join(lacks)}), which the task {task} has"):
            validate(report)
    report = copy.deepcopy(SAMPLE_REPORT)
    report["task"] = "segment"
    assert not CHECKER.is_valid(report)
    with pytest.raises(InputError, match=r"\$\.task"):
        validate(report)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("cosine", "mean"), 1.1), (("cosine", "p1"), -1.1), (("cosine", "surprise"), 1),
        (("pairs", "threshold"), 1.5), (("pairs", "roc_auc"), 1.01), (("pairs", "false_accept"), 101),
        (("pairs", "false_reject"), -1), (("pairs", "of"), 1.5), (("map",), 101), (("f1",), -1), (("threshold",), 2),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(path: tuple[str, ...], value: float) -> None:
    report = embedding_report()
    inner = report["variants"][1]["accuracy"]
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert not CHECKER.is_valid(report)
    with pytest.raises(InputError, match=path[-1]):
        validate(report)


def test_a_variant_that_was_not_judged() -> None:
    """As eager torch is: its network is that of FP32."""
    report = embedding_report()
    report["variants"][1]["accuracy"] = {"top1": None, "cosine": None, "images": None, "why": "as fp32"}
    told = validate(report)
    assert columns_of(report)["ROC AUC"] == ["0.9853", "–", "0.9848"]
    assert "bf16, accuracy: as fp32" in summary.gaps(told)
    for render in RENDERERS.values():
        assert "as fp32" in render(told)


def written(folder: Path, report: dict[str, Any]) -> str:
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return str(folder)


def test_on_the_terminal(tmp_path: Path) -> None:
    for name, title in (("embed", "nearest-neighbour top-1, %"), ("multilabel", "macro average precision, %")):
        ran = CliRunner().invoke(report_command, [written(tmp_path / name, REPORTS[name]())], standalone_mode=False)
        assert ran.exception is None, ran.output
        assert title.split()[0] in ran.output
        assert "top-5" not in ran.output


def test_builds_are_compared_by_the_metric_of_their_task(tmp_path: Path) -> None:
    worse = multilabel_report()
    worse["variants"][2]["accuracy"] |= {"map": 63.0, "ci95": [61.0, 65.0]}
    one, other = written(tmp_path / "one", multilabel_report()), written(tmp_path / "other", worse)
    ran = CliRunner().invoke(compare, [one, other, "--max-drop", "1", "--json"], standalone_mode=False)
    assert ran.return_value == 3
    told = json.loads(ran.stdout)
    assert [(each["map"], each["top1"]) for each in told["builds"]] == [(71.15, None), (63.0, None)]
    assert [each["outcome"] for each in told["gates"]] == ["missed"]
    assert "8.15 points below the first" in told["failures"][0]
    assert "not paired (this accuracy is of no single images)" in told["failures"][0]
    assert CliRunner().invoke(compare, [one, other, "--max-drop", "12"], standalone_mode=False).return_value == 0
    of_classes = written(tmp_path / "classes", SAMPLE_REPORT)
    ran = CliRunner().invoke(compare, [of_classes, one], standalone_mode=False)
    assert isinstance(ran.exception, InputError)
    assert ran.exception.what == "the builds are of different tasks: classify, multilabel"
