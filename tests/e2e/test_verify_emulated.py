"""`edgekit verify --emulate` without an emulator: what is asked wrongly, damaged or missing is said at once.

With one: tests/network/test_arm_emulation.py.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny", runtime="onnxruntime")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--images", 3), "need --emulate"),
        (("--emulate", "arm64", "--data", "signs"), "--data needs --images"),
        (("--emulate", "arm64", "--no-golden"), "leave --no-golden out"),
        (("--emulate", "pentium"), "pentium"),
    ],
)
def test_options_that_do_not_go_together(bundle: Path, edgekit: Run, options: tuple[object, ...], words: str) -> None:
    answer = edgekit("verify", bundle, *options)
    assert answer.returncode == 2
    assert words in answer.stderr


def test_a_missing_root_is_named_with_the_command_that_makes_it(bundle: Path, edgekit: Run, tmp_path: Path) -> None:
    answer = edgekit("verify", bundle, "--emulate", "raspberry-pi-5", "--root", tmp_path / "none")
    assert (answer.returncode, answer.stdout) == (4, "")
    assert answer.stderr == (
        f"edgekit: error: there is no arm64 root at {tmp_path / 'none'}. Get it with: sh docker/arm64-root.sh --root"
        f" {tmp_path / 'none'}, in a checkout of edgekit.\n"
    )


def test_a_damaged_bundle_is_not_run(bundle: Path, edgekit: Run, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "model.onnx").write_bytes(b"")
    answer = edgekit("verify", copy, "--emulate", "arm64", "--root", tmp_path / "none", "--json")
    assert answer.returncode == 2
    told = json.loads(answer.stdout)
    assert (told["ok"], told["emulation"]) == (False, None)
    assert told["checks"][-1]["name"] == "files"
