"""What an ONNX file says of its images holds where nothing else is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from edgekit.models.source import Source, resolve
from edgekit.recipe import Recipe

ULTRALYTICS = {"task": "classify", "stride": "1", "imgsz": "[32, 32]", "names": "{0: 'a'}"}


def resolved(path: Path, properties: dict[str, str], folder: Path, **told: object) -> Source:
    model = onnx.load(str(path))
    for key, value in properties.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(folder / "net.onnx"))
    return resolve(Recipe.model_validate({"model": str(folder / "net.onnx"), "preprocessing": told}))


def test_what_an_exporter_wrote_is_taken_and_told(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    plain = resolved(tiny_onnx(), {}, tmp_path)
    assert (plain.notes, plain.preprocessing.mean) == ((), (0.485, 0.456, 0.406))
    source = resolved(tiny_onnx(), ULTRALYTICS, tmp_path)
    made = source.preprocessing
    assert (made.crop_fraction, made.interpolation, made.mean, made.std) == (1.0, "bilinear", (0.0,) * 3, (1.0,) * 3)
    assert any("the metadata of the file say how images are prepared" in note for note in source.notes)
    over = resolved(tiny_onnx(), ULTRALYTICS, tmp_path, mean=0.5, resize="letterbox").preprocessing
    assert (over.mean, over.std, over.resize, over.crop_fraction) == ((0.5,) * 3, (1.0,) * 3, "letterbox", 1.0)


@pytest.mark.parametrize(("kind", "color"), [("Bgr8", "bgr"), ("Gray8", "rgb"), ("Rgb8", "rgb")])
def test_a_colour_that_the_graph_contradicts_is_not_taken(
    tiny_onnx: Callable[..., Path], tmp_path: Path, kind: str, color: str
) -> None:
    assert resolved(tiny_onnx(), {"Image.BitmapPixelFormat": kind}, tmp_path).preprocessing.color == color
