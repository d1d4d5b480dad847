"""edgekit: compresses image classifiers for edge devices, and proves what it cost and what it won."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "build"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `import edgekit.cli` must cost no more than click.
    if name == "build":
        return importlib.import_module("edgekit.build")
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
