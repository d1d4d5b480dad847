"""What the tests themselves go by: their order, what is made once for several processes, and why one may be skipped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fnmatch import fnmatch
from pathlib import Path

import pytest
from command import for_another_pytest
from once import once
from order import LONGEST
from skips import fault_of

TESTS = Path(__file__).resolve().parents[1]


def test_the_longest_files_are_there() -> None:
    assert sorted(set(LONGEST) - {path.name for path in TESTS.rglob("test_*.py")}) == []
    assert len(set(LONGEST)) == len(LONGEST)


def test_no_folder_of_tests_is_passed_over(request: pytest.FixtureRequest) -> None:
    """As pytest does with those called build, unless its settings say otherwise."""
    patterns = request.config.getini("norecursedirs")
    folders = {path.parent for path in TESTS.rglob("test_*.py")}
    parts = {part for folder in folders for part in folder.relative_to(TESTS).parts}
    assert "build" in parts
    assert [(part, each) for part in sorted(parts) for each in patterns if fnmatch(part, each)] == []


def test_what_is_made_once_is_made_by_one_of_several(tmp_path_factory: pytest.TempPathFactory) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("whole")

    threads = [threading.Thread(target=once, args=(tmp_path_factory, f"of {os.getpid()}", make)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(made) == 1
    assert (made[0] / "file").read_text() == "whole"


def test_what_could_not_be_made_is_tried_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    name = f"tried by {os.getpid()}"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ValueError("not made")

    with pytest.raises(ValueError, match="not made"):
        once(tmp_path_factory, name, fail)
    assert not (once(tmp_path_factory, name, lambda folder: None) / "half").exists()


@pytest.mark.parametrize(
    ("reason", "is_wrong"),
    [
        ("could not import 'oras': No module named 'oras'", True),
        ("TensorRT for RTX is not installed", True),
        ("there is no cmake on this system", False),
        ("there is no wrk on this system (apt install wrk)", False),
        ("there is no sshd here", False),
        ("the labelled photos are not here", False),
    ],
)
def test_what_the_lock_brings_is_no_reason_to_skip(reason: str, is_wrong: bool) -> None:
    assert (fault_of(reason) is not None) is is_wrong


def test_a_test_that_is_skipped_for_want_of_a_package_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "def test_lacks(): pytest.importorskip('no_package_of_this_name')\n"
        "def test_other(): pytest.skip('there is no sshd here')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env=for_another_pytest(os.environ) | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert "1 failed, 1 skipped" in ran.stdout, ran.stdout
    assert "no reason to leave a test out" in ran.stdout
