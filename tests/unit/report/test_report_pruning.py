"""Pruning in the report: its schema, what the formats say of it, and what `edgekit inspect` prints."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from bundles import manifest
from click.testing import CliRunner
from reports import still
from samples import SAMPLE_REPORT

from edgekit.bundle.directory import write_bundle
from edgekit.cli.inspect import command
from edgekit.errors import InputError
from edgekit.report import RENDERERS, html, markdown, pruned, sensitivity, validate
from edgekit.report.model_pruning import Pruning

EVIL = '<img src=x onerror="alert(1)">|'

PRUNING: dict[str, Any] = {
    "asked": "auto",
    "kept": True,
    "reason": "1.4x faster, top-1 within the budget",
    "importance": "fisher",
    "channels": {"before": 9408, "after": 6115},
    "params": {"before": 2_740_000, "after": 1_420_000},
    "macs": {"before": 770_000_000, "after": 430_000_000},
    "latency": {
        "precision": "int8", "dense_ms": 5.65, "budget_ms": 4.0, "predicted_ms": 3.91, "measured_ms": 3.98,
        "steps": [{"predicted_ms": 4.0, "measured_ms": 4.31}, {"predicted_ms": 3.91, "measured_ms": 3.98}],
        "table": "INT8 probes on this processor", "table_points": 1284,
    },
    "recovery": {
        "method": "distillation", "images": 96000, "steps": 1500, "seconds": 1284.2, "batch_norm_images": 2048,
        "tuning": {
            "images": 1200, "dense_top1": 97.17,
            "pruned_top1": 41.25, "reestimated_top1": 93.92, "recovered_top1": 96.75,
        },
        "why": None,
    },
    "widths": [
        {"layer": "features.0.conv", "before": [3, 32], "after": [3, 24]},
        {"layer": "features.1.left", "before": [32, 64], "after": [24, 16]},
        {"layer": "features.1.right", "before": [32, 64], "after": [24, 48]},
        {"layer": "features.10.conv", "before": [128, 64], "after": [128, 64]},
    ],
    "sensitivity": {
        "images": 600,
        "dense_top1": 97.2,
        "blocks": [
            {"name": "features.1", "points": [[0.75, 60.0], [0.25, 96.5], [0.5, 91.5]]},
            {"name": "features.10", "points": [[0.25, 97.0], [0.5, 96.0]]},
            {"name": "elsewhere", "points": [[0.25, 95.0]]},
        ],
    },
}  # fmt: skip
NOT_TRIED: dict[str, Any] = {
    **dict.fromkeys(PRUNING),
    "asked": "auto",
    "kept": False,
    "reason": "there is no training data",
    "widths": [],
}


def report(told: object) -> dict[str, Any]:
    return {**copy.deepcopy(SAMPLE_REPORT), "pruning": copy.deepcopy(told)}


def changed(*path: Any, value: Any) -> dict[str, Any]:
    whole = report(PRUNING)
    inner: Any = whole["pruning"]
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return whole


def typed(told: object) -> Pruning:
    found = validate(report(told)).pruning
    assert found is not None
    return found


def ratios(*shares: float) -> list[list[float]]:
    return [[share, 90.0] for share in shares]


@pytest.mark.parametrize("told", [None, PRUNING, NOT_TRIED, {**PRUNING, "kept": False, "asked": "0.3", "widths": []}])
def test_the_schema_takes_what_builds_tell(told: object) -> None:
    validate(report(told))


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (changed("surprise", value=1), "surprise"),
        (changed("asked", value="much"), "asked"),
        (changed("reason", value=""), "reason"),
        (changed("importance", value="luck"), "importance"),
        (changed("channels", value=None), "channels"),  # kept, but nothing was cut
        (changed("widths", value=[]), "widths"),
        (changed("widths", 0, "after", value=[3, 0]), "after"),
        (changed("latency", "dense_ms", value=None), "latency"),
        (changed("latency", "steps", 0, value={"measured_ms": 1.0}), "steps"),
        (changed("recovery", "surprise", value=None), "recovery"),
        (changed("recovery", "tuning", "pruned_top1", value=101.0), "recovery"),
        (changed("sensitivity", "blocks", 0, "points", 0, value=[1.5, 90.0]), "sensitivity"),
        (changed("sensitivity", "blocks", 0, "points", 0, value=[0.5, 90.0, 1]), "sensitivity"),
        (changed("sensitivity", "dense_top1", value=float("nan")), "JSON"),
    ],
)
def test_the_schema_refuses_what_is_no_pruning(broken: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        validate(broken)


@pytest.mark.parametrize("key", PRUNING)
def test_no_part_may_be_left_out(key: str) -> None:
    whole = report(PRUNING)
    del whole["pruning"][key]
    with pytest.raises(InputError, match=key):
        validate(whole)


@pytest.mark.parametrize("form", RENDERERS)
def test_without_pruning_nothing_is_said_of_it(form: str) -> None:
    text = RENDERERS[form](validate(SAMPLE_REPORT))
    assert text == RENDERERS[form](validate(report(None)))
    assert "Pruning" not in text
    assert "Sensitivity" not in text


@pytest.mark.parametrize("form", RENDERERS)
@pytest.mark.parametrize(
    ("removed", "said"), [(["stage.1", "stage.3"], "2 of 12: stage.1, stage.3"), ([], "none of 12"), (None, None)]
)
def test_every_format_tells_which_blocks_are_gone(form: str, removed: list[str] | None, said: str | None) -> None:
    blocks = None if removed is None else {"there": 12, "removed": removed}
    text = RENDERERS[form](validate(report({**PRUNING, "blocks": blocks})))
    assert ("Blocks removed" in text) is (said is not None)
    assert said is None or said in text


@pytest.mark.parametrize("form", RENDERERS)
def test_every_format_tells_the_facts(form: str) -> None:
    text = RENDERERS[form](validate(report(PRUNING)))
    for said in (
        "Pruning (asked for: auto) was kept: 1.4x faster, top-1 within the budget.",
        "9,408", "6,115", "−35 %", "2.74", "1.42", "0.77", "0.43",
        "5.65", "3.91", "3.98", "4.00", "1,284 points", "Fisher",
        "distillation: 96,000 images, 1,500 steps, 21 min", "re-estimated on 2,048 images",
        "97.17", "41.25", "93.92", "96.75", "−0.42",
        "Top-1 of 600 images", "features.1.right", "64 → 48", "3 of 4 layers changed",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize("form", RENDERERS)
def test_what_was_not_tried_or_taken_back_has_its_reason(form: str) -> None:
    text = RENDERERS[form](validate(report(NOT_TRIED)))
    assert "Pruning (asked for: auto) was not tried: there is no training data." in text
    for absent in ("<details", "Importance", "Recovery", "pruning-size", "Sensitivity"):
        assert absent not in text
    told = {**PRUNING, "kept": False, "asked": "0.3", "reason": "top-1 fell.", "widths": []}
    assert "Pruning (asked for: 30 % of the channels) was taken back: top-1 fell." in RENDERERS[form](
        validate(report(told))
    )


@pytest.mark.parametrize("form", RENDERERS)
def test_a_recovery_that_was_not_done_has_its_why(form: str) -> None:
    whole = changed("recovery", "tuning", value=None)
    whole["pruning"]["recovery"] |= {"method": "none", "steps": 0, "batch_norm_images": 0, "why": "no image is there"}
    text = RENDERERS[form](validate(whole))
    assert "none; no image is there" in text
    assert "not measured" in text
    assert "just pruned" not in text


@pytest.mark.parametrize("form", RENDERERS)
def test_names_from_outside_cannot_inject(form: str) -> None:
    whole = changed("reason", value=EVIL)
    told = whole["pruning"]
    told["recovery"]["method"] = told["latency"]["table"] = told["recovery"]["why"] = EVIL
    told["widths"][0]["layer"] = told["sensitivity"]["blocks"][0]["name"] = EVIL
    text = RENDERERS[form](validate(whole))
    assert "<img" not in text
    if form == "md":  # nor tear a table's rows
        assert len(re.findall(r"^\| &lt;img .*\\\|", text, re.MULTILINE)) == 2


def test_the_page_still_stands_alone() -> None:
    page = still(html(validate(report(PRUNING))))
    assert not re.search(r"""<script|url\(|(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert page.count("<svg") == 2
    assert page.count("<section") == page.count("</section>")
    assert '<section class="pruning"' in page
    assert '<i style="width:75.0%">' in page


def test_curves_begin_at_the_dense_network_and_cuts_stand_where_widths_tell() -> None:
    drawn = sensitivity.svgs(typed(PRUNING))
    assert len(drawn) == 1
    curves = re.findall(r'class="curve" points="([^"]*)"', drawn[0])
    assert [len(each.split()) for each in curves] == [4, 3, 2]
    across = [float(point.split(",")[0]) for point in curves[0].split()]
    assert across == sorted(across)
    assert "50 % kept" in drawn[0]  # 64 of features.1's 128 channels
    assert "100 % kept" in drawn[0]  # features.10 is no part of features.1
    assert drawn[0].count('class="cut"') == drawn[0].count('class="spot"') == 1
    assert sensitivity.between([(0.0, 97.0), (0.5, 91.0)], 0.25) == pytest.approx(94.0)
    assert sensitivity.between([(0.0, 97.0), (0.5, 91.0)], 0.75) is None


def test_many_blocks_go_on_more_sheets_and_long_names_lose_their_beginning() -> None:
    name = "backbone.stages.blocks.residual.branch"
    blocks = [{"name": f"{name}.{n}", "points": ratios(0.5)} for n in range(26)]
    told = {**PRUNING, "sensitivity": {**PRUNING["sensitivity"], "blocks": blocks}}
    drawn = sensitivity.svgs(typed(told))
    assert [each.count('class="panel"') for each in drawn] == [25, 1]
    assert "…" in drawn[0]
    assert f"<title>{name}.7;" in drawn[0]  # whole where one points at it
    assert sensitivity.svgs(typed({**PRUNING, "sensitivity": {**PRUNING["sensitivity"], "blocks": []}})) == []


@pytest.mark.parametrize(
    "points", [[], ratios(0.0), ratios(1.0), ratios(0.5, 0.5), ratios(0.01)], ids=["none", "0", "1", "twice", "little"]
)
def test_sparse_curves_are_drawn_too(points: list[list[float]]) -> None:
    blocks = [{"name": "features.1", "points": points}]
    whole = report({**PRUNING, "sensitivity": {**PRUNING["sensitivity"], "blocks": blocks}})
    read = validate(whole)
    assert "nan" not in still(html(read))
    assert "features.1 | 50 %" in markdown(read)


def test_markdown_has_blocks_by_ratios() -> None:
    lines = markdown(validate(report(PRUNING))).splitlines()
    assert "| block | kept | −25 % | −50 % | −75 % |" in lines
    assert "| features.1 | 50 % | 96.5 | 91.5 | 60.0 |" in lines
    assert "| elsewhere | – | 95.0 | – | – |" in lines
    assert "| features.0.conv | 3 | 32 → 24 | 75 % |" in lines
    inside = lines[lines.index("<details>") : lines.index("</details>")]
    assert inside[2] == ""  # else GitHub draws no table
    assert "| layer | in | out | out kept |" in inside


def test_too_many_ratios_are_listed_instead() -> None:
    blocks = [{"name": f"b{n}", "points": ratios(0.1 + n / 100, 0.3 + n / 100)} for n in range(8)]
    table = pruned.sensitivity_table(typed({**PRUNING, "sensitivity": {**PRUNING["sensitivity"], "blocks": blocks}}))
    assert table is not None
    assert table.rows[1] == ("b1", "–", "11 %: 90.0, 31 %: 90.0")


def bundle(out: Path, told: object, **more: bytes) -> Path:
    files: dict[str, Path | bytes] = {"report.json": json.dumps(report(told)).encode(), **more}
    return write_bundle(out, files, manifest(precision="int8"))


def inspect(path: Path, *options: str) -> tuple[int, str]:
    answer = CliRunner().invoke(command, [str(path), *options], standalone_mode=False)
    assert answer.exception is None or isinstance(answer.exception, InputError), answer.exception
    if answer.exception is not None:
        raise answer.exception
    return answer.return_value, answer.stdout


def test_inspect_prints_the_layers_that_changed(tmp_path: Path) -> None:
    code, said = inspect(bundle(tmp_path / "pruned", PRUNING))
    assert code == 0
    lines = [re.sub(r"  +", "|", line) for line in said.splitlines()]
    assert "layer|in|out" in lines
    assert "features.0.conv|3|32 -> 24" in lines
    assert "features.1.left|32 -> 24|64 -> 16" in lines
    assert "features.10.conv" not in said
    assert "Pruning (asked for: auto) was kept" in said


def test_inspect_has_no_widths_of_what_is_not_in_the_bundle(tmp_path: Path) -> None:
    code, said = inspect(bundle(tmp_path / "back", {**PRUNING, "kept": False}))
    assert code == 0
    assert "was taken back" in said
    assert "->" not in said
    code, said = inspect(bundle(tmp_path / "never", None))
    assert code == 0
    assert "runing" not in said


def test_inspect_gives_pruning_as_json(tmp_path: Path) -> None:
    path = bundle(tmp_path / "pruned", PRUNING)
    assert json.loads(inspect(path, "--json")[1])["pruning"] == PRUNING
    assert json.loads(inspect(bundle(tmp_path / "never", None), "--json")[1])["pruning"] is None
    (path / "report.json").write_text("{}")  # not what the build wrote: not told as if it were
    code, said = inspect(path, "--json")
    assert code == 2
    assert json.loads(said)["pruning"] is None


def test_inspect_needs_no_report_but_refuses_what_is_none(tmp_path: Path) -> None:
    path = bundle(tmp_path / "bare", None)
    told = json.loads((path / "manifest.json").read_text())
    (path / "report.json").unlink()
    del told["files"]["report.json"]
    (path / "manifest.json").write_text(json.dumps(told))
    assert json.loads(inspect(path, "--json")[1])["pruning"] is None
    with pytest.raises(InputError, match="no report"):
        inspect(bundle(tmp_path / "odd", None, **{"report.json": b"[1]"}))
