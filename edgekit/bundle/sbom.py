"""A bill of materials of a bundle, CycloneDX 1.6: the network with its model card, its data, files and packages."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from edgekit import DISTRIBUTION, __version__
from edgekit.bundle.manifest import Licenses
from edgekit.bundle.model_card import MODEL_FILE, ModelCard
from edgekit.errors import UnavailableError, install_hint
from edgekit.store import file_sha256

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

    from cyclonedx.model.component import Component

SBOM: Final = "sbom.json"
EXTRAS: Final = ("cpu",)
"""What makes a bundle: edgekit's own requirements, and those of these extras."""
LONGEST_NAME: Final = 80
"""Characters of a licence's name; what is longer is its text."""
NO_NAMES: Final = frozenset({"UNKNOWN", "LICENSE", "LICENCE", "NONE", "SEE LICENSE", "LICENSE.TXT"})
"""What packages say in capitals or not where they name no licence."""


@dataclass(frozen=True)
class Images:
    """A set of images, the digest over their hashes, and how many there are."""

    name: str
    digest: str
    count: int


@dataclass(frozen=True)
class Product:
    """What a build made, as its report tells it.

    Attributes:
        name: of the network, with its tag; weights_sha256: as it came.
        created: when the build ended, ISO 8601.
        data: that accuracy was measured on; calibration: that INT8 ranges come from; None where there was none.
        card: what was measured of the network, and its limits.
        description: in a sentence; runtime: with its version; device: None where the network ran on none.
    """

    name: str
    weights_sha256: str | None
    target: str
    variant: str
    created: str
    data: Images | None
    calibration: Images | None
    card: ModelCard
    description: str
    runtime: str
    device: str | None


def bill_of_materials(product: Product, licenses: Licenses, files: Mapping[str, Path | bytes]) -> bytes:
    """sbom.json of a bundle; the same for the same product, files and installed packages.

    Args:
        files: name in the bundle: a file, or its content.
    Raises:
        UnavailableError: edgekit itself is not installed, so that nothing tells what it needs.
    """
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.lifecycle import LifecyclePhase, PredefinedLifecycle
    from cyclonedx.model.tool import ToolRepository
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    hashes = {name: _sha256(content) for name, content in sorted(files.items())}
    made = _network(product, licenses.weights, hashes.get(MODEL_FILE))
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, json.dumps(hashes)),
        metadata=BomMetaData(
            component=made,
            timestamp=datetime.fromisoformat(product.created),
            tools=ToolRepository(components=[_component(DISTRIBUTION, __version__, "application", None)]),
            lifecycles=[PredefinedLifecycle(phase=LifecyclePhase.BUILD)],
        ),
    )
    parts = [*_data(product, licenses.data), *(_file(name, digest) for name, digest in hashes.items())]
    for found in packages((DISTRIBUTION, *EXTRAS)):
        name = _plain(found.metadata["Name"])
        # This project is on no index: a URL of the public one would name nothing, or once somebody else's package.
        purl = PackageURL("generic" if name == DISTRIBUTION else "pypi", None, name, found.version)
        license = license_of(found.metadata)
        parts.append(_component(name, found.version, "library", license, purl=purl, ref=str(purl)))
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(made, parts)
    told = json.loads(JsonV1Dot6(bom).output_as_string())
    told["metadata"]["component"]["modelCard"] = product.card.as_json()  # the library knows of no model cards yet
    return f"{json.dumps(told, indent=2)}\n".encode()


def packages(wanted: tuple[str, ...]) -> list[Distribution]:
    """The installed packages that a package and some of its extras need, themselves included, by name.

    Args:
        wanted: the package, then its extras.
    Raises:
        UnavailableError: the package itself is not installed.
    """
    found: dict[str, Distribution] = {}
    open_ends = [(wanted[0], frozenset(wanted[1:]))]
    seen = set(open_ends)
    while open_ends:
        name, extras = open_ends.pop()
        try:
            found[name] = found.get(name) or distribution(name)
        except PackageNotFoundError:  # of another platform, or left out by the user
            continue
        for end in _requirements(found[name], extras):
            if end not in seen:
                seen.add(end)
                open_ends.append(end)
    if wanted[0] not in found:
        raise UnavailableError(
            f"the package {wanted[0]} is not installed, so that a bill of materials would lack what it needs",
            install_hint(*wanted[1:]),
        )
    return [found[name] for name in sorted(found)]


def _requirements(found: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    from packaging.requirements import Requirement

    for line in found.requires or ():
        requirement = Requirement(line)
        environments = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
            yield _plain(requirement.name), frozenset(requirement.extras)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def license_of(metadata: PackageMetadata) -> str | None:
    """What a package says of its licence: an SPDX expression, a name, or what it is classified as; None if nothing.

    What stands where a name should be, and is the text itself or a word that names none, is not taken.
    """
    if expression := (metadata.get_all("License-Expression") or [""])[0]:
        return str(expression)
    told = (metadata.get_all("License") or [""])[0].strip()
    if told and len(told) < LONGEST_NAME and "\n" not in told and told.upper() not in NO_NAMES:
        return str(told)
    classifiers = [line for line in metadata.get_all("Classifier") or () if line.startswith("License ::")]
    return classifiers[0].rpartition(" :: ")[2] if classifiers else None


def _network(product: Product, license: str | None, sha256: str | None) -> Component:
    """The network in the bundle, by its own content; the one that it was made of is its ancestor."""
    from cyclonedx.model.component import Pedigree

    facts = {"target": product.target, "variant": product.variant, "runtime": product.runtime, "edgekit": __version__}
    if product.device:
        facts["device"] = product.device
    version = sha256[:12] if sha256 else None
    made = _component(product.name, version, "machine-learning-model", license, sha256, facts=facts, ref="network")
    came = _component(
        product.name, None, "machine-learning-model", license, product.weights_sha256, ref="network-as-it-came"
    )
    made.description = product.description
    made.pedigree = Pedigree(ancestors=[came], notes=f"{product.variant}, made of the network as it came")
    return made


def _data(product: Product, license: str | None) -> Iterator[Component]:
    """The sets of images; their digest is over the hashes of the images, so that it is a property, not a hash."""
    for use, images, own in (("data", product.data, license), ("calibration", product.calibration, None)):
        if images is not None:
            facts = {"digest": images.digest, "images": str(images.count)}
            yield _component(f"{use}: {images.name}", None, "data", own, facts=facts, ref=f"set-{use}")


def _file(name: str, digest: str) -> Component:
    return _component(name, None, "file", None, digest, ref=f"file-{name}")


def _component(
    name: str,
    version: str | None,
    kind: str,
    license: str | None,
    sha256: str | None = None,
    facts: Mapping[str, str] | None = None,
    purl: Any = None,
    ref: str | None = None,
) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType, Property
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=name,
        version=version,
        type=ComponentType(kind),
        licenses=[LicenseFactory().make_from_string(license)] if license else None,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else None,
        properties=[Property(name=f"edgekit:{key}", value=value) for key, value in (facts or {}).items()],
        purl=purl,
        bom_ref=ref,
    )


def _sha256(content: Path | bytes) -> str:
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else file_sha256(content)
