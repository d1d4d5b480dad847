"""One build of a small network that the end-to-end tests look at from all sides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import json_of, with_int8

QUICK = "prune: none\nlatency: {runs: 30, max_seconds: 10}\n"
"""Settings that keep timing short: what is tested is that it is measured, not what comes out."""


@dataclass(frozen=True)
class Finished:
    """A build that is done: where, what its report says, and the store it used."""

    directory: Path
    report: dict[str, Any]
    store: Path
    arguments: tuple[str, ...]


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The headline command on the embedded default, with fewer images and shorter timing."""
    folder = tmp_path_factory.mktemp("headline")
    recipe = folder / "quick.yaml"
    recipe.write_text(QUICK + "images: 240\n")
    out, store = folder / "out", folder / "store"
    arguments = ("build", "--model", "inception_v4", "--target", "cpu", "--recipe", str(recipe), "--out", str(out))
    told = json_of(store, *arguments)
    assert Path(told.pop("bundle")) == out
    return Finished(out, told, store, arguments)


@pytest.fixture(scope="session")
def headline(measured: Finished) -> Finished:
    """The same with INT8 in the bundle, also where BF16 was as fast when it was measured."""
    if measured.report["chosen"] == "int8":
        return measured
    out = measured.directory.with_name("int8")
    told = with_int8(measured.store, measured.directory, out)
    assert Path(told.pop("bundle")) == out
    return Finished(out, told, measured.store, measured.arguments)
