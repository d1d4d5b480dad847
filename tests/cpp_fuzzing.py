"""The C++ library's readers under hostile bytes: the program that gives them, and the files to begin with."""

from __future__ import annotations

import io
import json
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE: Final = Path(__file__).parent
SOURCES: Final = HERE / "fuzz" / "cpp"
FOUND: Final = HERE / "fixtures" / "fuzz-cpp"
"""For each target a folder with what once was too much for it, and what reaches much of it."""

TARGETS: Final = ("jpeg", "png", "exif", "manifest", "golden", "arrays", "picture")
OLD_BUNDLE: Final = HERE / "fixtures" / "bundle-0.1.0"

LANCZOS: Final = 3
"""Its number in C++; there is none without antialias."""

WORDS: Final = {
    "jpeg": [b"\xff\xe1", b"\xff\xee", b"\xff\xc2", b"\xff\xc4", b"\xff\xda", b"\xff\xdd", b"Exif\0\0", b"Adobe"],
    "png": [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"zTXt", b"iTXt", b"iCCP", b"sPLT"],
    "exif": [b"MM\0*", b"II*\0", b"\x01\x12", b"\x12\x01", b'tiff:Orientation="', b"tiff:Orientation>"],
    "golden": [b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06", b"inputs.npy", b"logits.npy"],
    "arrays": [b"\x93NUMPY\x01\0", b"'descr': '|u1'", b"'descr': '<f4'", b"'fortran_order': ", b"'shape': ("],
}
"""What a fuzzer would not find by itself; of a manifest, its own keys and words."""


def configured(folder: Path, *settings: str) -> str | None:
    """Makes the program in `folder`; a string says why it cannot be made."""
    for needed in ("cmake", "c++"):
        if shutil.which(needed) is None:
            return f"there is no {needed} on this system"
    command = ["cmake", "-S", str(SOURCES), "-B", str(folder), "-DCMAKE_CXX_FLAGS=-Werror", *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = " ".join(done.stderr.split())
        assert "ould not find" in words.replace("NOT", "not"), words
        return f"a library of docs/cpp.md is missing on this system: {words[:300]}"
    done = subprocess.run(["cmake", "--build", str(folder), "-j2"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    return None


def write_seeds(folder: Path) -> None:
    """Small right files for each target, in a folder of its name."""
    for target, contents in _seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for index, content in enumerate(contents):
            (folder / target / f"seed-{index}").write_bytes(content)


def has_words(target: str) -> bool:
    """Whether there is a dictionary of it."""
    return target == "manifest" or target in WORDS


def write_words(path: Path, target: str) -> Path:
    """A dictionary as libFuzzer reads it."""
    words = WORDS[target] if target in WORDS else sorted({json.dumps(each).encode() for each in _strings(manifest())})
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words))
    return path


def manifest(**told: Any) -> dict[str, Any]:
    """A manifest that says all that may be said; `told` are other words of its preprocessing."""
    made: dict[str, Any] = json.loads((OLD_BUNDLE / "manifest.json").read_text())
    made["files"] = {
        "a": {"sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "size_bytes": 3}
    }
    made["preprocessing"] |= {"resize": "pad", "pad_color": [1, 2, 3], "pad_align": "left", "exif": True} | told
    made["preprocessing"] |= {"antialias": False}
    made["output"] = {"task": "multilabel", "activation": "sigmoid"}
    made["arithmetic"] = {"int8_sums": "exact"}
    made["engine_settings"] = {"threads": 2}
    made["target"]["plugin"] = "CPU"
    return made


def _strings(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        yield from told
        told = list(told.values())
    if isinstance(told, list):
        for each in told:
            yield from _strings(each)
    elif isinstance(told, str):
        yield told


def _seeds() -> dict[str, Sequence[bytes]]:
    inputs = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(2, 4, 3, 3)
    logits = np.eye(2, 5, dtype=np.float32)
    first, second = _npy(inputs), _npy(logits)
    tiff = _tiff(6)
    xmp = b'<rdf tiff:Orientation="8" /> <tiff:Orientation>3</tiff:Orientation>'
    squash = manifest(resize="squash", interpolation="area", size=[5, 7], antialias=True)
    squash["input"]["shape"] = [1, 5, 7, 3]
    return {
        "jpeg": list(_jpegs(tiff, xmp)),
        "png": list(_pngs(tiff)),
        "exif": [tiff, _tiff(3, ">"), xmp],
        "manifest": [json.dumps(each).encode() for each in (manifest(), manifest(resize="letterbox"), squash)],
        "golden": [_npz(np.savez, inputs, logits), _npz(np.savez_compressed, inputs, logits)],
        "arrays": [struct.pack("<H", len(first)) + first + second],
        "picture": [
            struct.pack("<BBBbbhhbii", interpolation, resize, flags, 1, 2, 24, 17, 6, 40, 30)
            for interpolation in range(5)
            for resize in range(4)
            for flags in ((0, 1, 3, 17) if interpolation != LANCZOS else (1, 17))  # bit 0: antialias
        ],
    }


def _npy(array: NDArray[Any]) -> bytes:
    into = io.BytesIO()
    np.save(into, array)
    return into.getvalue()


def _npz(save: Any, inputs: NDArray[Any], logits: NDArray[Any]) -> bytes:
    into = io.BytesIO()
    save(into, inputs=inputs, logits=logits)
    return into.getvalue()


def _tiff(orientation: int, order: str = "<") -> bytes:
    """A TIFF block that says how a camera was held."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def _pixels() -> NDArray[np.uint8]:
    return np.random.Generator(np.random.PCG64(7)).integers(0, 256, (11, 18, 4), dtype=np.uint8)


def _jpegs(tiff: bytes, xmp: bytes) -> Iterator[bytes]:
    rgba = Image.fromarray(_pixels(), "RGBA")
    rgb = rgba.convert("RGB")
    ways: list[tuple[Image.Image, dict[str, Any]]] = [
        (rgb, {"subsampling": 2, "exif": b"Exif\0\0" + tiff}),
        (rgb, {"progressive": True, "subsampling": 1, "xmp": xmp}),
        (rgb, {"restart_marker_blocks": 1, "quality": 5}),
        (rgb.convert("L"), {"progressive": True}),
        (rgba.convert("CMYK"), {}),
    ]
    for image, settings in ways:
        into = io.BytesIO()
        image.save(into, "jpeg", **settings)
        yield into.getvalue()


def _pngs(tiff: bytes) -> Iterator[bytes]:
    rgba = Image.fromarray(_pixels(), "RGBA")
    rgb = rgba.convert("RGB")
    ways: list[tuple[Image.Image, dict[str, Any]]] = [
        (rgba, {}),
        (rgb, {"transparency": (1, 2, 3), "exif": tiff}),
        (rgb.quantize(5), {"transparency": 1}),
        (rgb.convert("1"), {}),
        (rgb.convert("LA"), {}),
    ]
    for image, settings in ways:
        into = io.BytesIO()
        image.save(into, "png", **settings)
        yield into.getvalue()
    deep = b"".join(b"\0" + bytes(range(10)) for _ in range(3))
    yield png((5, 3), 16, 0, [(b"tEXt", b"a\0b"), (b"IDAT", zlib.compress(deep))])
    yield png((4, 4), 8, 0, [(b"IDAT", zlib.compress(bytes(40)))], interlace=1)


def png(
    size: tuple[int, int], depth: int, kind: int, chunks: Sequence[tuple[bytes, bytes]], interlace: int = 0
) -> bytes:
    """A PNG of (width, height) with these chunks between its header and its end."""
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlace)
    made = b"\x89PNG\r\n\x1a\n"
    for name, content in [(b"IHDR", header), *chunks, (b"IEND", b"")]:
        made += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return made
