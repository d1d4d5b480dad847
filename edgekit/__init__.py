"""edgekit: compresses image classifiers for edge devices, and proves what it cost and what it won."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"
DISTRIBUTION = "inception-edgekit"
"""What pip calls this project. `edgekit` is somebody else's there; the package and the command are called so here."""

__all__ = ["DISTRIBUTION", "__version__", "build"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `import edgekit.cli` must cost no more than click.
    if name == "build":
        return importlib.import_module("edgekit.build")
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
