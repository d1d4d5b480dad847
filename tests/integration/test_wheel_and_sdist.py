"""The wheel and the source archive: all is inside, they are the same wherever built, and they work elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import edgekit

TOP = Path(__file__).resolve().parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
SHIPPED = ("recipes", "calibration")
"""Folders beside the package that are put inside it."""

pytestmark = pytest.mark.slow


def tracked() -> list[str]:
    """The files that Git knows, by their paths from the top."""
    if shutil.which("git") is None or not (TOP / ".git").exists():
        pytest.skip("this is no checkout of Git's, which knows what belongs to the project")
    told = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True).stdout
    # What was removed since and not yet committed is in no archive.
    return [name for name in told.split("\0") if name and (TOP / name).is_file()]


def plain(**more: str) -> dict[str, str]:
    """The environment without what tells Python where this checkout is."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


def copied(names: list[str], to: Path, umask: int) -> Path:
    """The project's files in another folder, made in another order, at other times, and with other rights."""
    dice, before = random.Random(umask), os.umask(umask)
    try:
        for name in dice.sample(names, len(names)):
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((TOP / name).read_bytes())
            if os.access(TOP / name, os.X_OK):
                target.chmod(0o777 & ~umask)
            os.utime(target, (dice.randrange(10**9, 2**31),) * 2)  # zip archives know nothing before 1980
    finally:
        os.umask(before)
    return to


def built(source: Path, out: Path, umask: int = 0o022, **environment: str) -> dict[str, Path]:
    """Both archives of a folder of sources, by kind; as `make dist` builds them."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(out)]
    done = subprocess.run(
        command, cwd=source, env=plain(**environment), umask=umask, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return {"wheel": wheel, "sdist": sdist}


def hashes(archives: Mapping[str, Path]) -> dict[str, str]:
    return {kind: hashlib.sha256(path.read_bytes()).hexdigest() for kind, path in archives.items()}


def unpacked(sdist: Path, to: Path) -> Path:
    """The one folder that is in a source archive."""
    with tarfile.open(sdist) as archive:
        archive.extractall(to, filter="data")
    (folder,) = to.iterdir()
    return folder


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("archives")
    return built(copied(tracked(), folder / "source", 0o022), folder / "dist")


def test_another_folder_time_and_user_give_the_same_bytes(archives: dict[str, Path], tmp_path: Path) -> None:
    other = copied(tracked(), tmp_path / "another place", 0o077)
    surroundings = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "HOME": str(tmp_path), "PYTHONHASHSEED": "7"}
    assert hashes(built(other, tmp_path / "dist", 0o077, **surroundings)) == hashes(archives)


def test_the_source_archive_gives_the_same_again(archives: dict[str, Path], tmp_path: Path) -> None:
    source = unpacked(archives["sdist"], tmp_path / "unpacked")
    assert hashes(built(source, tmp_path / "dist")) == hashes(archives)


def test_the_source_archive_is_the_whole_project(archives: dict[str, Path]) -> None:
    with tarfile.open(archives["sdist"]) as archive:
        inside = {name.partition("/")[2]: archive.getmember(name).mode for name in archive.getnames()}
    assert set(inside) - set(tracked()) == {"PKG-INFO"}
    assert set(tracked()) - set(inside) == set()
    runnable = {name for name in tracked() if os.access(TOP / name, os.X_OK)}
    assert {name for name, mode in inside.items() if mode & 0o111} == runnable


def test_the_wheel_has_all_of_the_package(archives: dict[str, Path]) -> None:
    assert archives["wheel"].name == f"inception_edgekit-{edgekit.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(archives["wheel"]) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        told = {name.rpartition("/")[2] for name in archive.namelist() if ".dist-info/" in name}
        for name in inside:
            source = TOP / name.replace("edgekit/_shipped/", "")
            assert archive.read(name) == source.read_bytes(), name
    wanted = {name for name in tracked() if name.startswith("edgekit/")}
    wanted |= {f"edgekit/_shipped/{name}" for name in tracked() if name.split("/")[0] in SHIPPED}
    assert inside == wanted
    assert {"METADATA", "RECORD", "WHEEL", "LICENSE", "entry_points.txt"} == told


@dataclass(frozen=True)
class Installed:
    """edgekit in a place of its own, its dependencies those of this Python; a user with an empty home runs it."""

    command: list[str]
    environment: Mapping[str, str]
    site: Path
    folder: Path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """The command, which must end well."""
        return self.process(*self.command, *map(str, arguments))

    def process(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=500, env=self.environment, cwd=self.folder, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def installed(kind: str, archive: Path, folder: Path) -> Installed:
    """A wheel in a virtual environment; a source archive, which pip builds, in a folder."""
    home, work = folder / "home", folder / "work"
    for each in (home, work):
        each.mkdir()
    if kind == "wheel":
        venv.create(folder / "fresh", symlinks=True)
        python = folder / "fresh" / "bin" / "python"
        where = ["--python", str(python), "install", "--no-deps"]
        (site,) = (folder / "fresh" / "lib").glob("python*/site-packages")
        command = [str(python.with_name("edgekit"))]
    else:
        python, site = Path(sys.executable), folder / "target"
        where = ["install", "--no-deps", "--no-build-isolation", "--target", str(site)]
        command = [str(python), "-m", "edgekit"]
    subprocess.run([*PIP, *where, str(archive)], check=True, timeout=300, env=plain())
    # Folders of PYTHONPATH have no .pth files that count: this checkout, installed to be edited, is not found.
    behind = os.pathsep.join([str(site), *(path for path in sys.path if path.endswith("site-packages"))])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": behind, "HOME": str(home)}
    return Installed(command, environment, site, work)


@pytest.fixture(params=["wheel", "sdist"])
def place(request: pytest.FixtureRequest, archives: dict[str, Path], tmp_path: Path) -> Installed:
    return installed(request.param, archives[request.param], tmp_path)


def test_it_works_away_from_the_checkout(place: Installed) -> None:
    """The embedded network with the shipped calibration set, and what a device gets."""
    assert place.run("--version").stdout == f"edgekit {edgekit.__version__}\n"
    assert "jetson" in place.run("targets").stdout
    where = "import edgekit, edgekit.recipe as r; print(edgekit.__file__, r.find_shipped('recipes', 'cpu.yaml'))"
    python = place.command[0] if place.command[0] == sys.executable else str(Path(place.command[0]).with_name("python"))
    for path in place.process(python, "-c", where).stdout.split():
        assert Path(path).is_relative_to(place.site)

    (place.folder / "quick.yaml").write_text("images: 96\nlatency: {runs: 10, max_seconds: 0.1}\n")
    quick = ("--prune", "none", "--recipe", "quick.yaml")
    told = json.loads(place.run("build", "--model", "inception_v4", "--target", "cpu", *quick, "--json").stdout)
    bundle = place.folder / "build" / "inception_v4-cpu"
    assert (told["model"]["tag"], told["calibration"]["images"]) == ("signs", 300)
    place.run("verify", bundle)

    draw = "from edgekit.data.signs import draw; from PIL import Image; Image.fromarray(draw('validation', 0, 200))"
    place.process(python, "-c", f"{draw}.save('sign.png')")
    assert place.run("run", bundle, "sign.png").stdout
    # The device's part: one file, which finds nothing of edgekit beside itself.
    alone = {**place.environment, "PYTHONPATH": place.environment["PYTHONPATH"].partition(os.pathsep)[2]}
    device = Installed([python, str(bundle / "edgekit_runtime.pyz")], alone, place.site, place.folder)
    device.run("verify", bundle)
    assert device.run("classify", bundle, "sign.png").stdout
    opens = f"import sys; sys.path.insert(0, {str(bundle / 'edgekit_runtime.pyz')!r})\n"
    opens += "from edgekit.runtime import Bundle\n"
    opens += f"with Bundle.open({str(bundle)!r}) as bundle, bundle.session() as session:\n"
    opens += "    print(session.logits(['sign.png']).shape)"
    assert device.process(python, "-c", opens).stdout == "(1, 24)\n"
