"""A report with every part that there is, for what reads and renders reports."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from samples import SAMPLE_REPORT

Path = tuple[str | int, ...]
"""Keys and places that lead to a value in JSON."""

FREE_TEXTS: tuple[Path, ...] = (
    ("edgekit",),
    ("model", "name"),
    ("model", "tag"),
    *(("target", key) for key in ("name", "runtime", "runtime_version", "device")),
    ("target", "features", 0),
    ("data", "name"),
    ("calibration", "strategy"),
    ("variants", 0, "fidelity", "why"),
    ("variants", 1, "why"),
    ("variants", 1, "name"),
    ("variants", 1, "runtime"),
    ("variants", 1, "reason"),
    ("variants", 2, "parent"),
    ("variants", 2, "ratios", 1, "base"),
    *(("variants", 2, "flips", "shown", 0, key) for key in ("image", "label", "before", "after")),
    ("variants", 2, "classes", "shown", 0, "label"),
    ("stages", 0, "name"),
    ("warnings", 0),
    ("environment", "cpu"),
    ("pruning", "reason"),
    ("pruning", "widths", 0, "layer"),
    ("pruning", "latency", "table"),
    *(("pruning", "recovery", key) for key in ("method", "why", "cut")),
    ("pruning", "sensitivity", "blocks", 0, "name"),
    *(("tuning", key) for key in ("ended", "way")),
    ("tuning", "floats", 0),
    ("tuning", "trials", 0, "name"),
    ("referee", "reference"),
    ("referee", "operator"),
    *(("variants", 2, "layer_times", "layers", 0, key) for key in ("operator", "precision")),
    ("locked", "made_on"),
    ("locked", "backend"),
    ("locked", "pruning", "importance"),
)
"""Places of texts that come from outside, or may."""


def full_report() -> dict[str, Any]:
    """A valid report, schema 1, as JSON has it."""
    report = copy.deepcopy(SAMPLE_REPORT)
    report |= copy.deepcopy(_MORE)
    report["calibration"]["spread"] = {
        "seeds": 3, "drops": [0.2, 0.5, -0.125], "min": -0.125, "max": 0.5, "mean": 0.19, "std": 0.31,
    }  # fmt: skip
    report["calibration"]["coverage"] = {"covered": 23, "of": 24, "fewest": 0, "most": 14}
    report["verdict"]["accuracy"] |= {"decided": True, "images_needed": 900, "why": None}
    report["environment"] |= {"cpu": "a CPU", "throttled": False, "mean power, W": 11.5, "jetpack": None}
    for variant, more in zip(report["variants"], copy.deepcopy(_OF_VARIANTS), strict=True):
        variant |= more
        variant["latency"] |= _spread(variant["latency"]["p50"])
    report["variants"][1]["latency"] |= {"memory": 12, "memory_peak": None, "memory_note": "of the process"}
    return report


def _spread(p50: float) -> dict[str, Any]:
    """What is told of how latencies vary."""
    percent = [0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 100.0]
    around = (0.95, 0.97, 0.99, 1.0, 1.02, 1.2, 1.3, 1.6)
    return {
        "p50_bounds": [p50 * 0.99, p50 * 1.01],
        "quantiles": {"percent": percent, "ms": [p50 * each for each in around]},
    }


def many_variants(count: int) -> dict[str, Any]:
    """A report of that many variants."""
    report = full_report()
    first, *_ = report["variants"]
    for place in range(count - 3):
        one = copy.deepcopy(first) | {"name": f"pruned-{place}", "kind": "step", "reason": "it is not faster"}
        one["latency"] |= {"p50": 4 + place / 50, "p50_bounds": [3.9 + place / 50, 4.1 + place / 50]}
        report["variants"].append(one)
    return report


def still(page: str) -> str:
    """A page without its scripts and what they are given, which stand at its end: what is there to be read."""
    head, _, scripts = page.partition('<script type="application/json"')
    assert scripts.count("<script>") == 3
    return head


def at(report: Any, path: Path) -> Any:
    """The value at a path."""
    for step in path:
        report = report[step]
    return report


def put(report: Any, path: Path, value: Any) -> None:
    """Sets the value at a path."""
    at(report, path[:-1])[path[-1]] = value


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """Every place in a JSON value but the whole."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*here, step)
        yield from paths(inner, (*here, step))


_OF_VARIANTS: tuple[dict[str, Any], ...] = (
    {
        "fidelity": {"agreement": None, "cosine": None, "kl": None, "why": "it is its own reference"},
        "memory_bytes": 70_000_000,
        "energy_j": 0.25,
        "layer_times": {"runs": None, "layers": None, "why": "layers are not timed with TensorRT"},
    },
    {"why": "its size is of the graph", "layers": [{"name": "conv", "kind": "Convolution", "output": "nChw16c f32"}]},
    {
        "fidelity": {"agreement": 99.5, "cosine": 0.9998, "kl": 0.0004},
        "parent": "fp32",
        "beaten_by": None,
        "taken_back": False,
        "layer_times": {
            "runs": 20,
            "layers": [
                {
                    "name": "conv/1", "operator": "Convolution", "kernel": "brgconv_avx512_I8", "precision": "int8",
                    "microseconds": 1250.5,
                },
                {"name": "pool", "operator": "MaxPool", "kernel": None, "precision": None, "microseconds": 310.25},
                {"name": "fc", "operator": "Convolution", "kernel": "ref_f32", "precision": "fp32", "microseconds": 99},
            ],
        },
        "arithmetic": {
            "exact": "onnxruntime", "images": 64, "same": 98.5, "cosine": 0.9998, "least_cosine": 0.997, "ok": True,
        },
        "ratios": [
            {"base": "fp32", "ratio": 2.98, "ci95": [2.9, 3.1]},
            {"base": "bf16", "ratio": 1.47, "ci95": [1.41, 1.52]},
        ],
        "flips": {
            "changed": 17,
            "lost": 9,
            "won": 4,
            "shown": [
                {
                    "image": "validation/7", "label": "circle-bar", "before": "circle-bar", "after": "circle-ring",
                    "before_probability": 0.873, "after_probability": 0.514, "outcome": "lost", "thumbnail": "/9j/4A==",
                },
                {
                    "image": "validation/9", "label": None, "before": "stop", "after": None,
                    "before_probability": 0.5, "after_probability": None, "outcome": "other", "thumbnail": "/9j/4A==",
                },
            ],
        },
        "classes": {
            "shown": [{"label": "stop", "images": 100, "right_before": 97, "right_after": 91, "lost": 8, "won": 2}],
            "left_out": 3,
        },
    },
)  # fmt: skip

_MORE: dict[str, Any] = {
    "locked": {
        "made_on": "a processor", "versions": {"torch": "2.13.0", "nncf": None}, "weights_sha256": "a" * 64,
        "calibration_digest": "c" * 64, "seed": 7, "precisions": ["fp32", "bf16", "int8"], "chosen": "int8",
        "backend": "openvino",
        "pruning": {
            "importance": "fisher", "units": 9408, "kept": 6115, "layers": 149,
            "recovery": {"steps": 1500, "images": 96000, "number_format": "bf16", "threads": 2},
        },
        "search": {"way": "wide ranges", "float_operators": 3, "trained": True},
    },
    "task": "classify",
    "referee": {
        "reference": "onnxruntime 1.22, CPU", "runtime": "openvino", "tolerance": 0.1,
        "images": 64, "agreement": 98.4375, "max_logit_difference": 0.75,
        "operator": "Conv_12",
    },
    "pruning": {
        "asked": "auto",
        "kept": True,
        "reason": "1.4x faster, top-1 within the budget",
        "importance": "fisher",
        "channels": {"before": 9408, "after": 6115},
        "params": {"before": 2_740_000, "after": 1_420_000},
        "macs": {"before": 770_000_000, "after": 430_000_000},
        "latency": {
            "precision": "int8", "dense_ms": 5.65, "budget_ms": None, "predicted_ms": 3.91, "measured_ms": 3.98,
            "steps": [{"predicted_ms": 4.0, "measured_ms": 4.31}],
            "table": "INT8 probes on this processor", "table_points": 1284,
        },
        "recovery": {
            "method": "distillation", "images": 96000, "steps": 1500, "seconds": 1284.2, "batch_norm_images": 2048,
            "tuning": {
                "images": 1200, "dense_top1": 97.17,
                "pruned_top1": 41.25, "reestimated_top1": None, "recovered_top1": 96.75,
            },
            "why": "the clock was set back", "attempts": 2, "cut": "half of the steps: the time was over",
        },
        "widths": [
            {"layer": "features.0.conv", "before": [3, 32], "after": [3, 24]},
            {"layer": "features.1.left", "before": [32, 64], "after": [24, 16]},
        ],
        "sensitivity": {
            "images": 600,
            "dense_top1": 97.2,
            "blocks": [{"name": "features.1", "points": [[0.25, 96.5], [0.5, 91.5]]}],
        },
    },
    "tuning": {
        "ended": "within the budget", "way": "plain", "floats": ["Conv_1"], "drop": 0.25, "labelled": True,
        "images": 300, "budget": 1.0, "seconds": 12.5, "budget_seconds": 600.0, "peak_bytes": 900_000_000,
        "memory_bytes": 1_700_000_000,
        "trials": [{"name": "entropy", "drop": 0.25, "kl": 0.001, "images": 300, "seconds": 4.0, "best": True}],
    },
}  # fmt: skip


def embedding_report() -> dict[str, Any]:
    """A report of a network whose vectors are compared by cosine."""
    report = copy.deepcopy(SAMPLE_REPORT) | {"task": "embed"}
    found = ((99.15, 1.0, 1.0, 0.9853, 1.0, 5.17), (99.15, 0.9999, 0.9997, 0.9853, 1.0, 5.17),
             (98.31, 0.9946, 0.962, 0.9848, 0.85, 5.32))  # fmt: skip
    for variant, (top1, mean, p1, area, accepted, rejected) in zip(report["variants"], found, strict=True):
        pairs = {"threshold": 0.2702, "roc_auc": area, "false_accept": accepted, "false_reject": rejected}
        variant["accuracy"] = {
            "top1": top1, "cosine": {"mean": mean, "p1": p1}, "pairs": pairs | {"compared": 6903, "of": 6903},
            "images": 118, "ci95": [95.0, 99.9],
        }  # fmt: skip
    return report


def multilabel_report() -> dict[str, Any]:
    """A report of a network that gives sets of labels."""
    report = copy.deepcopy(SAMPLE_REPORT) | {"task": "multilabel"}
    for variant, (precision, f1) in zip(report["variants"], ((71.4, 66.0), (71.4, 66.0), (71.15, 65.8)), strict=True):
        variant["accuracy"] = {
            "map": precision, "f1": f1, "f1_micro": 70.0, "threshold": 0.5, "images": 500, "ci95": [69.0, 73.5],
        }  # fmt: skip
    return report
