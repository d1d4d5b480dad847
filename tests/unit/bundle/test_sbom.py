"""The bill of materials: CycloneDX 1.6 by its own schema, the same each time, with what matters in it."""

from __future__ import annotations

import hashlib
import json
from email.message import Message
from typing import Any

import pytest
from samples import SAMPLE_REPORT

pytest.importorskip("cyclonedx")

from edgekit import DISTRIBUTION
from edgekit.build.bill import product
from edgekit.bundle.manifest import Licenses
from edgekit.bundle.sbom import bill_of_materials, license_of, packages
from edgekit.errors import UnavailableError
from edgekit.report import validate

FILES = {"model.onnx": b"a network", "report.json": b"{}"}
LICENSES = {"weights": "Apache-2.0", "data": None}
PRODUCT = product(validate(SAMPLE_REPORT))


def made(**licenses: str | None) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(bill_of_materials(PRODUCT, Licenses(**{**LICENSES, **licenses}), FILES))
    return told


def test_it_is_valid_by_the_official_schema() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for licenses in (LICENSES, {"weights": "MIT OR Apache-2.0", "data": "a licence of our own"}):
        text = bill_of_materials(PRODUCT, Licenses(**licenses), FILES).decode()
        assert validator.validate_str(text) is None
        assert json.loads(text)["specVersion"] == "1.6"


def test_it_is_the_same_each_time_and_another_for_other_files() -> None:
    first = bill_of_materials(PRODUCT, Licenses(**LICENSES), FILES)
    assert bill_of_materials(PRODUCT, Licenses(**LICENSES), FILES) == first
    assert bill_of_materials(PRODUCT, Licenses(**LICENSES), {**FILES, "more": b""}) != first


def test_network_data_files_and_packages_are_in_it() -> None:
    told = made(data="CC-BY-4.0")
    network = told["metadata"]["component"]
    assert network["name"] == "inception_v4.signs"
    digest = hashlib.sha256(FILES["model.onnx"]).hexdigest()
    assert network["hashes"] == [{"alg": "SHA-256", "content": digest}]
    assert network["version"] == digest[:12]
    facts = {each["name"]: each["value"] for each in network["properties"]}
    assert facts["edgekit:runtime"].startswith("openvino")
    assert network["description"].startswith("image-classification, int8, compressed for cpu")
    (ancestor,) = network["pedigree"]["ancestors"]
    assert ancestor["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert told["metadata"]["tools"]["components"][0]["name"] == DISTRIBUTION
    assert told["metadata"]["lifecycles"] == [{"phase": "build"}]
    assert network["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    parts = {part["name"]: part for part in told["components"]}
    assert parts["data: signs"]["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert parts["model.onnx"]["hashes"][0]["alg"] == "SHA-256"
    assert parts["numpy"]["purl"] == f"pkg:pypi/numpy@{parts['numpy']['version']}"
    assert {"torch", "openvino", "nncf", "pillow", DISTRIBUTION} <= set(parts)
    assert parts[DISTRIBUTION]["purl"] == f"pkg:generic/{DISTRIBUTION}@{parts[DISTRIBUTION]['version']}"
    assert "licenses" not in next(part for part in made()["components"] if part["name"] == "data: signs")


def test_every_package_has_a_licence() -> None:
    """torch's is a long expression."""
    parts = [part for part in made()["components"] if part.get("purl", "").startswith("pkg:pypi/")]
    assert len(parts) > 20
    assert [part["name"] for part in parts if not part.get("licenses")] == []
    assert "BSD-3-Clause" in next(part for part in parts if part["name"] == "torch")["licenses"][0]["expression"]


@pytest.mark.parametrize(
    ("told", "licence"),
    [
        ({"License-Expression": " AND ".join(["MIT"] * 30)}, " AND ".join(["MIT"] * 30)),
        ({"License": "BSD"}, "BSD"),
        ({"License": "Permission is hereby granted, free of charge,\nto any person"}, None),
        ({"License": "UNKNOWN", "Classifier": "License :: OSI Approved :: ISC License (ISCL)"}, "ISC License (ISCL)"),
        ({"License": "LICENSE", "Classifier": "License :: OSI Approved :: Apache Software License"},
         "Apache Software License"),
        ({"License": "MIT", "License-Expression": "MIT-0"}, "MIT-0"),
        ({}, None),
    ],
)  # fmt: skip
def test_the_licence_of_a_package_is_a_name(told: dict[str, str], licence: str | None) -> None:
    metadata = Message()
    for name, value in told.items():
        metadata[name] = value
    assert license_of(metadata) == licence


def test_the_model_card_has_what_was_measured_with_its_intervals() -> None:
    card = made()["metadata"]["component"]["modelCard"]
    assert card["modelParameters"]["task"] == "image-classification"
    assert card["modelParameters"]["modelArchitecture"] == "inception_v4"
    refs = {part["bom-ref"] for part in made()["components"]}
    assert {each["ref"] for each in card["modelParameters"]["datasets"]} == {"set-data", "set-calibration"} <= refs
    report = validate(SAMPLE_REPORT)
    metrics = {
        (each["type"], each["slice"].partition(",")[0]): each
        for each in card["quantitativeAnalysis"]["performanceMetrics"]
    }
    chosen = report.chosen_variant
    top1 = metrics["top-1, %", chosen.name]
    assert float(top1["value"]) == chosen.accuracy.top1
    assert ("top-1, %", "fp32") in metrics
    drop = metrics["drop of top-1, percentage points", f"{chosen.name} against fp32"]
    assert float(drop["value"]) == report.verdict.accuracy.drop
    assert report.verdict.accuracy.ci95 is not None
    assert [float(drop["confidenceInterval"][end]) for end in ("lowerBound", "upperBound")] == list(
        report.verdict.accuracy.ci95
    )
    mean = metrics["latency mean, ms", chosen.name]
    assert chosen.latency.ci95 is not None
    assert float(mean["confidenceInterval"]["upperBound"]) == chosen.latency.ci95[1]
    (cost,) = card["considerations"]["performanceTradeoffs"]
    assert f"{report.verdict.latency.speedup_vs_fp32:.2f} times as fast" in cost
    assert list(report.warnings) == [
        each for each in card["considerations"]["technicalLimitations"] if each in report.warnings
    ]


def test_what_was_not_measured_is_no_metric_and_says_why() -> None:
    told = json.loads(json.dumps(SAMPLE_REPORT))
    why = "not_measured: no device"
    for variant in told["variants"]:
        if variant["name"] == told["chosen"]:
            variant["latency"] = dict.fromkeys(variant["latency"]) | {"why": why}
    told["verdict"]["latency"] = dict.fromkeys(told["verdict"]["latency"]) | {"why": why}
    report = validate(told)
    card = json.loads(bill_of_materials(product(report), Licenses(**LICENSES), FILES))["metadata"]["component"][
        "modelCard"
    ]
    kinds = {
        each["type"] for each in card["quantitativeAnalysis"]["performanceMetrics"] if each["slice"] == report.chosen
    }
    assert not {each for each in kinds if "latency" in each}
    assert f"latency: {why}" in card["considerations"]["technicalLimitations"]
    assert "null" not in json.dumps(card)


@pytest.mark.parametrize("task", ["embed", "multilabel"])
def test_other_tasks_are_valid_too(task: str) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    told = json.loads(json.dumps(SAMPLE_REPORT)) | {"task": task}
    for variant in told["variants"]:
        top1 = variant["accuracy"].pop("top1", None)
        extra = {"top1": top1, "cosine": {"mean": 1.0, "p1": 1.0}} if task == "embed" else {"map": top1, "f1": top1}
        variant["accuracy"] |= extra
    text = bill_of_materials(product(validate(told)), Licenses(**LICENSES), FILES).decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    wanted = {"embed": "image-feature-extraction", "multilabel": "image-multilabel-classification"}
    assert json.loads(text)["metadata"]["component"]["modelCard"]["modelParameters"]["task"] == wanted[task]


def test_packages_are_those_that_are_needed_and_no_others() -> None:
    light = {found.metadata["Name"].lower() for found in packages((DISTRIBUTION,))}
    assert {DISTRIBUTION, "click", "numpy", "pydantic"} <= light
    assert not {"torch", "pytest", "vermin"} & light
    with pytest.raises(UnavailableError, match="no-such-package is not installed"):
        packages(("no-such-package",))
