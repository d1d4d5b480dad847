"""The C++ library's readers with all that fuzzing has found, under the sanitizers; `make fuzz-cpp` looks for more."""

from __future__ import annotations

import copy
import json
import os
import random
import struct
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from cpp_fuzzing import FOUND, TARGETS, configured, manifest, png, write_seeds

from edgekit.runtime import BundleError
from edgekit.runtime.files import problems
from edgekit.runtime.manifest import read_manifest

TEXT_BYTES = 7 << 20
"""Of a compressed text, no more than libpng would unpack."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz-cpp")
    why = configured(folder, "-DCMAKE_CXX_FLAGS_RELEASE=-O0", "-DCMAKE_BUILD_TYPE=Release")
    if why is not None:
        pytest.skip(why)
    return folder / "edgekit-fuzz"


def given(program: Path, target: str, files: Sequence[Path], memory_mb: int = 2048) -> list[bool]:
    """Which files a target takes and does not refuse; it must not end of any of them."""
    done = subprocess.run(
        [str(program), target, *map(str, files)],
        capture_output=True,
        text=True,
        errors="replace",
        env=os.environ | {"ASAN_OPTIONS": f"hard_rss_limit_mb={memory_mb}", "UBSAN_OPTIONS": "print_stacktrace=1"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    taken = [line == "1" for line in done.stdout.split()]
    assert len(taken) == len(files)
    return taken


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found(program: Path, target: str) -> None:
    files = sorted((FOUND / target).iterdir())
    assert len(files) > 0
    given(program, target, files)


def test_seeds_are_right_files(program: Path, tmp_path: Path) -> None:
    """Else nothing behind a reader's first check would be looked at."""
    write_seeds(tmp_path)
    for target in TARGETS:
        files = sorted((tmp_path / target).iterdir())
        assert all(given(program, target, files)), target


def bombs() -> dict[str, tuple[str, bytes]]:
    """Small files that take all memory, all of the stack, or hours, of a careless reader: what, target, content."""
    depth = 500_000
    text = zlib.compress(bytes(TEXT_BYTES), 9)
    texts = [(b"zTXt", b"a%d\0\0" % index + text) for index in range(100)]
    segment = b"\xff\xe1" + struct.pack(">H", 2)
    return {
        "deep JSON": ("manifest", b'{"kind": ' + b"[" * depth + b"]" * depth + b"}"),
        "texts in a PNG": ("png", png((1, 1), 8, 0, [*texts, (b"IDAT", zlib.compress(b"\0\0"))])),
        "scans of a JPEG": ("jpeg", jpeg_of_scans(200)),
        "segments in a JPEG": ("jpeg", b"\xff\xd8" + segment * 240_000 + b"\xff\xd9"),
    }


@pytest.mark.parametrize(
    ("what", "is_taken"),
    [("deep JSON", False), ("texts in a PNG", True), ("scans of a JPEG", False), ("segments in a JPEG", False)],
)
def test_bombs(program: Path, tmp_path: Path, what: str, is_taken: bool) -> None:
    target, content = bombs()[what]
    (tmp_path / "bomb").write_bytes(content)
    assert given(program, target, [tmp_path / "bomb"], memory_mb=200) == [is_taken]


def jpeg_of_scans(count: int) -> bytes:
    """A grey 8x8 JPEG whose coefficients come one bit at a time, nothing but zeros: each scan is of two bytes."""

    def segment(mark: int, content: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, mark, len(content) + 2) + content

    one_code = bytes([1, *[0] * 15])  # the bit 0
    made = b"\xff\xd8" + segment(0xDB, bytes([0, *[1] * 64])) + segment(0xC2, b"\x08\0\x08\0\x08\x01\x01\x11\0")
    made += segment(0xC4, b"\x00" + one_code + b"\x00") + segment(0xC4, b"\x10" + one_code + b"\x00")
    bits = [(0, 13), *((bit + 1, bit) for bit in range(12, -1, -1))]
    scans = [(0, 0, 0), *((place, high, low) for place in range(1, 64) for high, low in bits)]
    for place, high, low in scans[:count]:
        made += segment(0xDA, bytes([1, 1, 0, place, place, high << 4 | low])) + b"\x7f"
    return made + b"\xff\xd9"


VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, 1, -1, 2, 255, 256, 2.5, 1.0, 10**12, -(10**25), [], {}, {"a": 1}),
    *([1], [32, 32], [0, 0, 256], [1, 32, 32, 3]),
    *("", "x", "CPU", "softmax", "embed", "int8", "area", "lanczos", "squash", "center", "\u202e"),
)
"""What a manifest may say in the wrong place."""


def places(told: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a manifest says anything, as keys and indices."""
    if isinstance(told, (dict, list)):
        for key in told if isinstance(told, dict) else range(len(told)):
            yield (*path, key)
            yield from places(told[key], (*path, key))


def other_manifests(count: int) -> Iterator[dict[str, Any]]:
    """Manifests of which one or two values are others, or gone."""
    dice = random.Random(5)
    for _ in range(count):
        told = manifest(resize=dice.choice(["crop", "squash", "letterbox", "pad"])) | {"engine_settings": {}}
        for _ in range(dice.choice([1, 1, 2])):
            *path, key = dice.choice(list(places(told)))
            inside = told
            for each in path:
                inside = inside[each]
            if dice.random() < 0.25:
                del inside[key]
            else:
                inside[key] = copy.deepcopy(dice.choice(VALUES))
        yield told


def test_manifests_are_taken_that_the_python_runtime_takes(program: Path, tmp_path: Path) -> None:
    told = list(other_manifests(600))
    for index, each in enumerate(told):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "manifest.json").write_text(json.dumps(each))
        (tmp_path / str(index) / "a").write_text("abc")
    taken = given(program, "manifest", [tmp_path / str(index) / "manifest.json" for index in range(len(told))])
    others = []
    for index, each in enumerate(told):
        if taken[index] != is_taken(tmp_path / str(index)):
            others.append(f"taken {taken[index]} in C++: {json.dumps(each)[:3000]}")
    assert others == []
    assert 100 < sum(taken) < 500


def is_taken(bundle: Path) -> bool:
    """Whether the Python runtime takes a manifest, and the files of its bundle."""
    try:
        checked = read_manifest(str(bundle))[1]
    except BundleError:
        return False
    return "a" in checked.files and not list(problems(str(bundle), checked.files))
