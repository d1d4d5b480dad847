"""`device deploy --to` and `device rollback` on a real sshd: a path leads to what was checked there, and back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import numpy as np
import pytest

from edgekit.runtime import Bundle

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.usefixtures("pi")
def test_a_path_leads_to_what_was_checked_and_back(tmp_path: Path, edgekit: Run) -> None:
    first, second = (bundles.make_bundle(tmp_path / name, versions={"edgekit": name}) for name in ("one", "two"))
    place = tmp_path / "models" / "signs"

    def deploy(bundle: Path, *more: Any) -> Any:
        return edgekit("device", "deploy", "pi", bundle, "--to", place, "--json", *more)

    told = json.loads(deploy(first).stdout)
    assert (told["to"], told["before"]) == (str(place), None)
    with Bundle.open(place) as opened:
        assert opened.manifest["versions"] == {"edgekit": "one"}
    assert json.loads(deploy(second).stdout)["before"] == told["folder"]

    wrong = bundles.make_bundle(tmp_path / "wrong")
    with np.load(wrong / "golden.npz") as golden:
        bundles.fit(wrong, {"golden.npz": bundles.packed(inputs=golden["inputs"], logits=-golden["logits"])})
    refused = deploy(wrong)
    assert refused.returncode == 4
    assert "computes otherwise" in refused.stderr
    with Bundle.open(place) as opened:  # what does not pass there is never led to
        assert opened.manifest["versions"] == {"edgekit": "two"}

    back = edgekit("device", "rollback", "pi", place, "--json")
    assert json.loads(back.stdout) == {"device": "pi", "to": str(place), "folder": told["folder"]}
    with Bundle.open(place) as opened:
        assert opened.manifest["versions"] == {"edgekit": "one"}
    assert "leads to" in edgekit("device", "rollback", "pi", place).stdout


@pytest.mark.usefixtures("pi")
def test_what_cannot_be_is_told_in_a_line(tmp_path: Path, edgekit: Run) -> None:
    bundle = bundles.make_bundle(tmp_path / "one")
    (tmp_path / "mine").write_text("mine")
    taken = edgekit("device", "deploy", "pi", bundle, "--to", tmp_path / "mine")
    assert (taken.returncode, taken.stderr.count("error:"), "Traceback" in taken.stderr) == (4, 1, False)
    assert "is there and no link" in taken.stderr
    nothing = edgekit("device", "rollback", "pi", tmp_path / "nowhere")
    assert (nothing.returncode, "nothing is deployed" in nothing.stderr) == (4, True)
    shared = edgekit("device", "share", "pi", "pi", bundle)
    assert (shared.returncode, "Traceback" in shared.stderr) == (4, False)
    both = edgekit("device", "deploy", "pi", bundle, "--to", tmp_path / "a", "--no-check")
    assert (both.returncode, "--to leads to what was checked" in both.stderr) == (2, True)
