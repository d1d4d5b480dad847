"""The C++ library: the same pixels and the same answers as the Python runtime."""

from __future__ import annotations

import io
import json
import os
import platform
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle, network
from cpp_library import SOURCES, Pixels, Programs, noise, photo
from PIL import Image

from edgekit.runtime import Bundle, BundleError, processor
from edgekit.runtime.resize import resample

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("cpp-bundle") / "bundle", crop_fraction=0.875)


def by_pillow(pixels: Pixels, width: int, height: int, interpolation: str) -> Pixels:
    method = Image.Resampling[interpolation.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, pixels.shape[0]), method).resize((width, height), method))


def test_the_form_is_clang_formats() -> None:
    tool = shutil.which("clang-format", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if tool is None:
        pytest.skip("clang-format is not installed")
    library = SOURCES.parents[2] / "edgekit" / "runtime" / "cpp"
    fuzzing = SOURCES.parents[1] / "fuzz" / "cpp"
    files = [*library.glob("*.[ch]pp"), *SOURCES.glob("*.cpp"), *fuzzing.glob("*.[ch]pp")]
    assert len(files) > 25
    done = subprocess.run(
        [tool, f"--style=file:{library / '.clang-format'}", "--dry-run", "--Werror", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_resize_gives_pillows_pixels(programs: Programs) -> None:
    dice = random.Random(1)
    requests, wanted, by_numpy = [], [], []
    for _ in range(300):
        width, height, wide, high = (dice.randint(1, dice.choice([8, 60, 400])) for _ in range(4))
        pixels, name = noise(dice, width, height), dice.choice(INTERPOLATIONS)
        requests.append(f"resize {width} {height} {name} {wide} {high} 1\n".encode() + pixels.tobytes())
        wanted.append(by_pillow(pixels, wide, high, name))
        by_numpy.append(resample(pixels, wide, high, name))
    for request, answer, pixels, numpys in zip(requests, programs.ask(requests), wanted, by_numpy, strict=True):
        np.testing.assert_array_equal(answer, pixels, request[:40].decode(errors="replace"))
        np.testing.assert_array_equal(answer, numpys, request[:40].decode(errors="replace"))


def test_jpeg_and_png_give_pillows_pixels(programs: Programs, tmp_path: Path) -> None:
    dice, paths = random.Random(3), []

    def save(image: Image.Image, name: str, **settings: Any) -> None:
        image.save(tmp_path / name, **settings)
        paths.append(tmp_path / name)

    for turn in range(12):
        pixels = noise(dice, dice.randint(1, 160), dice.randint(1, 160), 4)
        rgb = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        for sampling in (0, 1, 2):  # none, halved across, halved both ways
            quality, progressive = dice.choice([5, 50, 75, 95]), dice.random() < 0.5
            save(rgb, f"{turn}-{sampling}.jpg", quality=quality, subsampling=sampling, progressive=progressive)
        save(rgb.convert("L"), f"{turn}-grey.jpg")
        save(Image.fromarray(pixels, "RGBA").convert("CMYK"), f"{turn}-cmyk.jpg")
        for mode in ("1", "L", "LA", "RGB", "RGBA"):
            save(Image.fromarray(pixels, "RGBA").convert(mode), f"{turn}-{mode}.png")
        for colours in (2, 4, 16, 200):
            save(rgb.quantize(colours), f"{turn}-palette-{colours}.png")
        save(rgb.quantize(9), f"{turn}-palette-clear.png", transparency=3)
        save(rgb, f"{turn}-clear.png", transparency=(1, 2, 3))
    for path, answer in zip(paths, programs.ask([f"decode {path}\n".encode() for path in paths]), strict=True):
        with Image.open(path) as image:
            np.testing.assert_array_equal(answer, np.asarray(image.convert("RGB")), path.name)


def png_of(width: int, height: int, depth: int, kind: int, rows: bytes, interlace: int = 0) -> bytes:
    """A PNG written by hand, for what Pillow does not write."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_become_the_upper_eight(programs: Programs, tmp_path: Path, kind: int, channels: int) -> None:
    row = np.random.Generator(np.random.PCG64(4)).integers(0, 256, (5, 7 * channels * 2), dtype=np.uint8)
    content = png_of(7, 5, 16, kind, b"".join(b"\0" + each.tobytes() for each in row))
    (tmp_path / "deep.png").write_bytes(content)
    (answer,) = programs.ask([f"decode {tmp_path / 'deep.png'}\n".encode()])
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(answer, np.asarray(image.convert("RGB")))


def test_images_that_are_refused(programs: Programs, tmp_path: Path) -> None:
    whole = {kind: io.BytesIO() for kind in ("jpeg", "png", "bmp")}
    for kind, into in whole.items():
        Image.fromarray(noise(random.Random(5), 120, 90)).save(into, kind)
    jpeg, png = whole["jpeg"].getvalue(), whole["png"].getvalue()
    cases = {
        "a PNG cannot be decoded: ": png_of(0, 5, 8, 2, b""),
        "neither JPEG nor PNG": whole["bmp"].getvalue(),
        "neither JPEG nor PNG.": b"",
        "a JPEG is damaged or cut short": jpeg[: len(jpeg) // 2],
        "a JPEG cannot be decoded": jpeg[:20],
        "a PNG is damaged or cut short": png[: len(png) // 2],
        "a PNG cannot be decoded": png[:20],
        "over 89478485": png_of(60000, 60000, 1, 0, b""),
    }
    paths = [tmp_path / str(index) for index in range(len(cases))]
    for path, content in zip(paths, cases.values(), strict=True):
        path.write_bytes(content)
    for words, answer in zip(cases, programs.ask([f"decode {path}\n".encode() for path in paths]), strict=True):
        assert isinstance(answer, str)
        assert answer.startswith("edgekit: error: ")
        assert words in answer


def same_answers(told: list[dict[str, Any]], wanted: list[tuple[Any, float]]) -> None:
    """Classes in the same order with the same probabilities; what is equal within 1e-4 may change places."""
    assert [each["probability"] for each in told] == pytest.approx([share for _, share in wanted], abs=1e-4)
    shares = dict(wanted)
    assert all(shares[each["label"]] == pytest.approx(each["probability"], abs=1e-4) for each in told)


def test_the_sample_answers_as_the_python_runtime(programs: Programs, bundle: Path, tmp_path: Path) -> None:
    dice = random.Random(6)
    paths = [photo(dice, tmp_path / f"{i}.{dice.choice(['jpg', 'png'])}") for i in range(30)]
    done = programs.run(bundle, *paths, "--json", "--top", 4)
    assert done.returncode == 0, done.stderr
    with Bundle.open(bundle) as opened, opened.session() as session:
        for path, told in zip(paths, json.loads(done.stdout)["images"], strict=True):
            assert told["image"] == str(path)
            same_answers(told["classes"], session.classify(str(path), top=4))


def test_a_raw_frame_and_the_bench(programs: Programs, bundle: Path, tmp_path: Path) -> None:
    pixels = noise(random.Random(7), 53, 41)
    (tmp_path / "frame").write_bytes(pixels.tobytes())
    Image.fromarray(pixels).save(tmp_path / "frame.png")
    raw = programs.run(bundle, tmp_path / "frame", "--raw", "53x41", "--json", "--bench", 5)
    png = programs.run(bundle, tmp_path / "frame.png", "--json")
    told = json.loads(raw.stdout)
    assert told["images"][0]["classes"] == json.loads(png.stdout)["images"][0]["classes"]
    assert told["latency"]["network_ms"]["runs"] == 5
    wrong = programs.run(bundle, tmp_path / "frame", "--raw", "53x40")
    assert wrong.returncode == 2
    assert "--raw means 6360" in wrong.stderr


def test_one_bad_image_leaves_the_others_their_answers(programs: Programs, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    good = photo(random.Random(8), tmp_path / "good.png")
    done = programs.run(bundle, tmp_path / "bad.jpg", good, tmp_path / "missing.png", "--json")
    assert done.returncode == 2
    assert [each["image"] for each in json.loads(done.stdout)["images"]] == [str(good)]
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "at least one image"),
        (("B", "I", "--top", "0"), "--top takes a whole number"),
        (("B", "I", "--top"), "--top needs a value"),
        (("B", "I", "--raw", "5"), "WxH"),
        (("B", "I", "--shout", "5"), "no option --shout"),
        (("B", "I"), "cannot read B/manifest.json"),
    ],
)
def test_wrong_use(programs: Programs, arguments: tuple[str, ...], words: str) -> None:
    done = programs.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_labels_move_no_cursor(programs: Programs, tmp_path: Path) -> None:
    """Control characters, in UTF-8 too, and those that turn the direction of writing."""
    labels = ["\x1b[2Jclear", "\x9b2Jclear", "\u202eleft", "a\r\nb äß"]
    folder = make_bundle(tmp_path / "bundle", labels=labels)
    picture = photo(random.Random(3), tmp_path / "photo.png")
    told = programs.run(folder, picture)
    assert told.returncode == 0, told.stderr
    assert sorted(line.split("%  ")[1] for line in told.stdout.splitlines()[1:]) == sorted(
        ["?[2Jclear", "?2Jclear", "?left", "a??b äß"]
    )
    same = json.loads(programs.run(folder, picture, "--json").stdout)["images"][0]["classes"]
    assert sorted(each["label"] for each in same) == sorted(labels)


def test_outputs_that_are_no_numbers_are_no_answer(programs: Programs, tmp_path: Path) -> None:
    """As in the Python runtime: a network that divides by the picture, and one black picture."""
    folder = make_bundle(tmp_path / "bundle", network=divides)
    for name, level in (("grey.png", 128), ("black.png", 0)):
        Image.new("RGB", (40, 40), (level,) * 3).save(tmp_path / name)
    done = programs.run(folder, tmp_path / "black.png", tmp_path / "grey.png", "--json")
    assert done.returncode == 2
    assert "values that are no numbers" in done.stderr
    assert [Path(each["image"]).name for each in json.loads(done.stdout)["images"]] == ["grey.png"]
    with Bundle.open(folder) as opened, opened.session() as session, pytest.raises(BundleError, match="no numbers"):
        session.classify(str(tmp_path / "black.png"))


def divides(path: Path, size: int) -> Path:
    """A network whose outputs are infinite for black."""
    import onnx

    model = onnx.load(str(network(path, size)))
    flatten = next(node for node in model.graph.node if node.op_type == "Flatten")
    model.graph.node.insert(list(model.graph.node).index(flatten), onnx.helper.make_node("Reciprocal", ["p"], ["r"]))
    model.graph.node[-2].input[0] = "r"
    onnx.save(model, str(path))
    return path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 adds INT8 products up in 16 bits")
def test_another_kind_of_processor_is_told_of(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of the Python runtime."""
    bundles = {
        sums: make_bundle(tmp_path / sums, precision="int8", arithmetic={"int8_sums": sums}) for sums in processor.SUMS
    }
    picture = photo(random.Random(3), tmp_path / "photo.png")
    for limit in ("AVX2", ""):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        for folder in bundles.values():
            told = programs.run(folder, picture)
            assert told.returncode == 0, told.stderr
            with Bundle.open(folder, verify=False) as opened:
                assert told.stderr == "".join(f"edgekit: warning: {each}\n" for each in opened.warnings)
