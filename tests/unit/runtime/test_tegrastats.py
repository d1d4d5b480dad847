"""tegrastats: what its lines tell on each family of boards, whole, cut off, or none at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtime.tegrastats import module_power_w, module_rails, parse

LINES = dict(
    row.split("|", 1)
    for row in (Path(__file__).parent / "recorded" / "tegrastats.txt").read_text().splitlines(keepends=True)
    if not row.startswith("#")
)

KNOWN = {  # board: (RAM used and total, cores, cores off, GPU load, GPU MHz, EMC MHz, watts of the whole module)
    "tx1": (3607, 3983, 4, 0, 39, 76, 1600, None),
    "nano": (1446, 3957, 4, 0, 0, 76, 1600, 2.830),
    "nano-5w": (1655, 3956, 4, 2, 0, 76, 1600, 2.132),
    "tx2": (3276, 7859, 6, 0, 0, 114, 1866, 5.297),
    "xavier-nx": (4412, 7772, 6, 0, 62, 306, 1600, 4.067),
    "agx-xavier": (721, 31927, 8, 4, 0, 318, 665, 3.346),
    "agx-xavier-jp5": (1545, 31919, 8, 0, 0, 114, 1331, 5.258),
    "orin-nano": (3645, 7620, 6, 0, 0, 305, 204, 2.957),
    "orin-nx": (6982, 7620, 6, 0, 84, 713, 3199, 17.946),
    "orin-nx-jp5": (6334, 15388, 8, 4, 0, 611, 2133, 5.299),
    "agx-orin": (4321, 62801, 12, 0, 0, 0, 2133, 6.755),
    "agx-orin-jp5": (1205, 30623, 12, 0, 0, 114, 204, 9.428),
    "agx-orin-r36": (29114, 30697, 12, 0, 0, 305, 2133, 12.377),
    "agx-orin-r39": (999, 62841, 2, 1, 0, None, None, 6.710),
    "thor": (105265, 125772, 14, 0, None, 314, 2750, 19.780),
    "thor-r39": (36529, 125749, 14, 0, None, None, None, 87.426),
}


def test_every_recorded_line_is_known() -> None:
    assert set(LINES) == set(KNOWN)


@pytest.mark.parametrize("board", sorted(KNOWN))
def test_recorded_lines(board: str) -> None:
    told, (used, total, cores, off, load, mhz, emc, watts) = parse(LINES[board]), KNOWN[board]
    assert told["ram_mb"] == [used, total]
    assert (len(told["cpu"]), told["cpu"].count("off")) == (cores, off)
    assert (told["gpu_load"], told["gpu_mhz"], told["emc_mhz"]) == (load, mhz, emc)
    assert module_power_w(told["rails_w"]) == (None if watts is None else pytest.approx(watts))
    assert not {"RAM", "SWAP", "IRAM", "NC"} & set(told["rails_w"])
    assert all(0 < degrees < 100 for degrees in told["temperatures_c"].values())
    assert json.loads(json.dumps(told)) == told


def test_details_of_lines() -> None:
    xavier, orin, busy = parse(LINES["agx-xavier"]), parse(LINES["agx-orin"]), parse(LINES["orin-nx"])
    assert xavier["temperatures_c"]["GPU"] == 37.5
    assert xavier["rails_w"]["GPU"] == 0.0
    assert "PMIC" not in xavier["temperatures_c"]
    assert "GPU" not in orin["temperatures_c"]  # -256: it is off
    assert orin["temperatures_c"]["tj"] == 44.343
    assert orin["time"] == "04-11-2025 10:36:27"
    assert xavier["time"] is None
    assert busy["cpu"][5] == [93, 247]
    assert busy["rails_mw"]["VDD_IN"] == [17946, 15710]
    assert parse(LINES["tx1"])["cpu"] == [[17, 1734], [11, 1734], [65, 1734], [0, 1734]]
    assert parse(LINES["agx-orin-r39"])["temperatures_c"]["cpu"] == 43.093
    assert module_rails(parse(LINES["thor"])["rails_w"]) == ("VIN",)


@given(st.sampled_from(sorted(LINES)), st.data())
def test_a_line_cut_anywhere_tells_nothing_false(board: str, data: st.DataObject) -> None:
    line = LINES[board]
    told, whole = parse(line[: data.draw(st.integers(0, len(line)))]), parse(line)
    for key in ("time", "ram_mb", "gpu_load", "gpu_mhz", "emc_load", "emc_mhz"):
        assert told[key] in (None, whole[key])
    assert told["cpu"] == whole["cpu"][: len(told["cpu"])] or board == "tx1"  # the TX1's clock follows its cores
    for key in ("temperatures_c", "rails_w"):
        assert told[key].items() <= whole[key].items()


@given(st.text() | st.text(alphabet="CPURAM GR3D_FEQ@[],%/0123456789mWoff-."))
def test_any_text_is_read_without_an_exception(line: str) -> None:
    assert isinstance(parse(line), dict)


def test_lines_of_megabytes_cost_no_more_than_reading_them() -> None:
    """Numbers that Python does not turn into any, and text that a pattern could go through again and again."""
    digits = "9" * 5000
    told = parse(
        f"RAM {digits}/1MB CPU [{digits}%@1,2%@3] GR3D_FREQ {digits}%@{digits} GPU@{digits}C VDD_IN {digits}/1\n"
    )
    assert told["ram_mb"] is None
    assert told["cpu"] == ["off", [2, 3]]
    assert not told["rails_w"]
    for piece in ("RAM ", "CPU [", "A " * 8, "A" + " " * 99, "GR3D  ", "a-@", "1" * 99, "A 1/", "A 1mW/", "X@1"):
        parse(piece * (10_000_000 // len(piece)))
