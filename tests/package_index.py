"""Files of the package index, fetched once into a cache outside of the project: networks that others have trained."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

Package = tuple[str, str, str]
"""What pip is asked for, the file that it brings, and the file's SHA-256."""

CACHE: Final = Path(os.environ.get("EDGEKIT_TEST_PACKAGES", Path(tempfile.gettempdir()) / "edgekit-test-packages"))


def fetched(package: Package, *more: str) -> Path:
    """The file of a package, from the cache where it is there; skips the test where the index has none for us.

    Args:
        more: options of pip's download.
    """
    asked, name, sha256 = package
    path = CACHE / name
    if not path.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        ran = subprocess.run(
            [*command, *more, "--dest", str(CACHE), asked], capture_output=True, text=True, timeout=300, check=False
        )
        if ran.returncode or not path.is_file():
            pytest.skip(f"the package index did not bring {asked}: {ran.stderr.strip()[-200:]}")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    return path


def unpacked(package: Package, *more: str) -> Path:
    """The folder with what is in a package's file, a wheel or a source archive."""
    archive = fetched(package, *more)
    folder = CACHE / f"{archive.name}.d"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            inside = Path(work) / "inside"
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as wheel:
                    wheel.extractall(inside)
            else:
                with tarfile.open(archive) as source:
                    source.extractall(inside, filter="data")
            inside.rename(folder)
    return folder
