"""The Python interface: `edgekit.build(recipe)`, and the package of the same name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import edgekit
from edgekit.build.pipeline import Built
from edgekit.recipe import Recipe


def test_a_network_is_built_from_python(
    tiny_onnx: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = Recipe.model_validate(
        {
            "model": str(tiny_onnx()),
            "data": str(photos(classes=3, count=8)),
            "precision": "fp32",
            "prune": "none",
            "preprocessing": {"size": 32, "crop_fraction": 1, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
            "latency": {"runs": 10, "max_seconds": 0.1},
        }
    )
    built = edgekit.build(recipe, tmp_path / "out")
    assert isinstance(built, Built)
    assert built.ok
    assert built.report.chosen == "fp32"
    assert built.report.as_dict()["data"]["images"] == 24
    assert (built.directory / "manifest.json").is_file()
    assert edgekit.build.pipeline.build is not None, "the package's modules are found under the same name"
