"""Bundles in an emulated processor: what its lines tell, what is compared, and what is refused before it is run."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from bundles import make_bundle

from edgekit.devices.emulator import PROCESSORS, Emulator
from edgekit.errors import InputError, UnavailableError
from edgekit.runtime.manifest import read_manifest
from edgekit.validate.emulated import compared, emulate, exact, read_lines

LINES = [
    '{"machine": {"architecture": "aarch64", "features": ["fp", "asimddp"]}}',
    '{"checks": [{"name": "files", "ok": true, "detail": ""}, {"name": "golden outputs", "ok": false, "detail": "x"}]}',
    '{"runtime": {"name": "onnxruntime", "version": "1.32.0"}}',
    '{"done": 1}',
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("emulated") / "tiny", runtime="onnxruntime")


@pytest.fixture
def here(tmp_path: Path) -> Emulator:
    """This processor in the place of an emulated one: a stand-in for qemu runs this Python with these packages."""
    stand_in = tmp_path / "qemu"
    paths = ":".join(each for each in sys.path if each)
    stand_in.write_text(f'#!/bin/sh\nshift 5\nPYTHONPATH=$PYTHONPATH:{paths} exec "{sys.executable}" "$@"\n')
    stand_in.chmod(0o755)
    return Emulator(tmp_path / "arm64", stand_in, "10.0.2", {"numpy": "1", "onnxruntime": "1"})


def test_lines_tell_the_machine_the_checks_and_the_runtime() -> None:
    heard = read_lines(LINES)
    assert heard.machine.features == ("fp", "asimddp")
    assert [(each.name, each.ok) for each in heard.checks] == [("golden outputs", False)]
    assert (heard.runtime.name, heard.runtime.version, heard.failed) == ("onnxruntime", "1.32.0", None)
    assert read_lines([*LINES, '{"failed": "no"}']).failed == "no"


@pytest.mark.parametrize("lines", [[], LINES[:2], ["no JSON"], ['{"checks": 3}']])
def test_lines_that_are_not_whole_are_no_answer(lines: list[str]) -> None:
    with pytest.raises(UnavailableError, match="emulated device runtime"):
        read_lines(lines)


def test_the_bundle_is_run_and_its_pictures_answered(bundle: Path, here: Emulator) -> None:
    """The whole way but for the emulation: the runtime archive in its own process, pictures there and answers back."""
    pictures = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    done: list[int] = []
    told = read_manifest(str(bundle))[1]
    found = emulate(bundle, told, here, PROCESSORS["arm64"], pictures=pictures, moved=done.append)
    assert (found.heard.checks[0].name, found.heard.checks[0].ok) == ("golden outputs", True)
    assert (found.heard.runtime.name, found.archive_is_own, done[-1]) == ("onnxruntime", True, 3)
    assert found.heard.runtime.version
    assert found.outputs is not None
    answers = compared("some", exact(bundle, pictures), found.outputs)
    assert (answers.same, answers.images, answers.ok) == (100, 3, True)
    assert answers.least_cosine > 0.99999
    told_as = found.told(answers).model_dump(mode="json")
    assert told_as["latency"] == "not_measured: emulated"
    assert json.dumps(told_as)


def test_code_that_comes_with_a_bundle_is_not_run(bundle: Path, here: Emulator, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "edgekit_runtime.pyz").write_bytes(b"import nothing")
    found = emulate(copy, read_manifest(str(bundle))[1], here, PROCESSORS["arm64"])
    assert not found.archive_is_own
    assert "not the other one that the bundle has" in str(found)


def test_a_runtime_that_is_not_there_is_named(bundle: Path, here: Emulator) -> None:
    told = read_manifest(str(bundle))[1]
    bare = Emulator(here.root, here.qemu, here.qemu_version, {"numpy": "1", "openvino": "1"})
    with pytest.raises(UnavailableError) as error:
        emulate(bundle, told, bare, PROCESSORS["arm64"])
    assert "has no onnxruntime" in error.value.what
    assert "--with onnxruntime" in error.value.hint
    with pytest.raises(UnavailableError, match="has no tensorrt"):
        emulate(bundle, told, here, PROCESSORS["arm64"], "tensorrt")
    for name, words in (("openvino", "nothing that openvino can run"), ("some", "no runtime some")):
        with pytest.raises(InputError, match=words):
            emulate(bundle, told, here, PROCESSORS["arm64"], name)


def test_a_network_that_cannot_be_loaded_is_bad(bundle: Path, here: Emulator, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "model.onnx").write_bytes(b"no network")
    told = read_manifest(str(bundle))[1]
    found = emulate(copy, told, here, PROCESSORS["arm64"], pictures=np.zeros((1, 32, 32, 3), np.uint8))
    assert found.heard.failed is not None
    assert "ONNX Runtime cannot load" in found.heard.failed
    assert found.outputs is None


def test_other_answers_are_counted() -> None:
    wanted = np.array([[4, 0, 0], [0, 4, 0]], np.float32)
    answers = compared("some", wanted, np.array([[4, 0, 0], [4, 0, 0]], np.float32))
    assert (answers.images, answers.same, answers.ok) == (2, 50, False)
    assert (answers.cosine, answers.least_cosine) == (0.5, 0)
    assert "50.0 % of 2 (some) have the answer of exact arithmetic" in str(answers)
    assert not compared("some", wanted, np.full_like(wanted, np.nan)).ok
    with pytest.raises(InputError, match="outputs are"):
        compared("some", wanted, wanted[:1])
