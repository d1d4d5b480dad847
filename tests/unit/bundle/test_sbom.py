"""The bill of materials: CycloneDX 1.6 by its own schema, the same each time, with what matters in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from samples import SAMPLE_REPORT

pytest.importorskip("cyclonedx")

from edgekit import DISTRIBUTION
from edgekit.build.bundle_contents import product
from edgekit.bundle.manifest import Licenses
from edgekit.bundle.sbom import bill_of_materials, packages
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
    assert network["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert network["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    parts = {part["name"]: part for part in told["components"]}
    assert parts["data: signs"]["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert parts["model.onnx"]["hashes"][0]["alg"] == "SHA-256"
    assert parts["numpy"]["purl"] == f"pkg:pypi/numpy@{parts['numpy']['version']}"
    assert {"torch", "openvino", "nncf", "pillow", DISTRIBUTION} <= set(parts)
    assert parts[DISTRIBUTION]["purl"] == f"pkg:generic/{DISTRIBUTION}@{parts[DISTRIBUTION]['version']}"
    assert "licenses" not in next(part for part in made()["components"] if part["name"] == "data: signs")


def test_packages_are_those_that_are_needed_and_no_others() -> None:
    light = {found.metadata["Name"].lower() for found in packages((DISTRIBUTION,))}
    assert {DISTRIBUTION, "click", "numpy", "pydantic"} <= light
    assert not {"torch", "pytest", "vermin"} & light
    with pytest.raises(UnavailableError, match="no-such-package is not installed"):
        packages(("no-such-package",))
