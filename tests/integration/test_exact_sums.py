"""OpenVINO on processors without VNNI: wrong sums with weights of the full range, exact ones with those that fit.

ONEDNN_MAX_CPU_ISA makes a processor of x86-64 one of the older kind; it counts from the start of a process.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgekit.runtime.processor import EXACT, flags, int8_sums

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="only x86-64 adds INT8 products up in 16 bits"
)

ASKED = Path(__file__).with_name("ask_int8_sums.py")


def asked(tmp_path: Path, limit: str | None) -> list[dict[str, Any]]:
    """What single layers say under a limit of instructions; see ask_int8_sums.py."""
    environment = {key: value for key, value in os.environ.items() if "MAX_CPU_ISA" not in key}
    environment |= {} if limit is None else {"ONEDNN_MAX_CPU_ISA": limit}
    answer = subprocess.run(
        [sys.executable, str(ASKED)], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    told: list[dict[str, Any]] = [json.loads(line) for line in answer.stdout.splitlines()]
    return told


@pytest.mark.parametrize("limit", ["AVX2", "AVX512_CORE"])
def test_sums_of_16_bits_are_exact_with_weights_that_fit(limit: str, tmp_path: Path) -> None:
    """Every kind of layer, every kind of activation, against exact integer arithmetic; depthwise ones always are."""
    if limit == "AVX512_CORE" and "avx512f" not in flags():
        pytest.skip("this processor has no AVX-512")
    told = asked(tmp_path, limit)
    assert len(told) > 20
    assert [each for each in told if each["fitted"] and each["error"] > 1e-5] == []
    wrong = {each["layer"] for each in told if not each["fitted"] and each["error"] > 0.05}
    assert {"1x1", "3x3", "stride 2", "of three channels", "in groups", "Gemm", "MatMul"} <= wrong
    assert all(each["error"] < 1e-5 for each in told if each["layer"] == "depthwise")


def test_what_a_processor_is_taken_for_is_what_it_does(tmp_path: Path) -> None:
    """The full range is wrong under a limit if, and only if, edgekit says that sums are kept in 16 bits."""
    for limit in ("AVX2_VNNI", None) if set(flags()) & set(EXACT) else (None,):
        worst = max(each["error"] for each in asked(tmp_path, limit) if not each["fitted"])
        assert (worst > 0.05) == (int8_sums(platform.machine(), flags(), limit) == "16-bit"), limit
