"""What a build puts into its bundle: the compressed network, its evidence, the runtime, and what the manifest says."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit import __version__
from edgekit.build.stages import Graphs, Run, engine_facts, sizes_of
from edgekit.bundle.directory import write_bundle
from edgekit.bundle.runtime_archive import NAME as RUNTIME
from edgekit.bundle.runtime_archive import runtime_archive
from edgekit.bundle.sbom import SBOM, bill_of_materials
from edgekit.data.calibration import CalibrationSet, to_json
from edgekit.recipe import to_yaml
from edgekit.report import RENDERERS, Report
from edgekit.store import Entry
from edgekit.validate.variants import precision_of

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

OWN_LICENSE: Final = "Apache-2.0"
"""Of what the project draws and trains itself, and of the public weights that its registry names."""


def write(
    run: Run,
    out: Path,
    report: Report,
    calibration: CalibrationSet,
    graphs: Graphs,
    compiled: Entry,
    judged: Entry,
    images: ImageSet | None,
) -> Path:
    """Writes the bundle of a build that is done.

    Raises:
        InputError: `out` is not ours, or the disk is full.
    """
    chosen = report.chosen
    form = compiled.path / sizes_of(compiled)[chosen]["path"]
    files: dict[str, Path | bytes] = {
        "report.json": (json.dumps(report.as_dict(), indent=2) + "\n").encode(),
        **{f"report.{suffix}": render(report).encode() for suffix, render in RENDERERS.items()},
        "recipe.yaml": to_yaml(run.recipe).encode(),
        "calibration.json": to_json(calibration).encode(),
        "model.onnx": graphs.of(chosen),
        "golden.npz": _golden(judged, chosen),
        RUNTIME: runtime_archive(),
    }
    if form.suffix != ".onnx":
        files[f"model{form.suffix}"] = form
    if form.suffix == ".xml":
        files["model.bin"] = form.with_suffix(".bin")
    if run.recipe.tensorrt.dla and precision_of(chosen) == "int8":
        files |= {name: graphs.of(chosen).parent / name for name in ("model.dla.onnx", "model.dla.cache")}
    manifest = {**_manifest(run, report, images), **engine_facts(run, chosen)}
    if run.recipe.sbom:
        files[SBOM] = bill_of_materials(report.as_dict(), manifest["licenses"], files)
    return write_bundle(out, files, manifest)


def _golden(judged: Entry, chosen: str) -> bytes:
    """The golden inputs with the chosen variant's logits."""
    import numpy as np

    with np.load(judged.path / "golden.npz") as kept:
        into = io.BytesIO()
        np.savez_compressed(into, inputs=kept["inputs"], logits=kept[f"logits-{chosen}"])
    return into.getvalue()


def _manifest(run: Run, report: Report, images: ImageSet | None) -> dict[str, Any]:
    _, _, height, width = report.model.input
    labels = list(images.classes) if images is not None else []
    own_weights = run.source.kind == "registry" and run.recipe.weights is None
    return {
        "model": report.model.as_dict(),
        "target": report.target.as_dict(),
        "precision": precision_of(report.chosen),
        "input": {"name": "image", "dtype": "uint8", "shape": [1, height, width, 3], "layout": "NHWC", "color": "RGB"},
        "preprocessing": asdict(run.source.preprocessing),
        # Images of some of the classes name only those: their names would stand at the wrong places.
        "labels": labels if len(labels) == report.model.classes else [],
        "versions": {"edgekit": __version__, report.target.runtime: report.target.runtime_version},
        "licenses": {
            "weights": run.recipe.license or (OWN_LICENSE if own_weights else None),
            "data": OWN_LICENSE if images is not None and images.name == "signs" else None,
        },
    }
