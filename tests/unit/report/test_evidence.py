"""Steps, layers, the lock and what became of variants, as the report tells them."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import full_report, many_variants
from samples import SAMPLE_REPORT

from edgekit.errors import InputError
from edgekit.report import layers, markdown, plot, repeat, validate
from edgekit.report.columns import decision
from edgekit.report.method import method
from edgekit.report.steps import rows, steps


def report_of(*more: dict[str, Any], chosen: str = "int8") -> dict[str, Any]:
    """A report with further variants: what is told replaces what the last one has."""
    report = full_report()
    last = report["variants"][-1]
    for told in more:
        report["variants"].append({**last, **told})
    for each in report["variants"]:
        each["kept"] = each["name"] == chosen
    report["chosen"] = chosen
    return report


def test_what_became_of_a_variant() -> None:
    eager = {"name": "torch-eager", "kind": "baseline", "parent": None}
    beaten = {"name": "pruned-int8", "taken_back": True}
    old = {"name": "mixed", "taken_back": None, "beaten_by": "int8"}
    told = validate(report_of(eager, beaten, old))
    assert {each.name: decision(told, each) for each in told.variants} == {
        "fp32": "baseline", "bf16": "no", "int8": "yes", "torch-eager": "reference", "pruned-int8": "taken back",
        "mixed": "taken back",
    }  # fmt: skip
    assert "| baseline |" in markdown(told)


def test_a_step_begins_where_the_last_one_that_stayed_ended() -> None:
    refused = {"name": "pruned-int8", "parent": "int8", "taken_back": True}
    after = {"name": "mixed", "parent": "fp32", "taken_back": False}
    upon = {"name": "pruned-mixed", "parent": "pruned-int8", "taken_back": False}
    found = steps(validate(report_of(refused, after, upon)))
    assert [(each.name, each.start) for each in found] == [
        ("fp32", None), ("bf16", "fp32"), ("int8", "bf16"), ("pruned-int8", "int8"), ("mixed", "int8"),
        ("pruned-mixed", "pruned-int8"),
    ]  # fmt: skip
    assert [each.outcome for each in found] == [
        "baseline", "compared", "chosen", "taken back", "compared", "compared",
    ]  # fmt: skip


def test_steps_of_what_was_not_measured_are_dashes() -> None:
    report = full_report()
    nothing = dict.fromkeys(("p50", "p90", "p99", "mean", "ci95", "throughput_ips", "runs", "warmup"))
    report["variants"][1]["latency"] = {**nothing, "why": "no device"}
    cells = rows(steps(validate(report)))
    assert cells[1][:4] == ("bf16", "fp32", "–", "–")
    assert cells[2][2:4] == ("4.00", "–")


def test_of_many_variants_the_way_to_the_chosen_one_is_told() -> None:
    report = many_variants(60)
    report["variants"][2]["parent"] = "bf16"
    report["variants"][1]["parent"] = "fp32"
    assert [each.name for each in steps(validate(report))] == ["fp32", "bf16", "int8"]


def test_layers_are_grouped_by_operator_and_precision() -> None:
    report = full_report()
    report["variants"][0]["layer_times"] = {
        "runs": 5,
        "layers": [
            {"name": "conv/1", "operator": "Convolution", "kernel": "f32", "precision": "fp32", "microseconds": 5000.0},
            {"name": "fc", "operator": "Convolution", "kernel": "f32", "precision": "fp32", "microseconds": 300.0},
        ],
    }
    ours, base = layers.timed(validate(report))
    assert (ours.variant, base.variant) == ("int8", "fp32")
    assert [(each.operator, each.precision, each.count) for each in ours.groups] == [
        ("Convolution", "int8", 1), ("MaxPool", "–", 1), ("Convolution", "fp32", 1),
    ]  # fmt: skip
    assert sum(each.share for each in ours.groups) == pytest.approx(100)
    assert ours.baseline == "fp32"
    assert [each.before for each in ours.rows] == [5000.0, None, 300.0]
    assert all(each.before is None for each in base.rows)
    del report["variants"][0]["layer_times"]["layers"][0]
    assert layers.timed(validate(report))[0].baseline is None  # other names: there is nothing to stand beside


def test_layers_of_many_variants_are_counted() -> None:
    more = [{"name": f"pruned-{place}"} for place in range(6)]
    told = validate(report_of(*more))
    assert [each.variant for each in layers.timed(told)] == ["int8", "pruned-0", "pruned-1", "pruned-2"]
    assert layers.untold(told)[-1] == "report.json has the layers of 3 more variants"


def test_the_lock_and_the_commands_are_told() -> None:
    told = dict(repeat.decisions(validate(full_report())))
    assert told["Chosen"] == "int8 on openvino, of the precisions fp32, bf16, int8"
    assert told["Pruning"].startswith(
        "fisher: 6,115 of 9,408 channels stay, 149 layers changed; recovery of 1,500 steps"
    )
    assert told["Mix of precisions"] == "wide ranges, 3 operators in 16 bits, trained"
    assert told["Versions"] == "torch 2.13.0, nncf none"
    assert repeat.decisions(validate(SAMPLE_REPORT)) == []
    assert "edgekit build --locked recipe.lock.yaml" in markdown(validate(full_report()))


def test_commands_to_repeat_are_commands() -> None:
    for _, command in repeat.COMMANDS:
        program, verb, *arguments = command.split()
        assert program == "edgekit"
        flags = importlib.import_module(f"edgekit.cli.{verb}").command.params
        known = {option for each in flags for option in each.opts}
        assert {each for each in arguments if each.startswith("-")} <= known


@given(st.lists(st.tuples(st.floats(0.1, 100), st.one_of(st.none(), st.floats(0, 100))), max_size=30))
def test_no_point_beats_one_of_the_front(points: list[tuple[float, float | None]]) -> None:
    best = plot.front(points)
    known = [(x, y) for x, y in points if y is not None]
    for place in best:
        x, y = points[place]
        assert y is not None
        assert not any(a <= x and b >= y and (a, b) != (x, y) for a, b in known)
    for x, y in known:
        assert any(points[place][0] <= x and (points[place][1] or 0.0) >= y for place in best)


@pytest.mark.parametrize(
    "broken",
    [
        {"percent": [0.0, 50.0], "ms": [1.0]},
        {"percent": [50.0, 0.0], "ms": [1.0, 2.0]},
        {"percent": [0.0, 50.0], "ms": [2.0, 1.0]},
    ],
)
def test_quantiles_are_a_curve(broken: dict[str, list[float]]) -> None:
    report = full_report()
    report["variants"][0]["latency"]["quantiles"] = broken
    with pytest.raises(InputError, match="quantiles"):
        validate(report)


@pytest.mark.parametrize(("seen", "drop", "said"), [(2016, 0.3, True), (4000, 0.3, False), (200, None, False)])
def test_an_evaluation_that_stopped_early_says_so(seen: int, drop: float | None, said: bool) -> None:
    told = full_report()
    told["data"]["images"] = 4000
    for each in told["variants"]:
        if each["accuracy"].get("images") is not None:
            each["accuracy"]["images"] = seen
    if drop is None:
        told["verdict"]["accuracy"] |= {"drop": None, "ci95": None, "p_value": None, "ok": None, "why": "no labels"}
    text = dict(method(validate(told)))["Evaluation"]
    assert ("after 2,016 of them, in a random order, every drop was known" in text) is said
    assert "4000 images" in text
