"""A user's folder in which the documentation's commands run: small networks, pictures, bundles, keys, devices."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from classifiers import Graph, answers, balanced, patches
from PIL import Image
from ssh_server import Server, keygen

CLASSES = 24
SETS = {"eval": 1, "photos": 2, "more": 3, "train": 4, "val": 5}
"""Folders of pictures, one sub-folder a class, and what they are drawn from."""
PREPROCESSOR = (
    '{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 32, "width": 32},'
    ' "resample": 2, "do_rescale": true, "rescale_factor": 0.00392156862745098, "do_normalize": true,'
    ' "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
)
"""A preprocessor_config.json, as networks on the Hugging Face hub have it."""
QUICK = (
    "data: eval/\nimages: 48\nlabels: {allow_chance: true}\nlatency: {runs: 10, max_seconds: 0.1}\n"
    "preprocessing: {mean: 0, std: 1, crop_fraction: 1}\n"
    "pruning: {images: 64, sensitivity: false}\ntuning: {minutes: 0.1}\n"
)
"""Settings that keep a build short; its network has two convolutions."""


def network(path: Path, size: tuple[int, int] = (32, 32), seed: int = 0) -> Path:
    """Writes a classifier of two convolutions and 24 classes."""
    graph = Graph(size, seed=seed)
    inner = graph.convolution(graph.convolution("x", 3, 16, strides=[4, 4]), 16, 16)
    graph.head(inner, 16, CLASSES)
    return balanced(graph.save(path, (("logits", (1, CLASSES)),)), patches(8, size))


def pictures(folder: Path, seed: int, labeller: Path, most: int = 3) -> None:
    """Writes pictures of coarse patches in the folders of the classes that a network says they are of."""
    drawn = patches(1500, (32, 32), seed)
    counts = dict.fromkeys(range(CLASSES), 0)
    for each in counts:
        (folder / f"class-{each:02}").mkdir(parents=True)
    for place, label in enumerate(answers(labeller, drawn).argmax(1).tolist()):
        if counts[label] < most:
            counts[label] += 1
            Image.fromarray(drawn[place]).save(folder / f"class-{label:02}" / f"{place}.png")


def run(words: list[str]) -> int:
    """Runs a command in this process; the exit code."""
    from edgekit.cli import main

    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


@dataclass
class Sandbox:
    """The folder that every command gets a copy of.

    Attributes:
        folder: the template; home: that of the user, with SSH keys; device: a real sshd, where there is one.
    """

    folder: Path
    home: Path
    device: Server | None = None

    def copy(self, to: Path, size: tuple[int, int] | None) -> Path:
        """A folder for one command, whose networks take images of a size."""
        shutil.copytree(self.folder, to)
        if size is not None:
            for name in ("net.onnx", "model.onnx", "lines.onnx"):
                network(to / name, size)
        return to


def prepare(folder: Path) -> Sandbox:
    """Makes the files and keys; bundles are made by commands, with the networks that are here."""
    work, home = folder / "work", folder / "home"
    work.mkdir(parents=True)
    (home / ".ssh").mkdir(parents=True)
    for seed, name in enumerate(("net", "model", "lines", "shipped", "second", "third", "fourth")):
        network(work / f"{name}.onnx", seed=seed)
    for name, seed in SETS.items():
        pictures(work / name, seed, work / "shipped.onnx")
    first, second, *_ = sorted((work / "val").glob("*/*.png"))
    Image.open(first).save(work / "photo.jpg")
    (work / "blacklist.txt").write_text(f"{first.name}\n{second.name}\n")
    (work / "quick.yaml").write_text(QUICK)
    (work / "recipe.yaml").write_text(f"model: shipped.onnx\n{QUICK}")
    (work / "preprocessor_config.json").write_text(PREPROCESSOR)
    keygen(home / ".ssh" / "id_ed25519")
    (work / "signers").write_text(f"me@example.com {(home / '.ssh' / 'id_ed25519.pub').read_text()}")
    for command in (
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"],
        ["openssl", "pkey", "-in", "key.pem", "-pubout", "-out", "key.pub.pem"],
    ):
        subprocess.run(command, cwd=work, check=True, capture_output=True)
    return Sandbox(work, home)


def bundles() -> None:
    """Builds, in the current folder, the bundles that pages speak of."""
    for name in ("inception_v4-cpu", "inception_v4-jetson", "inception_v4-raspberry-pi-5"):
        told = ["build", "--model", "shipped.onnx", "--recipe", "quick.yaml", "--prune", "none", "--decide", "point"]
        told += ["--target", name.partition("-")[2], "--max-drop", "100", "--out", f"build/{name}", "-q"]
        assert run(told) == 0, name
    for name in ("old", "new", "A", "B", "net"):
        shutil.copytree("build/inception_v4-cpu", f"build/{name}")
    shutil.copy("build/inception_v4-cpu/recipe.lock.yaml", "recipe.lock.yaml")


def saved_devices(device: Server) -> None:
    """Adds the devices that pages speak of: all of them are the one sshd."""
    for name in ("orin", "nano", "orin-2", "orin-3", "pi"):
        url = f"ssh://{device.address}:{device.port}"
        assert run(["device", "add", name, url, "--python", sys.executable]) == 0
