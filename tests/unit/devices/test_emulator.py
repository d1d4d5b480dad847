"""What emulates arm64: its parts, what is missing, command lines, and in words how an emulated program ended."""

from __future__ import annotations

import os
import re
import signal
import stat
import sys
from pathlib import Path

import pytest

from edgekit.cli.verify_emulated import EMULATED
from edgekit.devices import emulator as emulation
from edgekit.devices.emulator import (
    PROCESSORS,
    Emulator,
    Ended,
    check_ended,
    command_line,
    default_root,
    find_emulator,
    how_to_get,
    processor_named,
    run_module,
    version_of,
)
from edgekit.errors import InputError, UnavailableError


def wheel(root: Path, name: str, version: str) -> None:
    """What an unpacked wheel says of itself."""
    told = root / "wheels" / f"{name}-{version}.dist-info"
    told.mkdir(parents=True, exist_ok=True)
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def program(path: Path, code: str) -> Path:
    """A shell script that can be run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def qemu(root: Path, version: str) -> Path:
    return program(root / "qemu-aarch64", f"echo 'qemu-aarch64 version {version} (Debian 1:{version})'")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with everything, by what can be seen without running it; no qemu is installed beside it."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(emulation.shutil, "which", lambda name: None)
    made = tmp_path / "arm64"
    program(made / "system" / "usr" / "bin" / "python3", "")
    wheel(made, "numpy", "2.4.6")
    wheel(made, "onnxruntime", "1.32.0")
    qemu(made, "10.0.2")
    return made


def test_every_processor_can_be_asked_for() -> None:
    assert tuple(PROCESSORS) == EMULATED
    with pytest.raises(InputError, match="pentium"):
        processor_named("pentium")


@pytest.mark.parametrize(
    ("told", "version"),
    [
        ("qemu-aarch64 version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)\nCopyright", "10.0.2"),
        ("qemu-aarch64 version 7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.22"),
        ("qemu-aarch64 version 11.1", "11.1"),
        ("", None),
        ("something else", None),
    ],
)
def test_the_version_of_qemu_is_read(told: str, version: str | None) -> None:
    assert version_of(told) == version


def test_the_root_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EDGEKIT_ARM64_ROOT", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_root() == tmp_path / "edgekit" / "arm64"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_root() == tmp_path / ".local" / "share" / "edgekit" / "arm64"
    monkeypatch.setenv("EDGEKIT_ARM64_ROOT", "~/arm")
    assert default_root() == tmp_path / "arm"


def test_a_whole_root_is_found(root: Path) -> None:
    found = find_emulator(root)
    assert (found.qemu, found.qemu_version, found.engines) == (root / "qemu-aarch64", "10.0.2", ("onnxruntime",))
    assert found.wheels["numpy"] == "2.4.6"


def test_what_is_missing_is_named_with_the_command_that_gets_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as error:
        find_emulator(tmp_path / "none")
    assert f"there is no arm64 root at {tmp_path / 'none'}" in error.value.line()
    assert f"sh docker/arm64-root.sh --root {tmp_path / 'none'}" in error.value.hint
    (root / "system" / "usr" / "bin" / "python3").unlink()
    (root / "wheels" / "onnxruntime-1.32.0.dist-info" / "METADATA").unlink()
    (root / "wheels" / "onnxruntime-1.32.0.dist-info").rmdir()
    with pytest.raises(UnavailableError, match=r"lacks system/usr/bin/python3, onnxruntime or openvino$"):
        find_emulator(root)
    assert (
        how_to_get(engine="openvino")
        == "Get it with: sh docker/arm64-root.sh --with openvino, in a checkout of edgekit."
    )


def test_an_old_qemu_is_named(root: Path) -> None:
    qemu(root, "7.2.22")
    with pytest.raises(
        UnavailableError, match=r"too old: .*qemu-aarch64 is 7\.2\.22; ONNX Runtime needs 10\.0 or newer"
    ):
        find_emulator(root)
    (root / "qemu-aarch64").unlink()
    with pytest.raises(UnavailableError, match="there is no qemu-aarch64"):
        find_emulator(root)


def test_an_installed_qemu_will_do(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu(root, "9.2.0")
    newer = qemu(tmp_path / "bin", "11.1.3")
    monkeypatch.setattr(emulation.shutil, "which", lambda name: str(newer) if name == "qemu-aarch64" else None)
    assert find_emulator(root).qemu == newer


def test_the_command_line_names_the_processor_and_the_root(root: Path) -> None:
    found = find_emulator(root)
    python = str(root / "system" / "usr" / "bin" / "python3")
    assert command_line(found, "cortex-a72", "edgekit_runtime.emulated", ["/a bundle"]) == [
        str(root / "qemu-aarch64"), "-cpu", "cortex-a72", "-L", str(root / "system"),
        python, "-B", "-s", "-m", "edgekit_runtime.emulated", "/a bundle",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "said", "words"),
    [
        (
            -signal.SIGSEGV,
            "qemu: uncaught target signal 11\n\n",
            r"crashed in qemu 10\.0\.2 \(SIGSEGV\)\. .*target signal 11",
        ),
        (-signal.SIGILL, "", "met an instruction that the emulated processor does not have"),
        (-signal.SIGKILL, "", "was killed from outside. It may have run out of memory"),
        (1, "Traceback\n  File\nModuleNotFoundError: No module named 'numpy'\n", "failed .*No module named 'numpy'"),
        (3, "", "exit code 3"),
    ],
)
def test_how_a_program_ended_is_told_in_words(root: Path, code: int, said: str, words: str) -> None:
    with pytest.raises(UnavailableError) as error:
        check_ended(Ended(code, said), find_emulator(root), "the device runtime")
    assert re.search(words, error.value.line())
    check_ended(Ended(0, said), find_emulator(root), "the device runtime")


@pytest.fixture
def here(tmp_path: Path) -> Emulator:
    """Runs Python modules on this processor, by a stand-in for qemu that leaves its own options out."""
    stand_in = program(tmp_path / "qemu", f'shift 5; exec "{sys.executable}" "$@"')
    return Emulator(tmp_path / "arm64", stand_in, "10.0.2", {"numpy": "1", "onnxruntime": "1"})


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def test_a_module_is_run_and_its_lines_are_heard(here: Emulator, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    (work / "told.py").write_text(
        "import os, sys\nprint(sys.argv[1:])\nprint(sorted(os.environ))\nprint('no end', end='')\n"
        "sys.stderr.write('said')\nsys.exit(3)\n"
    )
    monkeypatch.setattr(
        emulation, "command_line", lambda *told: [*command_line(*told)[:5], "x", str(work / "told.py"), "a"]
    )
    heard: list[list[str]] = []
    ended = run_module(here, "cortex-a76", work / "runtime.pyz", ["told"], heard.append)
    assert (ended.code, ended.said) == (3, "said")
    assert heard[-1][0] == "['a']"
    assert len(heard[-1]) == 2
    assert "LD_LIBRARY_PATH" not in heard[-1][1]


def test_silence_ends_it(here: Emulator, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = program(work / "sleeps", f"echo $$ > {work / 'pid'}; exec sleep 60")
    monkeypatch.setattr(emulation, "LONGEST_SILENCE_S", 0.5)
    silent = Emulator(here.root, stand_in, "10.0.2", here.wheels)
    with pytest.raises(UnavailableError, match="said nothing"):
        run_module(silent, "cortex-a76", work / "runtime.pyz", ["told"], lambda lines: None)
    with pytest.raises(ProcessLookupError):
        os.kill(int((work / "pid").read_text()), 0)
