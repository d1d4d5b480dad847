"""The container images, built and run as docker/README.md says: by users whom the images do not know.

They take minutes and some 10 GB of disk while they are built.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from image_builder import NOBODY, Builder, builder, missing

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(2400)]

TOP: Final = Path(__file__).resolve().parents[2]
FILE: Final = "docker/cpu.Dockerfile"
BUNDLE: Final = "build/inception_v4-cpu"
QUICK: Final = "prune: none\nimages: 96\nlatency: {runs: 30, max_seconds: 5}\n"
SIZES_MB: Final = {"build": 2500, "runtime": 600, "serve": 600}
"""What images may have at most, the base of 316 MB among it; docker/README.md tells what they have."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    if (why := missing()) is not None:
        pytest.skip(why)
    with builder(tmp_path_factory.mktemp("images")) as made:
        yield made


@pytest.fixture(scope="module")
def base(place: Builder) -> str:
    return place.base()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is checked out, and nothing that lies about beside."""
    folder = tmp_path_factory.mktemp("context")
    told = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    for name in filter(None, told.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (TOP / name).is_file():
            shutil.copy2(TOP / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def built(place: Builder, base: str, context: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The image that builds, and the report of a bundle that it has built, which lies in the context afterwards."""
    image = place.built(context, FILE, "build", PYTHON=base)
    work, cache = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("cache")
    (work / "quick.yaml").write_text(QUICK)
    for each in (work, cache):
        os.chown(each, *map(int, NOBODY.split(":")))
    command = ("build", "--model", "inception_v4", "--target", "cpu", "--recipe", "quick.yaml", "--json")
    done = place.run(image, *command, mounts={work: "/work", cache: "/cache"})
    assert done.returncode == 0, done.stderr
    checked = place.run(image, "verify", BUNDLE, mounts={work: "/work", cache: "/cache"})
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert place.size_mb(image) < SIZES_MB["build"]
    shutil.copytree(work / BUNDLE, context / BUNDLE)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    from edgekit.data.signs import draw

    folder = tmp_path_factory.mktemp("pictures")
    folder.chmod(0o755)  # who looks at them is another user than who made them
    for place in range(3):
        Image.fromarray(draw("validation", place, 200)).save(folder / f"{place}.jpg")
    return folder


def test_the_image_that_builds_makes_a_bundle(built: dict[str, Any]) -> None:
    assert built["model"]["tag"] == "signs"
    assert {each["name"] for each in built["variants"]} >= {"fp32", "int8"}


@pytest.fixture(scope="module")
def runtime(place: Builder, base: str, context: Path, built: dict[str, Any]) -> str:
    return place.built(context, FILE, "runtime", PYTHON=base, BUNDLE=BUNDLE)


def test_the_runtime_verifies_and_classifies(place: Builder, runtime: str, pictures: Path) -> None:
    assert place.config(runtime)["User"] == "1000:1000"
    verified = place.run(runtime, user=None)  # what it does by itself
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "golden outputs" in verified.stdout
    classified = place.run(runtime, "classify", "/bundle", "/photos/0.jpg", mounts={pictures: "/photos"})
    assert classified.returncode == 0, classified.stderr
    assert "/photos/0.jpg" in classified.stdout
    health = place.config(runtime)["Healthcheck"]["Test"]
    with place.container(runtime) as name:
        subprocess.run(place.command(name, health[1:], {}), check=True, capture_output=True, timeout=120)
    assert place.size_mb(runtime) < SIZES_MB["runtime"]


def test_a_damaged_bundle_becomes_no_image(place: Builder, base: str, context: Path, runtime: str) -> None:
    shutil.copytree(context / BUNDLE, context / "build" / "damaged")
    with (context / "build" / "damaged" / "model.bin").open("r+b") as file:
        file.write(b"other")
    with pytest.raises(AssertionError, match=r"model\.bin"):
        place.built(context, FILE, "runtime", PYTHON=base, BUNDLE="build/damaged")


def test_the_server_answers(place: Builder, base: str, context: Path, built: dict[str, Any], pictures: Path) -> None:
    image = place.built(context, FILE, "serve", PYTHON=base, BUNDLE=BUNDLE)
    assert place.size_mb(image) < SIZES_MB["serve"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with place.container(image) as name:
        entry = [*place.config(image)["Entrypoint"], "--port", str(port)]
        server = subprocess.Popen(place.command(name, entry, {}), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_for(f"http://127.0.0.1:{port}/healthz", server)
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/classify", (pictures / "0.jpg").read_bytes())
            with urllib.request.urlopen(asked, timeout=60) as answer:
                classes = json.load(answer)["classes"]
        finally:
            server.terminate()
            server.wait(60)
    assert len(classes) >= 1
    assert 0 < classes[0]["probability"] <= 1


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    """Returns when the server answers.

    Raises:
        AssertionError: it ended, or did not answer within two minutes.
    """
    until = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert server.poll() is None, server.stderr and server.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.5)


def test_the_file_for_jetsons_on_a_base_without_tensorrt(
    place: Builder, base: str, context: Path, built: dict[str, Any]
) -> None:
    """Its steps, in the place of NVIDIA's base: what runs there without TensorRT is that a bundle is whole."""
    image = place.built(context, "docker/jetson.Dockerfile", "runtime", PYTHON=base, BASE=base, BUNDLE=BUNDLE)
    checked = place.run(image, "verify", "/bundle", "--no-golden")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    missing_engine = place.run(image)
    assert missing_engine.returncode == 4, missing_engine.stdout + missing_engine.stderr


def test_the_runtime_on_64_bit_arm(place: Builder, context: Path, built: dict[str, Any], pictures: Path) -> None:
    """Emulated. The bundle is one for boards, built in the image for x86-64."""
    if (why := missing("arm64")) is not None:
        pytest.skip(why)
    bundle = context / "build" / "board"
    command = ["--model", "inception_v4", "--target", "raspberry-pi-5", "--recipe", "quick.yaml", "--out", "board"]
    work = context.parent / "board-work"
    work.mkdir()
    os.chown(work, *map(int, NOBODY.split(":")))
    (work / "quick.yaml").write_text(QUICK)
    done = place.run("build-amd64", "build", *command, mounts={work: "/work"})
    assert done.returncode == 0, done.stderr
    shutil.copytree(work / "board", bundle)
    image = place.built(context, FILE, "runtime", "arm64", PYTHON=place.base("arm64"), BUNDLE="build/board")
    told = place.run(image, "verify", "/bundle", user=None)
    assert told.returncode == 0, told.stdout + told.stderr
