"""The shipped network in C++ and in Python: the same top five for a hundred pictures of odd sizes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cpp_library import Programs, build
from PIL import Image

from edgekit.data.signs import draw
from edgekit.runtime import Bundle

if TYPE_CHECKING:
    from conftest import Finished


def pictures(folder: Path, count: int = 100) -> list[Path]:
    """Signs, stretched to sizes that no network has, as PNG and as JPEG of all kinds."""
    dice, paths = random.Random(1), []
    for index in range(count):
        image = Image.fromarray(draw("validation", index, dice.choice([150, 299, 450])))
        image = image.resize((dice.randint(120, 900), dice.randint(120, 900)), Image.Resampling.BICUBIC)
        if index % 3 == 0:
            image = image.convert(dice.choice(["RGB", "RGBA", "P", "L"]))
            paths.append(folder / f"{index}.png")
            image.save(paths[-1])
        else:
            paths.append(folder / f"{index}.jpg")
            image.save(paths[-1], quality=dice.choice([60, 85, 95]), subsampling=index % 3, progressive=index % 2 == 0)
    return paths


@pytest.mark.slow
def test_a_hundred_pictures_get_the_same_answers(headline: Finished, tmp_path: Path) -> None:
    built = build(tmp_path / "built", sanitize=False)
    if isinstance(built, str):
        pytest.skip(built)
    agree(built, headline.directory, pictures(tmp_path))


def agree(programs: Programs, bundle: Path, paths: list[Path]) -> float:
    """Compares labels in order and probabilities; returns the largest difference of a probability."""
    done = programs.run(bundle, *paths, "--json")
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout)["images"]
    worst = 0.0
    with Bundle.open(bundle) as opened, opened.session() as session:
        for path, answer in zip(paths, told, strict=True):
            wanted = session.classify(str(path), top=5)
            made = [(each["label"], each["probability"]) for each in answer["classes"]]
            assert [label for label, _ in made] == [label for label, _ in wanted], path.name
            worst = max(worst, *(abs(a - b) for (_, a), (_, b) in zip(made, wanted, strict=True)))
    assert worst < 1e-4
    return worst
