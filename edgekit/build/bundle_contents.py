"""What a build puts into its bundle: the compressed network, its evidence, the runtime, and what the manifest says."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit import __version__
from edgekit.backends.openvino_plugin import PLUGIN_OF
from edgekit.build import lock as locks
from edgekit.build.bill import product
from edgekit.build.provenance import engine, engine_settings
from edgekit.bundle.directory import write_bundle
from edgekit.bundle.manifest import Arithmetic, BuiltFor, Input, Licenses, Manifest, Network, Output
from edgekit.bundle.runtime_archive import NAME as RUNTIME
from edgekit.bundle.runtime_archive import runtime_archive
from edgekit.bundle.sbom import SBOM, bill_of_materials
from edgekit.data.calibration import to_json
from edgekit.data.labels import label_rules
from edgekit.recipe import to_yaml
from edgekit.report import RENDERERS, Report
from edgekit.runtime.forms import FP16
from edgekit.runtime.openvino_plugins import PROCESSOR
from edgekit.runtime.processor import EXACT
from edgekit.validate.evaluation import INPUTS
from edgekit.validate.question import THRESHOLD

if TYPE_CHECKING:
    from edgekit.build.compile import CompiledForm
    from edgekit.build.plan import Plan
    from edgekit.build.quantize import Quantized
    from edgekit.build.stage import File
    from edgekit.build.variant import Variant
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet
    from edgekit.models.graph_facts import GraphFacts
    from edgekit.validate.evaluation import Evaluated

OWN_LICENSE: Final = "Apache-2.0"
"""Of what the project draws and trains itself, and of the public weights that its registry names."""

ALWAYS: Final = (
    *("report.json", "recipe.yaml", locks.NAME, "calibration.json", "model.onnx", "golden.npz", RUNTIME),
    *(f"report.{suffix}" for suffix in RENDERERS),
)
"""Files that every bundle has."""


@dataclass(frozen=True)
class Contents:
    """What goes into a bundle beside what the plan says: the chosen variant with its compiled form, and the evidence.

    Attributes:
        golden: inputs with the logits of all variants; images: that accuracy was measured on, if there were any;
            output: what the network's outputs are; beside: more files by name, see fp16_beside and
            edgekit.build.answers.
    """

    report: Report
    lock: locks.Lock
    calibration: CalibrationSet
    variant: Variant
    form: CompiledForm
    golden: File
    images: ImageSet | None
    output: Output
    beside: Mapping[str, Path | bytes] = field(default_factory=dict)


def output_of(plan: Plan, facts: GraphFacts, evaluated: Evaluated) -> Output:
    """What the manifest tells of the outputs; the threshold is the one that variants were judged at."""
    question, score = plan.question(facts), evaluated.variants["fp32"]
    threshold = question.threshold
    if score.embedding is not None:
        threshold = score.embedding.pairs.threshold
    if question.task == "multilabel" and threshold is None:
        threshold = THRESHOLD
    return Output(name=facts.output, activation=question.activation, task=question.task, threshold=threshold)


def fp16_beside(plan: Plan, chosen: Variant, graphs: Quantized, forms: Mapping[str, CompiledForm]) -> dict[str, Path]:
    """The FP16 form of an INT8 network that goes beside it where only the device can say which is faster.

    Args:
        graphs: of the chosen network; forms: what was compiled of it, by variant.
    """
    if not plan.keeps_fp16 or chosen.precision not in ("int8", "mixed"):
        return {}
    engine = forms["fp16"].compiled.path if "fp16" in forms else ""
    compiled = {"model.fp16.engine": Path(engine)} if engine.endswith(".engine") else {}
    return {FP16: graphs.of("fp16").path, **compiled}


def write(plan: Plan, out: Path, contents: Contents) -> Path:
    """Writes the bundle of a build that is done.

    Raises:
        InputError: `out` is not ours, or the disk is full.
    """
    report, variant = contents.report, contents.variant
    files: dict[str, Path | bytes] = {
        "report.json": (json.dumps(report.as_dict(), indent=2) + "\n").encode(),
        **{f"report.{suffix}": render(report).encode() for suffix, render in RENDERERS.items()},
        "recipe.yaml": to_yaml(plan.recipe).encode(),
        locks.NAME: locks.to_yaml(contents.lock).encode(),
        "calibration.json": to_json(contents.calibration).encode(),
        "model.onnx": variant.graph.path,
        "golden.npz": _golden(contents.golden.path, variant.name),
        RUNTIME: runtime_archive(),
        **plan.compiler.files(contents.form.compiled),
        **contents.beside,
    }
    manifest = _manifest(plan, contents)
    if plan.recipe.sbom:
        files[SBOM] = bill_of_materials(product(report), manifest.licenses, files)
    return write_bundle(out, files, manifest)


def _golden(path: Path, chosen: str) -> bytes:
    """The golden inputs with the chosen variant's logits."""
    import numpy as np

    with np.load(path) as kept:
        into = io.BytesIO()
        own = f"{INPUTS}-{chosen}"
        np.savez_compressed(into, inputs=kept[own if own in kept else INPUTS], logits=kept[f"logits-{chosen}"])
    return into.getvalue()


def _arithmetic(plan: Plan, variant: Variant) -> Arithmetic | None:
    """What an INT8 network needs of a processor; nothing is told of others, and of TensorRT's."""
    if plan.release is not None or variant.precision not in ("int8", "mixed"):
        return None
    return Arithmetic(int8_sums=plan.sums, features=EXACT if plan.sums == "exact" else ())


def _built_for(report: Report, backend: str) -> BuiltFor:
    """The report's target, and the device of OpenVINO's that the chosen network runs on, where it is not the processor.

    Args:
        backend: of the chosen network: that of FP32 can be another than the target's.
    """
    plugin = PLUGIN_OF.get(backend, PROCESSOR)
    return BuiltFor.model_validate({**report.target.as_dict(), **({} if plugin == PROCESSOR else {"plugin": plugin})})


def _manifest(plan: Plan, contents: Contents) -> Manifest:
    report, images = contents.report, contents.images
    _, _, height, width = report.model.input
    named = label_rules(plan.recipe, None).shown
    labels = named or (images.classes if images is not None else ())
    own_weights = plan.source.kind == "registry" and plan.recipe.weights is None
    return Manifest(
        model=Network.model_validate(report.model.as_dict()),
        target=_built_for(report, contents.form.compiled.backend),
        precision=contents.variant.precision,
        input=Input(name="image", dtype="uint8", shape=(1, height, width, 3), layout="NHWC", color="RGB"),
        preprocessing=plan.source.preprocessing,
        output=contents.output,
        arithmetic=_arithmetic(plan, contents.variant),
        # Images of some of the classes name only those: their names would stand at the wrong places.
        labels=labels if len(labels) == report.model.classes else (),
        versions={"edgekit": __version__, report.target.runtime: report.target.runtime_version},
        licenses=Licenses(
            weights=plan.recipe.license or (OWN_LICENSE if own_weights else None),
            data=OWN_LICENSE if images is not None and images.name == "signs" else None,
        ),
        engine=engine(plan),
        engine_settings=engine_settings(plan),
    )
