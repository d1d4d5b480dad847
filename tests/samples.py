"""Values that several tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Photos and tables for measuring, beside the project; tests that need them skip where they are absent."""


def _variant(name: str, kind: str, top1: float, p50: float) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "runtime": "openvino",
        "precision": name,
        "params": 2_600_000,
        "macs": 770_000_000,
        "size_bytes": 5_000_000,
        "accuracy": {"top1": top1, "top5": 99.0, "agreement": 99.5, "images": 2400, "ci95": [top1 - 1, top1 + 1]},
        "latency": {
            "p50": p50,
            "p90": p50 * 1.1,
            "p99": p50 * 1.3,
            "mean": p50,
            "ci95": [p50 * 0.98, p50 * 1.02],
            "runs": 200,
            "warmup": 30,
            "throughput_ips": 1000 / p50,
        },
        "kept": kind == "chosen",
        "reason": "it pays" if kind == "chosen" else "for comparison",
    }


SAMPLE_REPORT: dict[str, Any] = {
    "schema": 1,
    "edgekit": "0.1.0",
    "created": "2026-01-02T03:04:05+00:00",
    "model": {
        "name": "inception_v4",
        "tag": "signs",
        "weights_sha256": "a" * 64,
        "params": 2_600_000,
        "macs": 770_000_000,
        "input": [1, 3, 299, 299],
        "classes": 24,
    },
    "target": {"name": "cpu", "runtime": "openvino", "runtime_version": "1", "device": "a CPU", "features": ["avx2"]},
    "data": {"name": "signs", "images": 2400, "digest": "b" * 64},
    "calibration": {"images": 300, "strategy": "stratified", "digest": "c" * 64, "seed": 0},
    "variants": [
        _variant("fp32", "baseline", 96.4, 12.0),
        _variant("bf16", "step", 96.4, 6.0),
        _variant("int8", "chosen", 96.2, 4.0),
    ],
    "chosen": "int8",
    "verdict": {
        "ok": True,
        "accuracy": {"drop": 0.2, "ci95": [-0.1, 0.5], "p_value": 0.4, "budget": 1.0, "ok": True},
        "latency": {"speedup_vs_fp32": 3.0, "ci95": [2.9, 3.1], "p50": 4.0, "budget": None, "ok": None},
    },
    "stages": [{"name": "export", "seconds": 10.0, "cached": False}],
    "warnings": ["something needs care"],
    "environment": {"python": "3.11"},
}
"""A report as a build leaves it, for what reads reports."""
