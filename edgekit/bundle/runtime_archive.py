"""The device runtime as one file, edgekit_runtime.pyz: run by Python as it is, or imported from."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib.resources import files
from typing import Final

NAME: Final = "edgekit_runtime.pyz"
_MAIN: Final = b"import sys\n\nfrom edgekit_runtime.command import main\n\nsys.exit(main())\n"


@cache
def runtime_archive() -> bytes:
    """The same bytes for the same sources: no times in it, and nothing compressed, which differs between zlibs."""
    sources = {file.name: file for file in files("edgekit.runtime").iterdir() if file.name.endswith(".py")}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry("__main__.py"), _MAIN)
        for name in sorted(sources):
            archive.writestr(_entry(f"edgekit_runtime/{name}"), sources[name].read_bytes())
    return made.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.create_system, entry.external_attr = 3, 0o644 << 16
    return entry
