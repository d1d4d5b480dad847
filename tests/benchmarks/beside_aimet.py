"""A search of edgekit beside aimet-onnx, on one network, calibration images and minutes.

    python tests/benchmarks/beside_aimet.py PYTHON [FOLDER [SEED [MINUTES]]]

FOLDER and SEED are those of hard_to_quantize.py, which must have run. PYTHON is one that has aimet-onnx (2.42.0), no
dependency: its recipes are tried in turn (aimet_alone.py) until MINUTES (5) are over, and the best on the tuning images
is taken, as with edgekit. Both are judged on the 2,400 validation signs of the bundle, and their difference has a
paired interval: negative where edgekit loses less.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import numpy as np
from hard_to_quantize import edgekit
from numpy.typing import NDArray

from edgekit.build.lock import read_lock, to_yaml
from edgekit.bundle.answers import Answers, read_answers
from edgekit.data.image_set import ImageSet
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.models.export import export
from edgekit.models.onnx_graph import load, save
from edgekit.models.source import resolve
from edgekit.prune.sources import signs_images
from edgekit.quantize.open_batch import with_open_batch
from edgekit.quantize.ptq import normalised
from edgekit.recipe import merged
from edgekit.targets.machine import processor
from edgekit.validate.accuracy import drop_interval

HERE = Path(__file__).resolve().parent
CALIBRATION, TUNING, JUDGED = 300, 1_600, 2_400


def shown(images: ImageSet, places: list[int], how: Preprocessing) -> NDArray[np.float32]:
    """Pictures as the float graph takes them: float32 (n, 3, H, W)."""
    return normalised(np.stack([images.load(place, how) for place in places]), how, "NCHW")


def prepare(folder: Path, weights: Path) -> None:
    """Writes the float graph with an open batch, and the three sets of pictures with their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"model": "mobile_network:uneven", "weights": str(weights), "preprocessing": {"size": 96}, "data": "signs"}
    source = resolve(merged({}, asked))
    export(source, source.preprocessing.size, folder / "batch1.onnx")
    save(with_open_batch(load(folder / "batch1.onnx")), folder / "float.onnx")
    held = signs_images(frozenset()).tuning
    assert held is not None
    tuning, chosen = held
    sets: dict[str, tuple[ImageSet, list[int]]] = {
        "calibration": (SignsSet("calibration"), list(range(CALIBRATION))),
        "tuning": (tuning, [int(each) for each in chosen[:TUNING]]),
        "judged": (SignsSet("validation", JUDGED), list(range(JUDGED))),
    }
    for name, (images, places) in sets.items():
        labels = images.labels
        assert labels is not None
        np.savez(folder / f"{name}.npz", pictures=shown(images, places, source.preprocessing), labels=labels[places])


def of_mixed(folder: Path) -> Answers:
    """Which images what was searched has right, whether or not it was the fastest: its bundle is made from the lock."""
    lock = read_lock(folder / "bundle" / "recipe.lock.yaml").model_copy(update={"chosen": "mixed"})
    (folder / "mixed.lock.yaml").write_text(to_yaml(lock))
    edgekit("build", "--locked", str(folder / "mixed.lock.yaml"), "--out", str(folder / "mixed"))
    answers = read_answers(folder / "mixed")
    assert answers is not None
    return answers


def main() -> None:
    """Prints what each recipe of aimet-onnx loses, and how what it chose compares with the bundle."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("python")
    for name, usual in (("folder", "build/hard-to-quantize"), ("seed", "1"), ("minutes", "5")):
        asked.add_argument(name, nargs="?", default=usual)
    given = asked.parse_args()
    folder = Path(given.folder).resolve() / given.seed
    prepare(folder / "aimet", folder / "train" / "weights.safetensors")
    subprocess.run(
        [given.python, str(HERE / "aimet_alone.py"), str(folder / "aimet"), str(60 * float(given.minutes))], check=True
    )
    told = json.loads((folder / "aimet" / "chosen.json").read_text())
    theirs, answers = np.load(folder / "aimet" / "right.npy"), of_mixed(folder)
    assert len(answers.chosen) == len(theirs) == len(answers.baseline) == JUDGED
    fp32, ours = answers.baseline, answers.chosen
    print(f"{processor()[0]}; {told['name']} of aimet-onnx, {told['seconds']:.0f} s; edgekit's search beside it")
    for name, one, other in (
        ("lost by edgekit", fp32, ours),
        ("lost by aimet-onnx", fp32, theirs),
        ("edgekit below aimet-onnx", theirs, ours),
    ):
        lost, won = int((one & ~other).sum()), int((other & ~one).sum())
        low, high = drop_interval(lost, won, JUDGED)
        print(f"{name:26} {100 * (lost - won) / JUDGED:6.2f} ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
