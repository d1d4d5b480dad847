"""What is kept and what is taken back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgekit.backends.tensorrt import layers_of
from edgekit.validate.accuracy import drop_interval
from edgekit.validate.rounding import about
from edgekit.validate.verdict import Evidence, decide


def evidence(drop: float | None = 0.2, int8_ms: float = 4.0, bf16_ms: float = 6.0) -> Evidence:
    times = {"fp32": 12.0, "bf16": bf16_ms, "int8": int8_ms}

    def variant(lost: float | None) -> dict[str, Any]:
        told = {"top1": 96.0, "top5": 99.0, "images": 100, "ci95": [90.0, 98.0]}
        pair = {"drop": lost, "ci95": [(lost or 0) - 0.3, (lost or 0) + 0.3], "p_value": 0.5, "lost": 1, "won": 1}
        return {
            "accuracy": None if drop is None else told,
            "drop": None if drop is None else pair,
            "fidelity": {"agreement": 99.0, "cosine": 0.99, "kl": 0.01},
        }

    def latency(p50: float) -> dict[str, Any]:
        return {"p50": p50, "p90": p50, "p99": p50, "mean": p50, "ci95": [p50, p50], "runs": 9, "warmup": 1,
                "throughput_ips": 1000 / p50, "steady": True}  # fmt: skip

    return Evidence(
        accuracy={
            "images": 100,
            "labelled": drop is not None,
            "variants": {"fp32": variant(0.0), "bf16": variant(0.0), "int8": variant(drop)},
        },
        latency={
            "latency": {name: latency(p50) for name, p50 in times.items()},
            "speedup": {name: [12 / p50, 12 / p50 - 0.02, 12 / p50 + 0.02] for name, p50 in times.items()},
            "warnings": [],
        },
        sizes={"fp32": 40, "bf16": 20, "int8": 10},
        runtimes=dict.fromkeys(times, "openvino"),
        facts={"params": 1, "macs": 1},
        why_no_accuracy=None,
    )


def test_a_step_that_pays_is_kept() -> None:
    told = decide(evidence(), "int8", 1.0, None)
    assert (told.chosen, told.verdict["ok"], told.warnings) == ("int8", True, [])
    assert told.verdict["latency"]["speedup_vs_fp32"] == 3.0
    assert [(v["name"], v["kind"], v["kept"]) for v in told.variants] == [
        ("fp32", "baseline", False),
        ("bf16", "step", False),
        ("int8", "chosen", True),
    ]


@pytest.mark.parametrize(
    ("given", "why"), [(evidence(drop=2.5), "2.50 points"), (evidence(int8_ms=13.0), "not faster than FP32")]
)
def test_a_step_that_does_not_pay_is_taken_back_and_said(given: Evidence, why: str) -> None:
    told = decide(given, "int8", 1.0, None)
    assert told.chosen == "bf16"
    assert told.verdict["ok"]
    assert why in next(v["reason"] for v in told.variants if v["name"] == "int8")
    assert any("int8 was taken back" in text for text in told.warnings)


def test_fp32_is_left_when_nothing_pays() -> None:
    told = decide(evidence(int8_ms=13.0, bf16_ms=12.5), "int8", 1.0, None)
    assert told.chosen == "fp32"
    assert told.verdict["accuracy"]["drop"] == 0.0


def test_a_latency_budget_that_is_not_met() -> None:
    told = decide(evidence(), "int8", 1.0, 3.0)
    assert told.verdict["latency"]["ok"] is False
    assert told.verdict["ok"] is False
    assert told.chosen == "int8"
    assert decide(evidence(), "int8", 1.0, 5.0).verdict["ok"]


def test_without_labels_accuracy_is_not_measured_and_does_not_decide() -> None:
    told = decide(evidence(drop=None), "int8", 1.0, None)
    assert told.chosen == "int8"
    assert told.verdict["accuracy"]["ok"] is None
    assert told.verdict["accuracy"]["why"]
    assert told.verdict["ok"]


def test_without_a_device_accuracy_decides_and_latency_says_why() -> None:
    untimed = {"latency": {}, "speedup": {}, "warnings": [], "why": "no device"}
    told = decide(replace(evidence(), latency=untimed), "int8", 1.0, 3.0)
    assert (told.chosen, told.verdict["ok"], told.verdict["latency"]["ok"]) == ("int8", True, None)
    assert told.verdict["latency"]["why"] == "no device"
    assert all(v["latency"]["p50"] is None and v["latency"]["why"] == "no device" for v in told.variants)
    assert decide(replace(evidence(drop=2.5), latency=untimed), "int8", 1.0, None).chosen == "bf16"


def test_the_layers_of_an_engine_come_into_the_report() -> None:
    told = (
        '{"Layers": [{"Name": "conv + relu", "LayerType": "CaskConvolution", "Outputs": [{"Name": "y",'
        ' "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}]}], "I/O Tensors": ["image"]}'
    )
    layers = layers_of(told)
    assert layers[0]["kind"] == "CaskConvolution"
    assert "Int8" in layers[0]["output"]
    assert layers_of('{"Layers": ["conv + relu"], "Bindings": []}')[0]["name"] == "conv + relu"
    variants = decide(replace(evidence(), layers={"int8": layers}), "int8", 1.0, None).variants
    assert [each.get("layers") for each in variants] == [None, None, layers]


def pruned(gain: list[float], drop: float = 0.5) -> Evidence:
    """Evidence with a pruned variant beside INT8, as fast against it as `gain` says, with the ends of its interval."""
    base = evidence()
    accuracy = {**base.accuracy["variants"], "pruned-int8": evidence(drop=drop).accuracy["variants"]["int8"]}
    timed = {**base.latency["latency"], "pruned-int8": base.latency["latency"]["int8"]}
    speedup = {**base.latency["speedup"], "pruned-int8": [5.0, 4.9, 5.1]}
    return replace(
        base,
        accuracy={**base.accuracy, "variants": accuracy},
        latency={**base.latency, "latency": timed, "speedup": speedup, "gain": {"pruned-int8": gain}},
        sizes={**base.sizes, "pruned-int8": 5},
        runtimes={**base.runtimes, "pruned-int8": "openvino"},
        pruned_facts={"params": 7, "macs": 8},
    )


def test_pruning_that_pays_is_kept_with_its_own_counts() -> None:
    told = decide(pruned([1.6, 1.5, 1.7]), "pruned-int8", 1.0, None)
    assert told.chosen == "pruned-int8"
    kept = next(v for v in told.variants if v["kept"])
    assert (kept["precision"], kept["params"], kept["macs"]) == ("int8", 7, 8)
    assert "1.60 times faster than int8 (1.50 to 1.70)" in kept["reason"]
    dense = next(v for v in told.variants if v["name"] == "int8")
    assert dense["params"] == 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (pruned([1.02, 0.98, 1.06]), "does not make it faster than int8"),
        (pruned([1.6, 1.5, 1.7], drop=2.0), "2.00 points"),
    ],
)
def test_pruning_that_does_not_pay_is_taken_back_and_int8_stays(given: Evidence, why: str) -> None:
    told = decide(given, "pruned-int8", 1.0, None)
    assert told.chosen == "int8"
    assert why in next(v["reason"] for v in told.variants if v["name"] == "pruned-int8")
    assert any("pruned-int8 was taken back" in line for line in told.warnings)
    assert told.verdict["ok"] is True


def measured(lost: int, won: int, images: int) -> Evidence:
    """Evidence with so many images lost and won by INT8, and the interval that comes of them."""
    base = evidence()
    pair = {"drop": 100 * (lost - won) / images, "ci95": list(drop_interval(lost, won, images)), "p_value": 0.5}
    int8 = {**base.accuracy["variants"]["int8"], "drop": {**pair, "lost": lost, "won": won, "images": images}}
    variants = {**base.accuracy["variants"], "int8": int8}
    return replace(base, accuracy={**base.accuracy, "images": images, "variants": variants})


def test_images_that_decide_are_not_doubted() -> None:
    told = decide(measured(lost=10, won=8, images=2400), "int8", 1.0, None)
    accuracy = told.verdict["accuracy"]
    assert (accuracy["ok"], accuracy["decided"], told.warnings) == (True, True, [])
    assert accuracy["images_needed"] < 2400


def test_too_few_images_are_warned_of_and_the_drop_itself_still_decides() -> None:
    told = decide(measured(lost=5, won=3, images=300), "int8", 1.0, None)
    accuracy = told.verdict["accuracy"]
    assert (told.chosen, accuracy["ok"], accuracy["decided"]) == ("int8", True, False)
    assert accuracy["images_needed"] > 300
    assert len(told.warnings) == 1
    assert "300 images cannot tell whether the drop of int8 (0.67 points, " in told.warnings[0]
    assert told.warnings[0].endswith(f"within the budget of 1: {about(accuracy['images_needed'])} would")


def test_a_drop_that_is_the_budget_is_decided_by_no_number_of_images() -> None:
    told = decide(measured(lost=5, won=2, images=300), "int8", 1.0, None)
    assert (told.verdict["accuracy"]["decided"], told.verdict["accuracy"]["images_needed"]) == (False, None)
    assert told.warnings[0].endswith("no number of them would")


def test_what_was_taken_back_on_too_few_images_is_warned_of_too() -> None:
    told = decide(measured(lost=8, won=2, images=300), "int8", 1.0, None)
    assert told.chosen == "bf16"
    assert any("cannot tell whether the drop of int8 (2.00 points" in line for line in told.warnings)


def test_fp32_is_its_own_baseline_however_few_the_images() -> None:
    accuracy = decide(evidence(int8_ms=13.0, bf16_ms=12.5), "int8", 1.0, None).verdict["accuracy"]
    assert (accuracy["decided"], accuracy["images_needed"]) == (True, None)
    without = decide(evidence(drop=None), "int8", 1.0, None).verdict["accuracy"]
    assert (without["decided"], without["images_needed"]) == (None, None)
