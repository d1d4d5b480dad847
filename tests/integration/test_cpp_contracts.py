"""The C++ library makes the same input of every image as the Python runtime, whatever the contract."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle, rewrite
from cpp_library import Programs, noise
from PIL import Image

from edgekit.runtime import Bundle
from edgekit.runtime.contract import ALIGNMENTS, INTERPOLATIONS, RESIZES, WITHOUT_ANTIALIAS, Contract
from edgekit.runtime.decoding import picture
from edgekit.runtime.errors import ImageError
from edgekit.runtime.rgb import ORIENTATION

PICTURES = 200


def drawn_contract(dice: random.Random) -> Contract:
    interpolation = dice.choice(INTERPOLATIONS)
    size = dice.choice([(32, 32), (1, 1), (97, 97), (24, 96), (50, 13), (dice.randint(1, 90), dice.randint(1, 90))])
    return Contract(
        size,
        dice.choice([1.0, 0.875, dice.uniform(0.2, 1)]),
        interpolation,
        dice.choice(RESIZES),
        interpolation not in WITHOUT_ANTIALIAS or dice.random() < 0.5,
        tuple(dice.randrange(256) for _ in range(3)),  # type: ignore[arg-type]
        dice.choice(list(ALIGNMENTS)),
        dice.random() < 0.5,
    )


def words(contract: Contract) -> str:
    """The contract as the tests' program reads it."""
    high, wide = contract.size
    color, align = " ".join(map(str, contract.pad_color)), "{} {}".format(*ALIGNMENTS[contract.pad_align])
    return (
        f"{contract.interpolation} {wide} {high} {contract.crop_fraction!r} {contract.resize} {int(contract.antialias)}"
        f" {color} {align} {int(contract.exif)}"
    )


def written(dice: random.Random, path: Path) -> Path:
    """A JPEG or PNG of any size, mode and depth, sometimes with an orientation."""
    exif = Image.Exif()
    if dice.random() < 0.5:
        exif[ORIENTATION] = dice.randint(1, 8)
    pixels = noise(dice, dice.randint(1, 160), dice.randint(1, 160), 4)
    kind = dice.choice(["RGB", "L", "CMYK", "16-bit", "RGBA", "LA", "P", "1", "RGB", "RGB"])
    if kind == "16-bit":
        deep = pixels[..., 0].astype(np.uint16) * 256 + pixels[..., 1]
        image = Image.fromarray(deep)
    else:
        image = Image.fromarray(pixels, "RGBA").convert("RGB").convert(kind)
    jpeg = kind in ("RGB", "L", "CMYK") and (kind == "CMYK" or dice.random() < 0.7)
    path = path.with_suffix(".jpg" if jpeg else ".png")
    image.save(path, exif=exif)
    return path


def test_every_contract_gives_the_same_input_of_a_file(programs: Programs, tmp_path: Path) -> None:
    dice = random.Random(11)
    cases = [(drawn_contract(dice), written(dice, tmp_path / f"{place}.x")) for place in range(PICTURES)]
    answers = programs.ask([f"fit {words(contract)} {path}\n".encode() for contract, path in cases])
    for (contract, path), answer in zip(cases, answers, strict=True):
        np.testing.assert_array_equal(answer, picture(str(path), contract), f"{path.name} {contract}")


def test_every_contract_gives_the_same_input_of_a_frame(programs: Programs) -> None:
    dice, requests, wanted = random.Random(12), [], []
    for _ in range(PICTURES):
        contract, pixels = drawn_contract(dice), noise(dice, dice.randint(1, 200), dice.randint(1, 200))
        requests.append(f"picture {pixels.shape[1]} {pixels.shape[0]} {words(contract)}\n".encode() + pixels.tobytes())
        wanted.append(picture(pixels, contract))
    for request, answer, pixels in zip(requests, programs.ask(requests), wanted, strict=True):
        np.testing.assert_array_equal(answer, pixels, request[:80].decode(errors="replace"))


@pytest.mark.parametrize("name", WITHOUT_ANTIALIAS)
def test_resizing_without_antialias_is_the_python_runtimes(programs: Programs, name: str) -> None:
    dice, requests, wanted = random.Random(13), [], []
    for _ in range(100):
        width, height, wide, high = (dice.randint(1, dice.choice([8, 60, 300])) for _ in range(4))
        pixels = noise(dice, width, height)
        requests.append(f"resize {width} {height} {name} {wide} {high} 0\n".encode() + pixels.tobytes())
        wanted.append(picture(pixels, Contract((high, wide), 1.0, name, "squash", antialias=False)))
    for request, answer, pixels in zip(requests, programs.ask(requests), wanted, strict=True):
        np.testing.assert_array_equal(answer, pixels, request[:60].decode(errors="replace"))


def test_a_strip_that_would_fill_the_memory_is_refused_by_both(programs: Programs) -> None:
    """One pixel wide: made as wide as the input, it has more pixels than an image may have."""
    contract, high = Contract((8, 299), 1.0, "bilinear", "squash"), 300_000
    pixels = np.zeros((high, 1, 3), np.uint8)
    (answer,) = programs.ask([f"picture 1 {high} {words(contract)}\n".encode() + pixels.tobytes()])
    assert isinstance(answer, str)
    assert "1x300000 cannot be resized to 299x8: it is too long and narrow" in answer
    with pytest.raises(ImageError, match="1x300000 cannot be resized to 299x8: it is too long and narrow"):
        picture(pixels, contract)


ANSWERS = [
    {"preprocessing": {"resize": "letterbox", "pad_color": [114, 114, 114]}},
    {"preprocessing": {"resize": "pad", "antialias": False, "interpolation": "bilinear", "exif": True}},
    {"preprocessing": {"resize": "squash", "interpolation": "area"}, "output": {"activation": "sigmoid"}},
    {"output": {"activation": "none", "task": "multilabel"}},
]


@pytest.mark.parametrize("told", ANSWERS, ids=lambda told: json.dumps(told)[:50])
def test_answers_are_the_python_runtimes(programs: Programs, tmp_path: Path, told: dict[str, Any]) -> None:
    usual = {"size": 32, "crop_fraction": 1.0, "interpolation": "bicubic"}
    output = {"output": told["output"]} if "output" in told else {}
    bundle = make_bundle(tmp_path / "bundle", preprocessing={**usual, **told.get("preprocessing", {})}, **output)
    assert json.loads((bundle / "manifest.json").read_text())["schema"] == 2
    dice = random.Random(14)
    paths = [written(dice, tmp_path / f"{place}.x") for place in range(25)]
    done = programs.run(bundle, *paths, "--json", "--top", 4)
    assert done.returncode == 0, done.stderr
    with Bundle.open(bundle) as opened, opened.session() as session:
        for path, said in zip(paths, json.loads(done.stdout)["images"], strict=True):
            ours = dict(session.classify(str(path), top=4))
            theirs = {each["label"]: each["probability"] for each in said["classes"]}
            assert theirs == pytest.approx(ours, abs=1e-4)


def test_a_bundle_of_vectors_is_refused_where_classes_are_wanted(programs: Programs, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", output={"task": "embed", "activation": "none"})
    path = written(random.Random(15), tmp_path / "one.x")
    done = programs.run(bundle, path)
    assert done.returncode == 2
    assert "vectors" in done.stderr
    assert "Use logits" in done.stderr


def test_a_bundle_of_0_1_0_is_opened(programs: Programs, tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "fixtures" / "bundle-0.1.0"
    path = written(random.Random(16), tmp_path / "one.x")
    done = programs.run(old, path, "--json", "--top", 4)
    assert done.returncode == 0, done.stderr
    with Bundle.open(old) as opened, opened.session() as session:
        wanted = dict(session.classify(str(path), top=4))
    told = {each["label"]: each["probability"] for each in json.loads(done.stdout)["images"][0]["classes"]}
    assert told == pytest.approx(wanted, abs=1e-4)


LIES: list[tuple[str, Any]] = [
    ("resize", "stretch"),
    ("antialias", 1),
    ("exif", "no"),
    ("pad_align", "middle"),
    ("pad_color", [0, 0, 256]),
    ("pad_color", 5),
    ("size", [32]),
    ("size", [32, 31]),
]


@pytest.mark.parametrize(("key", "value"), LIES, ids=str)
def test_a_contract_that_makes_no_sense_is_refused(programs: Programs, tmp_path: Path, key: str, value: Any) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    rewrite(bundle, lambda told: told["preprocessing"].update({key: value}))
    done = programs.run(bundle, tmp_path / "none.png")
    assert done.returncode == 2
    assert "the manifest of" in done.stderr
