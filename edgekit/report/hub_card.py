"""The card of a bundle in a Hugging Face hub: its README.md, which the hub's pages and searches are made of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.bundle.directory import read_manifest
from edgekit.report.markdown import markdown
from edgekit.report.metrics import METRICS
from edgekit.report.model import Report
from edgekit.report.schema import read

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from edgekit.bundle.manifest import Manifest

PIPELINES: Final = {
    "classify": "image-classification",
    "multilabel": "image-classification",
    "embed": "image-feature-extraction",
}
"""What the hub calls the tasks."""

METRIC_TYPES: Final = {
    "classify": ("accuracy", "Top-1 accuracy"),
    "multilabel": ("mean_average_precision", "Macro average precision"),
    "embed": ("accuracy", "Nearest-neighbour accuracy"),
}
"""What the hub calls the number that a task's budget is about, and what people do."""

LICENCES: Final = frozenset(
    {
        "afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bsd", "bsd-2-clause",
        "bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "cc", "cc-by-2.0", "cc-by-2.5",
        "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0",
        "cc-by-sa-4.0", "cc0-1.0", "ecl-2.0", "epl-1.0", "epl-2.0", "eupl-1.1",
        "eupl-1.2", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc",
        "lgpl", "lgpl-2.1", "lgpl-3.0", "lppl-1.3c", "mit", "mpl-2.0",
        "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "osl-3.0",
        "pddl", "postgresql", "unlicense", "wtfpl", "zlib",
    }
)  # fmt: skip
"""Licences that the hub knows, as it writes them: SPDX in small letters, without -only and -or-later."""


def hub_card(directory: Path, repository: str) -> bytes:
    """The card of a bundle; the same bytes for the same bundle and repository.

    Args:
        repository: OWNER/NAME, for the commands that it tells.
    Raises:
        InputError: it is no bundle, or has no report.
    """
    from huggingface_hub import ModelCardData

    report, manifest = read(directory), read_manifest(directory)
    results = _results(report)
    data = ModelCardData(
        library_name="edgekit",
        pipeline_tag=PIPELINES[report.task],
        tags=_tags(report, manifest),
        model_name=repository.rpartition("/")[2],
        metrics=[METRIC_TYPES[report.task][0]] if results else None,
        eval_results=results or None,
        **_licence(manifest.licenses.weights),
    )
    if not results:
        del data.model_name  # it is only for the results
    text = f"---\n{data.to_yaml()}\n---\n\n{markdown(report)}\n{_use(report.task, repository)}"
    return text.encode()


def _licence(spdx: str | None) -> dict[str, str]:
    """As the hub has it; one that it does not know by its name, nothing where it is not known."""
    if not spdx:
        return {}
    plain = re.sub(r"-(only|or-later)$", "", spdx.lower())
    if plain in LICENCES:
        return {"license": plain}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.-]+", "-", spdx.lower()).strip("-") or "unnamed"}


def _tags(report: Report, manifest: Manifest) -> list[str]:
    told = ("edgekit", report.chosen_variant.precision, manifest.target.runtime, report.target.name, report.model.name)
    return list(dict.fromkeys(told))


def _results(report: Report) -> list[EvalResult]:
    """What was measured of the chosen variant on labelled pictures; nothing where there were none."""
    from huggingface_hub import EvalResult

    value, digest = METRICS[report.task].value(report.chosen_variant.accuracy), report.data.digest
    if value is None or (report.verdict.accuracy.ok is None and report.verdict.accuracy.why):
        return []  # not measured, or on labels that have nothing to do with the pictures
    kind, name = METRIC_TYPES[report.task]
    return [
        EvalResult(
            task_type=PIPELINES[report.task],
            dataset_type="imagefolder",
            dataset_name=report.data.name or "pictures",
            dataset_revision=digest,
            metric_type=kind,
            metric_name=name,
            metric_value=round(value / 100, 6),
        )
    ]


def _use(task: str, repository: str) -> str:
    verb = "edgekit run" if task == "classify" else "edgekit inspect"
    picture = " picture.jpg" if task == "classify" else ""
    return (
        "## How to use it\n\n"
        f"    edgekit pull hf://{repository} bundle\n"
        f"    edgekit verify bundle\n    {verb} bundle{picture}\n\n"
        "`edgekit pull` checks every file against `manifest.json`, and the signature where there is one; this page is"
        " no part of the bundle.\n"
    )
