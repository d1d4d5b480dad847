"""Container images without a daemon and without a hub: buildah builds them as root, on bases that debootstrap makes."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

SUITE: Final = "bookworm"
"""Its Python is 3.11, as that of the images that the container files name."""

PACKAGES: Final = "python3,python3-venv,python3-pip,ca-certificates"
CERTIFICATES: Final = Path("/etc/ssl/certs")
NOBODY: Final = "54321:54321"
"""No entry of a base's password file has this number."""

ARCHITECTURES: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name: the processor's."""


@cache
def missing(architecture: str | None = None) -> str | None:
    """Why no images can be built here, of another architecture if one is told; None if they can."""
    if os.getuid() != 0:
        return "images are built by root, who may mount what a container sees"
    for tool in ("buildah", "debootstrap", "apt-get"):
        if shutil.which(tool) is None:
            return f"there is no {tool} on this system"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "this machine lets nobody mount anything"
    if architecture is not None and ARCHITECTURES[architecture] != platform.machine():
        registered = Path(f"/proc/sys/fs/binfmt_misc/qemu-{ARCHITECTURES[architecture]}")
        if not registered.is_file() or "flags: " not in (told := registered.read_text()) or "F" not in told:
            return f"the kernel was not told to run programs for {architecture} by qemu (docker/README.md says how)"
    return None


@dataclass(frozen=True)
class Builder:
    """Where images and containers are kept.

    Attributes:
        folder: all of it; nothing is left elsewhere.
        shared: files and folders of this machine that pip reads, seen in builds at the same place.
        driver: of buildah's storage; vfs copies all of an image for each container, and runs everywhere.
    """

    folder: Path
    shared: Mapping[Path, Path] = field(default_factory=dict)
    driver: str = "vfs"

    def buildah(self, *arguments: object, timeout: float = 600, check: bool = True) -> str:
        """What it prints.

        Raises:
            AssertionError: it failed; tells its last words.
        """
        done = subprocess.run(
            [*self._buildah, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout[-1500:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    @property
    def _buildah(self) -> list[str]:
        return ["buildah", "--root", str(self.folder / "images"), "--runroot", str(self.folder / "run"),
                "--storage-driver", self.driver]  # fmt: skip

    def base(self, architecture: str = "amd64") -> str:
        """The name of an image with Debian's Python in it, in the place of python:3.11-slim-bookworm."""
        name, root = f"base-{architecture}", self.folder / f"root-{architecture}"
        command = ["debootstrap", f"--arch={architecture}", "--variant=minbase", f"--include={PACKAGES}", SUITE]
        done = subprocess.run(
            [*command, str(root), _archive()], capture_output=True, text=True, timeout=900, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:]
        (root / "usr/bin/python").symlink_to("python3")
        for each in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            each.unlink()
        container = self.buildah("from", "--arch", architecture, "scratch")
        self.buildah("add", "--quiet", container, root, "/")
        self.buildah("commit", "--quiet", "--rm", container, name)
        shutil.rmtree(root)
        return name

    def built(self, context: Path, file: str, target: str, architecture: str = "amd64", **told: str) -> str:
        """The name of the image of a container file's target.

        Args:
            context: the folder that it is built from; told: its build arguments.
        """
        name = f"{target}-{architecture}"
        mounts = [f"--volume={source}:{seen}:ro" for source, seen in self.shared.items()]
        values = [f"--build-arg={key}={value}" for key, value in told.items()]
        self.buildah(
            *("bud", "--quiet", "--isolation", "chroot", "--network", "host", "--format", "docker", "--pull=never"),
            *("--arch", architecture, *mounts, *values, "--target", target, "--file", context / file, "--tag", name),
            context,
            timeout=1800,
        )
        return name

    def config(self, image: str) -> dict[str, Any]:
        """What an image says of its user, environment and commands."""
        told: dict[str, Any] = json.loads(self.buildah("inspect", "--type", "image", image))["Docker"]["config"]
        return told

    def size_mb(self, image: str) -> float:
        """Of what is in it, uncompressed."""
        with self.container(image) as name:
            mounted = Path(self.buildah("mount", name))
            told = subprocess.run(["du", "-sx", "-B1", str(mounted)], capture_output=True, text=True, check=True)
        return int(told.stdout.split()[0]) / 1e6

    @contextmanager
    def container(self, image: str) -> Iterator[str]:
        """A container of it, removed afterwards."""
        name = self.buildah("from", "--pull=never", image)
        try:
            yield name
        finally:
            self.buildah("rm", name)

    def command(
        self, container: str, entry: Sequence[str], mounts: Mapping[Path, str], user: str | None = NOBODY
    ) -> list[str]:
        """The command that runs something in a container, by a user whom it does not know unless told otherwise."""
        volumes = [f"--volume={source}:{seen}" for source, seen in mounts.items()]
        by = [] if user is None else ["--user", user]
        return [*self._buildah, "run", "--isolation", "chroot", *by, *volumes, container, "--", *entry]

    def run(
        self, image: str, *words: str, mounts: Mapping[Path, str] | None = None, user: str | None = NOBODY
    ) -> subprocess.CompletedProcess[str]:
        """Runs an image as `docker run IMAGE WORDS...` does."""
        config = self.config(image)
        entry = [*(config["Entrypoint"] or ()), *(words or config["Cmd"] or ())]
        with self.container(image) as name:
            command = self.command(name, entry, mounts or {}, user)
            return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)


@contextmanager
def builder(folder: Path) -> Iterator[Builder]:
    """A place for images, emptied at the end."""
    made = Builder(folder, _what_pip_reads(folder), "overlay" if _overlays(folder) else "vfs")
    try:
        yield made
    finally:
        made.buildah("rm", "--all", check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _overlays(folder: Path) -> bool:
    """Whether folders can be laid over others here."""
    parts = [folder / "overlay" / name for name in ("lower", "upper", "work", "seen")]
    for each in parts:
        each.mkdir(parents=True)
    lower, upper, work, seen = map(str, parts)
    told = f"lowerdir={lower},upperdir={upper},workdir={work}"
    can = subprocess.run(["mount", "-t", "overlay", "overlay", "-o", told, seen], capture_output=True, check=False)
    if can.returncode == 0:
        subprocess.run(["umount", seen], check=True)
    return can.returncode == 0


def _archive() -> str:
    """Where this machine's apt finds Debian."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    return next((line.split()[0] for line in told if line.endswith(f" {SUITE}")), "")


def _what_pip_reads(folder: Path) -> dict[Path, Path]:
    """This machine's settings of pip as one file for builds, the folders that they name, and its certificates."""
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    settings, seen = dict[str, str](), dict[Path, Path]()
    for line in told.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        settings[name] = value.strip("'")
        for word in settings[name].split():
            path = Path(urlsplit(word).path if word.startswith("file:") else word)
            if path.is_absolute() and path.exists():
                # A list of packages points at files beside itself.
                path = path.parent if word.startswith("file:") else path
                seen[path] = path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pip.conf").write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
    return {folder / "pip.conf": Path("/etc/pip.conf"), CERTIFICATES: CERTIFICATES, **seen}
