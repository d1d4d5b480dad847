"""What stands in the report of a build: the verdict, its variants, their layers, and what they changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evidence import Evidence, counted, evidence, pruned, untimed

from edgekit.backends import Compiled, EngineLayer
from edgekit.backends.tensorrt_builder import layers_of
from edgekit.build.assemble import assembled
from edgekit.build.compile import CompiledForm
from edgekit.build.export import Exported
from edgekit.build.findings import Findings
from edgekit.build.plan import Plan, planned
from edgekit.build.provenance import Provenance
from edgekit.build.prune import Pruned
from edgekit.build.quantize import Quantized
from edgekit.build.referee import Refereed
from edgekit.build.runner import Runner
from edgekit.build.sizes import AtSize, Sizes
from edgekit.build.stage import File
from edgekit.build.variant import Variant
from edgekit.data.calibration import CalibrationData, choose
from edgekit.data.image_set import ImageSet
from edgekit.data.signs_set import SignsSet
from edgekit.models.graph_facts import GraphFacts
from edgekit.recipe import Recipe
from edgekit.report import Report
from edgekit.report.model import Target
from edgekit.report.summary import gaps
from edgekit.store import Store
from edgekit.validate.accuracy import Accuracy
from edgekit.validate.decision import Budgets, decide
from edgekit.validate.evaluation import Evaluated
from edgekit.validate.fidelity import Fidelity
from edgekit.validate.flips import class_changes, flips
from edgekit.validate.rounding import about
from edgekit.validate.tasks import VariantResult

GRAPH = File(Path("model.onnx"), "0" * 64)
FACTS = GraphFacts("NCHW", 32, 32, 24, 1, 1)
PRUNED_FACTS = replace(FACTS, params=7, macs=8)
REFEREED = Refereed("onnxruntime", "openvino", 24, 100.0, 1e-5, 0.1, True, None, False)
POOL = SignsSet("calibration", 24)
CALIBRATION = CalibrationData(choose(POOL, 6, "random", 0, data="signs"), POOL)
PROVENANCE = Provenance(Target(name="cpu", runtime="openvino", runtime_version="1", device=None, features=()), {})


def plan_of(latency_ms: float | None = None) -> Plan:
    recipe = Recipe(model="inception_v4.signs", max_drop=1.0, latency_budget_ms=latency_ms)
    return planned(recipe, Store())


def evaluated(given: Evidence) -> Evaluated:
    """Each contender's drop, with an accuracy and a fidelity beside it."""
    variants = {}
    for each in given.contenders:
        measured = None if each.drop is None else Accuracy(96.0, 99.0, 100, (90.0, 98.0))
        variants[each.name] = VariantResult(measured, each.drop, Fidelity(99.0, 0.99, 0.01), None, None)
    return Evaluated(100, given.contenders[0].drop is not None, variants, {})


def findings(
    plan: Plan,
    given: Evidence,
    wanted: str = "int8",
    layers: Mapping[str, tuple[EngineLayer, ...]] | None = None,
    answers: Evaluated | None = None,
    shown: tuple[ImageSet, Sequence[int]] = (SignsSet("validation", 24), range(24)),
) -> Findings:
    """What the stages would have found, had they measured this evidence."""
    answers = answers or evaluated(given)
    forms, variants = {}, []
    for each in given.contenders:
        compiled = Compiled(
            "openvino", f"{each.name}.xml", each.precision, each.size_bytes, (layers or {}).get(each.name, ())
        )
        forms[each.name] = CompiledForm(compiled, (GRAPH,))
        facts = PRUNED_FACTS if each.name.startswith("pruned") else FACTS
        variants.append(
            Variant(each.name, each.precision, "openvino", GRAPH, facts, each.step, each.parent, each.simpler)
        )
    budgets = Budgets(plan.recipe.max_drop, plan.recipe.latency_budget_ms)
    decision = decide(given.contenders, given.measured, wanted, budgets)
    exported = Exported(GRAPH, FACTS)
    return Findings(
        exported, shown[0] if answers.labelled else None, *shown, CALIBRATION, None, variants, forms,
        Sizes((), AtSize(plan, exported, Quantized({}, None, ())), ()),
        Pruned("none", "not asked for (--prune none)"), None, answers, given.measured, decision, REFEREED,
    )  # fmt: skip


def report(given: Evidence, wanted: str = "int8", latency_ms: float | None = None, **more: object) -> Report:
    plan = plan_of(latency_ms)
    return assembled(plan, Runner(Store()), findings(plan, given, wanted, **more), PROVENANCE)  # type: ignore[arg-type]


def test_a_step_that_pays_is_kept() -> None:
    told = report(evidence())
    assert (told.chosen, told.verdict.ok, told.warnings) == ("int8", True, ())
    assert told.verdict.latency.speedup_vs_fp32 == 3.0
    assert [(each.name, each.kind, each.kept) for each in told.variants] == [
        ("fp32", "baseline", False),
        ("bf16", "step", False),
        ("int8", "chosen", True),
    ]


@pytest.mark.parametrize(
    ("given", "why"), [(evidence(drop=2.5), "2.50 points"), (evidence(int8_ms=13.0), "not faster than FP32")]
)
def test_a_step_that_does_not_pay_is_taken_back_and_said(given: Evidence, why: str) -> None:
    told = report(given)
    assert told.chosen == "bf16"
    assert told.verdict.ok
    assert why in next(each.reason for each in told.variants if each.name == "int8")
    assert any("int8 was taken back" in text for text in told.warnings)


def test_what_was_beaten_by_what_and_the_ratios_are_told() -> None:
    told = report(evidence(int8_ms=9.0))
    int8 = next(each for each in told.variants if each.name == "int8")
    assert (int8.parent, int8.beaten_by) == ("fp32", "bf16")
    assert [(each.base, round(each.ratio, 3)) for each in int8.ratios] == [("fp32", 1.333), ("bf16", 0.667)]
    assert [each.parent for each in told.variants] == [None, "fp32", "fp32"]


def test_fp32_is_left_when_nothing_pays() -> None:
    told = report(evidence(int8_ms=13.0, bf16_ms=12.5))
    assert told.chosen == "fp32"
    assert told.verdict.accuracy.drop == 0.0


def test_a_latency_budget_that_is_not_met() -> None:
    told = report(evidence(), latency_ms=3.0)
    assert told.verdict.latency.ok is False
    assert told.verdict.ok is False
    assert told.chosen == "int8"
    assert report(evidence(), latency_ms=5.0).verdict.ok


def test_without_labels_the_answers_that_are_kept_are_the_budget() -> None:
    told = report(evidence(drop=None))
    assert told.chosen == "int8"
    accuracy = told.verdict.accuracy
    assert (accuracy.drop, accuracy.ok, accuracy.agreement, accuracy.min_agreement) == (None, True, 99.0, 97.0)
    assert accuracy.decided is False  # 99 of 100 may be 94.6 % of all
    assert accuracy.why
    assert told.verdict.ok


def test_what_the_referee_found_is_told() -> None:
    told = report(evidence()).as_dict()["referee"]
    assert told == {
        "reference": "onnxruntime",
        "runtime": "openvino",
        "images": 24,
        "agreement": 100.0,
        "max_logit_difference": 1e-5,
        "tolerance": 0.1,
        "operator": None,
    }


def test_without_a_device_accuracy_decides_and_latency_says_why() -> None:
    told = report(untimed(evidence(), "no device"), latency_ms=3.0)
    assert (told.chosen, told.verdict.ok, told.verdict.latency.ok) == ("int8", True, None)
    assert told.verdict.latency.why == "no device"
    assert all(each.latency.p50 is None and each.latency.why == "no device" for each in told.variants)
    assert report(untimed(evidence(drop=2.5), "no device")).chosen == "bf16"


def test_the_layers_of_an_engine_come_into_the_report() -> None:
    told = (
        '{"Layers": [{"Name": "conv + relu", "LayerType": "CaskConvolution", "Outputs": [{"Name": "y",'
        ' "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}]}], "I/O Tensors": ["image"]}'
    )
    layers = layers_of(told)
    assert layers[0].kind == "CaskConvolution"
    assert "Int8" in layers[0].output
    assert layers_of('{"Layers": ["conv + relu"], "Bindings": []}')[0].name == "conv + relu"
    variants = report(evidence(), layers={"int8": layers}).variants
    assert ["layers" in each.as_dict() for each in variants] == [False, False, True]
    assert [[(row.name, row.kind, row.output) for row in each.layers] for each in variants] == [
        [],
        [],
        [(row.name, row.kind, row.output) for row in layers],
    ]


def test_pruning_that_pays_is_kept_with_its_own_counts() -> None:
    told = report(pruned((1.6, 1.5, 1.7)), "pruned-int8")
    assert told.chosen == "pruned-int8"
    kept = next(each for each in told.variants if each.kept)
    assert (kept.precision, kept.params, kept.macs) == ("int8", 7, 8)
    assert "1.60 times faster than INT8 (1.50 to 1.70)" in kept.reason
    dense = next(each for each in told.variants if each.name == "int8")
    assert dense.params == 1


def test_images_that_decide_are_not_doubted() -> None:
    told = report(counted(lost=10, won=8, images=2400))
    accuracy = told.verdict.accuracy
    assert (accuracy.ok, accuracy.decided, told.warnings) == (True, True, ())
    assert accuracy.images_needed is not None
    assert accuracy.images_needed < 2400


def test_too_few_images_are_warned_of_and_the_drop_itself_still_decides() -> None:
    told = report(counted(lost=5, won=3, images=300))
    accuracy = told.verdict.accuracy
    assert (told.chosen, accuracy.ok, accuracy.decided) == ("int8", True, False)
    assert accuracy.images_needed is not None
    assert accuracy.images_needed > 300
    assert len(told.warnings) == 1
    assert "300 images cannot tell whether the drop of int8 (0.67 points, " in told.warnings[0]
    assert told.warnings[0].endswith(f"within the budget of 1: {about(accuracy.images_needed)} would")


def test_a_drop_that_is_the_budget_is_decided_by_no_number_of_images() -> None:
    told = report(counted(lost=5, won=2, images=300))
    assert (told.verdict.accuracy.decided, told.verdict.accuracy.images_needed) == (False, None)
    assert told.warnings[0].endswith("no number of them would")


def test_fp32_is_its_own_baseline_however_few_the_images() -> None:
    accuracy = report(evidence(int8_ms=13.0, bf16_ms=12.5)).verdict.accuracy
    assert (accuracy.decided, accuracy.images_needed) == (True, None)
    without = report(evidence(drop=None)).verdict.accuracy
    assert (without.decided, without.images_needed) == (False, None)


def changed(images: ImageSet, indices: Sequence[int], labelled: bool, logits: tuple[np.ndarray, np.ndarray]) -> Report:
    """A report in which INT8 answers with the second logits where FP32 does with the first."""
    before, after = logits
    assert images.labels is not None
    labels = images.labels[list(indices)] if labelled else None
    given = evidence(drop=0.2 if labelled else None)
    answers = evaluated(given)
    shown = flips(before, after, labels)
    classes = None if labels is None else class_changes(before, after, labels)
    int8 = replace(answers.variants["int8"], flips=shown, classes=classes)
    thumbnails = {each.index: "/9j/4A==" for each in shown.shown}
    answers = replace(answers, variants={**answers.variants, "int8": int8}, thumbnails=thumbnails)
    return report(given, answers=answers, shown=(images, indices))


def test_what_changed_is_named() -> None:
    images = SignsSet("validation", 24)
    labels = images.labels[10:14]
    before, after = np.eye(24, dtype=np.float32)[labels], np.eye(24, dtype=np.float32)[labels]
    after[[1, 3]] = after[[3, 1]]
    told = changed(images, range(10, 14), True, (before, after))
    json_of = told.as_dict()
    assert "flips" not in json_of["variants"][0]
    assert json.loads(json.dumps(json_of)) == json_of
    int8 = next(each for each in told.variants if each.name == "int8")
    assert int8.flips is not None
    assert int8.classes is not None
    assert {each.image for each in int8.flips.shown} == {"validation/11", "validation/13"}
    names = {images.classes[labels[1]], images.classes[labels[3]]}
    assert {each.label for each in int8.flips.shown} == names
    assert {each.label for each in int8.classes.shown} == names
    assert {(each.before, each.after) for each in int8.flips.shown} == {
        (images.classes[labels[1]], images.classes[labels[3]]),
        (images.classes[labels[3]], images.classes[labels[1]]),
    }
    assert (int8.flips.lost, int8.classes.left_out) == (2, 0)


def test_without_names_for_every_class_there_are_numbers() -> None:
    images = SignsSet("validation", 24)
    before, after = np.zeros((1, 30), np.float32), np.zeros((1, 30), np.float32)
    before[0, 2], after[0, 29] = 1, 1
    plan = plan_of()
    given, answers = evidence(), evaluated(evidence())
    shown = flips(before, after, np.array([2]))
    int8 = replace(answers.variants["int8"], flips=shown)
    answers = replace(answers, variants={**answers.variants, "int8": int8}, thumbnails={0: "/9j/4A=="})
    found = findings(plan, given, answers=answers, shown=(images, [2]))
    found = replace(found, exported=Exported(GRAPH, replace(FACTS, classes=30)))
    labelled = assembled(plan, Runner(Store()), found, PROVENANCE).variants[-1]
    assert labelled.flips is not None
    flip = labelled.flips.shown[0]
    assert (flip.label, flip.before, flip.after) == ("2", "2", "29")
    without = changed(images, [2], False, (before[:, :24], before[:, :24] * -1)).as_dict()["variants"][-1]
    assert "classes" not in without
    assert (without["flips"]["lost"], without["flips"]["shown"][0]["label"]) == (None, None)


@pytest.mark.parametrize(("kl", "not_finite"), [(0.01, 0), (0.0, 0), (0.01, 3), (None, 24), (None, 0)])
def test_outputs_that_are_not_finite_are_told_with_what_is_not_in_the_figures(
    kl: float | None, not_finite: int
) -> None:
    given = evidence()
    answers = evaluated(given)
    near = Fidelity(80.0, 0.9, kl, not_finite)
    answers.variants["int8"] = replace(answers.variants["int8"], fidelity=near)
    told = Report.model_validate_json(json.dumps(report(given, answers=answers).as_dict()))
    fidelity = next(each.fidelity for each in told.variants if each.name == "int8")
    assert fidelity is not None
    assert (fidelity.agreement, fidelity.cosine, fidelity.kl) == (80.0, 0.9, kl)
    assert ("kl" in fidelity.as_dict()) == (kl is not None or not_finite > 0)
    said = [line for line in gaps(told) if line.startswith("int8, fidelity")]
    assert len(said) == (not_finite > 0)
    assert all(line.startswith(f"int8, fidelity: {not_finite} of 100 images have") for line in said)
