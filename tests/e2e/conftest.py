"""One build of a small network that the end-to-end tests look at from all sides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import json_of, with_int8
from once import once

QUICK = "prune: none\nlatency: {runs: 30, max_seconds: 0.1}\n"
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
    """The headline command on the embedded default, started as users do, with fewer images and shorter timing."""

    def arguments(folder: Path) -> tuple[str, ...]:
        recipe, out = folder / "quick.yaml", folder / "out"
        return ("build", "--model", "inception_v4", "--target", "cpu", "--recipe", str(recipe), "--out", str(out))

    def build(folder: Path) -> None:
        (folder / "quick.yaml").write_text(QUICK + "images: 240\n")
        keep(json_of(folder / "store", *arguments(folder), fresh=True), folder)

    folder = once(tmp_path_factory, "headline", build)
    return Finished(folder / "out", kept(folder), folder / "store", arguments(folder))


@pytest.fixture(scope="session")
def headline(measured: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The same with INT8 in the bundle, also where BF16 was as fast when it was measured."""
    if measured.report["chosen"] == "int8":
        return measured

    def build(folder: Path) -> None:
        keep(with_int8(measured.store, measured.directory, folder / "out"), folder)

    folder = once(tmp_path_factory, "headline-int8", build)
    return Finished(folder / "out", kept(folder), measured.store, measured.arguments)


def keep(told: dict[str, Any], folder: Path) -> None:
    """Keeps what a build said whose bundle is `out`, for the other processes."""
    assert Path(told.pop("bundle")) == folder / "out"
    (folder / "told.json").write_text(json.dumps(told))


def kept(folder: Path) -> dict[str, Any]:
    """What a build said."""
    told: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return told
