"""How INT8 is added up on a processor, and what is said of a bundle that was built for another kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.quantize.graph_format import sums_of
from edgekit.runtime.processor import FEATURES, LIMITS, SUMS, bound, flags, int8_sums, limit, what_differs
from edgekit.targets import Machine, adds_int8_in_16_bits

SERVER = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


@pytest.mark.parametrize(
    ("features", "limited_to", "wanted"),
    [
        ((), None, "16-bit"),
        (("avx2",), None, "16-bit"),
        (("avx2", "avx512f"), None, "16-bit"),
        (("avx2", "avx_vnni"), None, "exact"),
        (("avx2", "avx512f", "avx512_vnni"), None, "exact"),
        (SERVER, None, "exact"),
        (SERVER, "ALL", "exact"),
        (SERVER, "DEFAULT", "exact"),
        (SERVER, "no such thing", "exact"),
        *((SERVER, each, "16-bit") for each in ("SSE41", "AVX", "AVX2", "avx2", "AVX512_CORE")),
        *((SERVER, each, "exact") for each in ("AVX2_VNNI", "AVX512_CORE_VNNI", "AVX512_CORE_AMX", "AVX10_1_512")),
        (("avx2", "avx512f", "avx512_vnni"), "AVX2_VNNI", "16-bit"),
        (("avx2", "avx_vnni"), "AVX512_CORE_VNNI", "16-bit"),
    ],
)
def test_sums_of_processors(features: tuple[str, ...], limited_to: str | None, wanted: str) -> None:
    assert int8_sums("x86_64", features, limited_to) == wanted
    settings = () if limited_to is None else ((LIMITS[0], limited_to),)
    machine = Machine("some", "x86_64", features, 2, settings)
    assert adds_int8_in_16_bits(machine) == (wanted == "16-bit")
    assert sums_of("openvino", machine) == wanted
    assert sums_of("onnxruntime", machine) == "exact", "it is asked for kernels that do not saturate"


def test_features_are_those_that_may_be_used() -> None:
    """OpenVINO 2026.4.1 fails when it is asked for BF16 under a limit of AVX2."""
    assert bound((*SERVER, "amx_bf16"), "AVX2") == ("avx2",)
    assert bound(SERVER, None) == SERVER
    assert bound(("asimd", "bf16"), None) == ("asimd", "bf16")


def test_only_x86_saturates() -> None:
    assert int8_sums("aarch64", ()) == "exact"
    assert int8_sums("AMD64", ("avx2",)) == "16-bit"


def test_the_newer_variable_counts() -> None:
    assert limit({}) is None
    assert limit({"DNNL_MAX_CPU_ISA": "AVX2"}) == "AVX2"
    assert limit({"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"}) == "AVX2_VNNI"


@pytest.mark.parametrize(("word", "wanted"), [("flags\t\t", ("avx2", "avx_vnni")), ("Features\t", ("asimd", "i8mm"))])
def test_flags_are_read_as_linux_tells_them(tmp_path: Path, word: str, wanted: tuple[str, ...]) -> None:
    (tmp_path / "proc").mkdir()
    told = f"processor\t: 0\nmodel name\t: some\n{word}: fpu {' '.join(reversed(wanted))} other\n\nprocessor\t: 1\n"
    (tmp_path / "proc" / "cpuinfo").write_text(told)
    assert flags(str(tmp_path)) == wanted
    assert flags(str(tmp_path / "nothing")) == ()
    assert set(wanted) <= set(FEATURES)


@pytest.mark.parametrize("built", SUMS)
@pytest.mark.parametrize("here", SUMS)
def test_a_bundle_says_where_it_runs_on_another_kind(built: str, here: str) -> None:
    told = what_differs({"int8_sums": built}, "openvino", here)
    assert (told is None) == (built == here)
    if told is not None:
        assert told.startswith("INT8 sums may saturate here" if built == "exact" else "answers are right")
    assert what_differs({"int8_sums": built}, "onnxruntime", here) is None


@pytest.mark.parametrize(
    "wrong", [None, 5, [], "exact", {}, {"int8_sums": 1}, {"int8_sums": ["exact"]}, {"int8_sums": "x"}]
)
def test_what_makes_no_sense_says_nothing(wrong: Any) -> None:
    assert what_differs(wrong, "openvino", "16-bit") is None
