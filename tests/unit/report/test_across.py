"""Many builds on one page, in a table, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from reports import full_report

from edgekit.cli.report import command
from edgekit.errors import InputError
from edgekit.report.across import as_csv, best, builds_in
from edgekit.report.across_page import across_html


def build(folder: Path, **changed: Any) -> None:
    """A build's report in a folder, its chosen variant changed."""
    told = full_report()
    chosen = next(each for each in told["variants"] if each["name"] == told["chosen"])
    chosen["latency"] |= {key: changed[key] for key in ("p50", "p50_bounds") if key in changed}
    chosen["accuracy"] |= {key: changed[key] for key in ("top1", "ci95") if key in changed}
    told["created"] = changed.get("created", told["created"])
    told["target"]["device"] = changed.get("device", told["target"]["device"])
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(told))


@pytest.fixture
def builds(tmp_path: Path) -> Path:
    build(tmp_path / "old", created="2026-10-01T10:00:00+00:00", p50=4.0, p50_bounds=[3.9, 4.1], top1=95.0)
    build(tmp_path / "deep" / "new", created="2026-11-01T10:00:00+00:00", p50=3.0, p50_bounds=[2.9, 3.1], top1=94.0)
    build(tmp_path / "worse", created="2026-11-02T10:00:00+00:00", p50=5.0, p50_bounds=[4.9, 5.1], top1=94.5)
    build(tmp_path / "other", created="2026-11-03T10:00:00+00:00", p50=9.0, device="another processor")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "report.json").write_text("{}")
    return tmp_path


def test_builds_are_found_the_oldest_first_and_what_is_none_is_named(builds: Path) -> None:
    found = builds_in(builds)
    assert [row.build for row in found.rows] == ["old", "deep/new", "worse", "other"]
    assert [each.build for each in found.left_out] == ["broken"]
    assert found.left_out[0].why


def test_only_what_compares_stands_together(builds: Path) -> None:
    benches = list(builds_in(builds).benches().values())
    assert [[row.build for row in rows] for rows in benches] == [["old", "deep/new", "worse"], ["other"]]
    assert [row.build for row in best(benches[0])] == ["deep/new", "old"]


def test_the_page_has_every_figure_and_names_what_was_left_out(builds: Path) -> None:
    page = across_html(builds_in(builds), "Builds")
    for text in ("deep/new", "another processor", "4.00", "3.00", "Left out", "broken", "2026-11-02 10:00"):
        assert text in page
    assert page.count('<svg class="plot"') == 3  # two fronts, and the trend of the three that compare
    assert page.count("://") == 0


def test_csv_can_be_read_back(builds: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(builds_in(builds)))))
    assert [row["build"] for row in rows] == ["old", "deep/new", "worse", "other"]
    assert (rows[1]["p50"], rows[1]["p50_bounds_low"], rows[1]["p50_bounds_high"]) == ("3.0", "2.9", "3.1")


def test_names_do_nothing_in_a_page_or_a_spreadsheet(tmp_path: Path) -> None:
    build(tmp_path / "=1+1 <script>")
    found = builds_in(tmp_path)
    assert "<script>alert" not in across_html(found, "x")
    assert "=1+1 &lt;script&gt;" in across_html(found, "x")
    assert as_csv(found).splitlines()[1].startswith("'=1+1")


def test_a_folder_without_builds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no report\.json of a build below"):
        builds_in(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        builds_in(tmp_path / "none")


def test_the_verb(builds: Path) -> None:
    def said(*arguments: object) -> Any:
        return CliRunner().invoke(command, [str(each) for each in arguments])

    table = said("--across", builds)
    assert table.exit_code == 0
    assert "* deep/new" in table.output
    assert "broken is left out" in table.output
    told = json.loads(said("--across", builds, "--json").stdout)
    assert told == json.loads(json.dumps(asdict(builds_in(builds))))
    assert said("--across", builds, "--out", builds / "all.html").exit_code == 0
    assert (builds / "all.html").read_text().startswith("<!DOCTYPE html>")
    assert said("--across", builds, "--format", "csv").stdout.startswith("build,created,model")
    assert said("--across", builds, builds / "old").exit_code == 2
    assert said().exit_code == 2
    assert said(builds / "old", "--format", "csv").exit_code == 2
