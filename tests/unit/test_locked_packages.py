"""The locks: every package for every Python, with hashes, and nothing is installed from them without these."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

pytest.importorskip("packaging")

from packaging.markers import Marker
from packaging.requirements import Requirement

from edgekit import DISTRIBUTION
from edgekit.bundle.sbom import packages

TOP: Final = Path(__file__).resolve().parents[2]
LOCK: Final = TOP / ".lock"
HASHED: Final = ("cpu", "dev", "extras", "runtime", "openvino", "onnxruntime", "serve", "gpu")
UNHASHED: Final = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*|tensorrt-cu13.*")
"""Packages without a hash: .lock/README.md says why."""

ENVIRONMENTS: Final = [
    {"python_version": version, "python_full_version": f"{version}.9", "platform_machine": machine,
     "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": "",
     "implementation_name": "cpython", "platform_python_implementation": "CPython"}
    for version in ("3.10", "3.11", "3.12", "3.13")
    for machine in ("x86_64", "aarch64")
]  # fmt: skip


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    def holds(self, environment: dict[str, str]) -> bool:
        return not self.marker or Marker(self.marker).evaluate(environment)


@cache
def pins(name: str) -> tuple[Pin, ...]:
    """What a lock names, and that it has nothing else in it."""
    found = []
    for block in re.split(r"\n(?! )", (LOCK / f"{name}.txt").read_text().strip()):
        head, *rest = (line.strip() for line in block.split("\\\n"))
        told = re.fullmatch(r"([a-z0-9][a-z0-9-]*)==([^ ;]+)(?: ; (.+))?", head)
        assert told is not None, head
        hashes = tuple(line.removeprefix("--hash=sha256:") for line in rest)
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes), head
        found.append(Pin(told[1], told[2], told[3] or "", hashes))
    return tuple(found)


@pytest.mark.parametrize("name", HASHED)
def test_each_package_has_hashes_and_one_version_for_a_python(name: str) -> None:
    assert [pin.name for pin in pins(name) if not pin.hashes] == []
    assert [pin.name for pin in pins(name) if UNHASHED.fullmatch(pin.name)] == []
    for environment in ENVIRONMENTS:
        held = [pin.name for pin in pins(name) if pin.holds(environment)]
        assert len(held) == len(set(held)), environment


@pytest.mark.parametrize("name", [each for each in HASHED if each not in ("dev", "extras")])
def test_all_have_the_versions_that_are_tested(name: str) -> None:
    assert {(pin.name, pin.version) for pin in pins(name)} <= {(pin.name, pin.version) for pin in pins("dev")}


def test_no_pin_is_for_one_python_alone_without_need() -> None:
    """Packages without a marker in pyproject.toml are there for every Python."""
    for environment in ENVIRONMENTS:
        held = {pin.name for pin in pins("dev") if pin.holds(environment)}
        assert {"ray", "optuna", "grpcio", "msgpack", "pytest-xdist", "numpy", "openvino", "mypy"} <= held, environment


@pytest.mark.parametrize(("name", "extras"), [("cpu", ("cpu",)), ("dev", ("cpu", "dev"))])
def test_everything_that_is_needed_here_is_in_it(name: str, extras: tuple[str, ...]) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    here = next(
        each for each in ENVIRONMENTS
        if each["python_version"] == version and each["platform_machine"] == platform.machine()
    )  # fmt: skip
    held = {pin.name for pin in pins(name) if pin.holds(here)}
    wanted = {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower() for each in packages((DISTRIBUTION, *extras))}
    assert {each for each in wanted - held - {DISTRIBUTION} if not UNHASHED.fullmatch(each)} == set()


def direct() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for: by extra, and of the base install."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    told = {"base": project["dependencies"], **project["optional-dependencies"]}
    return {extra: [Requirement(line) for line in lines] for extra, lines in told.items()}


def test_every_extra_is_in_a_lock() -> None:
    for extra, requirements in direct().items():
        lock = {pin.name: pin.version for pin in pins("dev" if extra == "dev" else "extras")}
        for each in requirements:
            name = each.name.lower().replace("_", "-")
            if not UNHASHED.fullmatch(name):
                assert each.specifier.contains(lock[name]), each


def test_torch_is_the_one_that_pyproject_names() -> None:
    (torch,) = (each for each in direct()["cpu"] if each.name == "torch")
    assert (LOCK / "torch.txt").read_text() == f"{torch}\n"


def test_nothing_is_installed_from_them_unchecked() -> None:
    """Every command of ours that reads a lock has pip check hashes and take nothing else."""
    seen = 0
    for path in [TOP / "Makefile", *(TOP / "docker").iterdir(), *(TOP / "docs").rglob("*.md"), LOCK / "README.md"]:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        text = text.replace("$(CHECKED)", "".join(re.findall(r"(?m)^CHECKED := (.*)$", text)))
        for line in text.splitlines():
            for option in re.findall(r"-r \S*\.lock/([a-z]+)\.txt", line):
                seen += 1
                if option == "torch":
                    continue
                for asked in ("--require-hashes", "--no-deps", "--only-binary"):
                    assert asked in line, f"{path.name}: {line}"
    assert seen > 10


def test_no_file_names_an_index() -> None:
    for path in LOCK.iterdir():
        if path.suffix == ".txt":
            assert not re.search(r"://|--(index|extra-index|find-links|trusted)", path.read_text()), path.name


def of_licences() -> ModuleType:
    """.lock/licences.py as a module."""
    spec = importlib.util.spec_from_file_location("licences_of_locks", LOCK / "licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_licence_of_every_package_is_told() -> None:
    text = (TOP / "docs" / "licences.md").read_text()
    rows = dict(re.findall(r"(?m)^\| ([a-z0-9-]+)(?: \*)? \| (.+) \| (?:cpu|extras|dev) \|$", text))
    assert set(rows) == {pin.name for name in HASHED for pin in pins(name)} | {"torch"}
    assert [name for name, licence in rows.items() if licence in ("?", "")] == []


def test_licences_are_those_that_packages_tell_here() -> None:
    """And those that ask for more than a notice were looked at: `page` fails otherwise."""
    module = of_licences()
    text = (TOP / "docs" / "licences.md").read_text()
    rows = dict(re.findall(r"(?m)^\| ([a-z0-9-]+)(?: \*)? \| (.+) \| (?:cpu|extras|dev) \|$", text))
    assert module.page(module.locked(), rows) == text
    with pytest.raises(SystemExit, match="numpy"):
        module.page(module.locked(), rows | {"numpy": "GPL-3.0-or-later"})
