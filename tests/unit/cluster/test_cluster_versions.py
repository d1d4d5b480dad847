"""What nodes run is compared with what runs here."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit import __version__
from edgekit.cluster.versions import PACKAGES, Software, check_alike, differences, software_here
from edgekit.errors import UnavailableError

HERE = Software("0.2.0", "a" * 64, "3.11", (("numpy", "2.4.6"), ("openvino", "2026.4.1"), ("torch", None)))


def test_what_runs_here_is_told() -> None:
    here = software_here()
    assert here.edgekit == __version__
    assert [name for name, _ in here.packages] == list(PACKAGES)
    assert dict(here.packages)["numpy"]
    assert len(here.code) == 64


def test_nodes_that_run_the_same_are_taken() -> None:
    check_alike(HERE, {"a": HERE, "b": HERE})


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (replace(HERE, edgekit="0.1.0"), "edgekit 0.1.0, not 0.2.0"),
        (replace(HERE, code="b" * 64), "edgekit 0.2.0 with other code (bbbbbbbbbbbb, not aaaaaaaaaaaa)"),
        (replace(HERE, python="3.12"), "Python 3.12, not 3.11"),
        (
            replace(HERE, packages=(("numpy", "2.4.6"), ("openvino", "2026.3.0"), ("torch", None))),
            "openvino 2026.3.0, not 2026.4.1",
        ),
        (replace(HERE, packages=(("numpy", None), ("openvino", "2026.4.1"), ("torch", None))), "no numpy, not 2.4.6"),
        (
            replace(HERE, packages=(("numpy", "2.4.6"), ("openvino", "2026.4.1"), ("torch", "2.13.0"))),
            "torch 2.13.0, not none",
        ),
    ],
)
def test_what_is_otherwise_is_named(there: Software, said: str) -> None:
    assert list(differences(HERE, there)) == [said]
    with pytest.raises(UnavailableError) as refused:
        check_alike(HERE, {"good": HERE, "bad": there})
    assert f"bad has {said}" in refused.value.what
    assert "good" not in refused.value.what
    assert ("--wheel" in refused.value.hint) == said.startswith("edgekit")


def test_many_differences_are_counted() -> None:
    there = replace(HERE, edgekit="0.1.0", python="3.10")
    with pytest.raises(UnavailableError, match=r"d has Python 3.10, not 3.11; and 2 more$") as refused:
        check_alike(HERE, {"c": there, "d": there, "e": there})
    assert refused.value.exit_code == 4
