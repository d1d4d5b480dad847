"""Small real bundles that have a report and a recipe, as those of a build: to track, and to publish."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from bundles import make_bundle, manifest
from samples import SAMPLE_REPORT

from edgekit.bundle.directory import names_of, write_bundle
from edgekit.recipe import merged, to_yaml
from edgekit.report import RENDERERS, validate


def reported(
    out: Path,
    report: dict[str, Any] | None = None,
    runtime: str = "openvino",
    licence: str | None = "Apache-2.0",
    **settings: Any,
) -> Path:
    """Writes a bundle with a report (by default the sample), its pages, a recipe of `settings` and a licence."""
    parts = make_bundle(out.parent / f"{out.name}-alone", runtime=runtime)
    told = copy.deepcopy(SAMPLE_REPORT if report is None else report)
    read = validate(told)
    files: dict[str, Path | bytes] = {name: parts / name for name in names_of(parts) if name != "manifest.json"}
    files["report.json"] = json.dumps(told).encode()
    files |= {f"report.{suffix}": render(read).encode() for suffix, render in RENDERERS.items()}
    files["recipe.yaml"] = to_yaml(merged({"model": "inception_v4"}, settings)).encode()
    licences = {"weights": licence, "data": None}
    return write_bundle(out, files, manifest(runtime=runtime, licenses=licences, versions={"edgekit": "1", "x": "2"}))
