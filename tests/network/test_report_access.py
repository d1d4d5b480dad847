"""The report page for everybody: axe finds nothing, in light, dark and on a phone; and its scripts are npm's."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from browser import chromium, opened
from package_index import CACHE
from reports import embedding_report, full_report, many_variants
from samples import SAMPLE_REPORT

from edgekit.report import html, validate

if TYPE_CHECKING:
    from playwright.sync_api import Browser

AXE: Final = "axe-core-4.14.1"
AXE_SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
LOOKS: Final[dict[str, dict[str, Any]]] = {
    "light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 390, "height": 844}},
}  # fmt: skip
REPORTS: Final = {
    "full": full_report, "least": lambda: SAMPLE_REPORT, "vectors": embedding_report, "many": lambda: many_variants(40),
}  # fmt: skip
ROOT: Final = Path(__file__).resolve().parents[2]


def npm() -> str:
    found = shutil.which("npm")
    if found is None:
        pytest.skip("there is no npm here")
    return found


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe, from npm once."""
    archive = CACHE / f"{AXE}.tgz"
    if not archive.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [npm(), "pack", AXE.replace("core-", "core@"), "--silent", "--pack-destination", str(CACHE)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if ran.returncode or not archive.is_file():
            pytest.skip(f"npm did not bring axe: {ran.stderr.strip()[-200:]}")
    with tarfile.open(archive) as packed:
        inside = packed.extractfile("package/axe.min.js")
        assert inside is not None
        source = inside.read()
    assert hashlib.sha256(source).hexdigest() == AXE_SHA256
    return source.decode()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.mark.network
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", REPORTS)
def test_axe_finds_nothing(browser: Browser, axe: str, tmp_path: Path, name: str, look: str) -> None:
    file = tmp_path / "report.html"
    file.write_text(html(validate(REPORTS[name]())), encoding="utf-8")
    with opened(browser, file, bypass_csp=True, **LOOKS[look]) as (page, _):
        page.eval_on_selector_all("details", "all => all.forEach(each => { each.open = true; })")
        page.add_script_tag(content=axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [(each["id"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found["violations"]]
    assert told == []
    assert len(found["passes"]) > 10


@pytest.mark.network
def test_the_plotting_library_is_made_of_what_npm_has() -> None:
    npm()
    update = ROOT / ".vendor" / "update.py"
    before = (ROOT / "edgekit" / "report" / "scripts" / "plot.min.js").read_bytes()
    ran = subprocess.run([sys.executable, str(update)], capture_output=True, text=True, timeout=300, check=False)
    if "ERR" in ran.stderr or "npm" in ran.stderr:
        pytest.skip(f"npm did not bring the packages: {ran.stderr.strip()[-200:]}")
    assert ran.returncode == 0, ran.stderr
    told = json.loads((ROOT / "edgekit" / "report" / "scripts" / "plot.json").read_text())
    assert hashlib.sha256(before).hexdigest() == told["sha256"]
