"""edgekit: compresses image classifiers for edge devices, and proves what it cost and what it won."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.pipeline import build

__version__ = "0.1.0"
__all__ = ["__version__", "build"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: `import edgekit.cli` must cost no more than click.
    if name == "build":
        from edgekit.pipeline import build

        return build
    raise AttributeError(f"module 'edgekit' has no attribute {name!r}")
