"""Members of an ensemble: which networks are meant, and what each is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.build.ensemble import labels, members_of, recipe_of
from edgekit.errors import InputError
from edgekit.recipe import PreprocessingRecipe, Recipe

TOLD = PreprocessingRecipe(size=75, crop_fraction=1.0)
MAIN = Recipe(model="inception_v4", weights="a.pth", width=0.25, num_classes=24, preprocessing=TOLD, images=7)


def test_members_are_separated_by_commas() -> None:
    assert members_of("a, b.tag ,x=y") == ("a", "b.tag", "x=y")
    for told in ("", "a,", "a,,b"):
        with pytest.raises(InputError, match="empty member"):
            members_of(told)


def test_flags_hold_for_what_has_no_settings_of_its_own(tmp_path: Path) -> None:
    for item in ("inception_resnet_v2.signs", str(tmp_path)):
        told = recipe_of(item, MAIN)
        assert (told.model, told.weights, told.width, told.num_classes) == (item, None, None, None)
        assert told.preprocessing == PreprocessingRecipe()
    onnx = recipe_of("net.onnx", MAIN)
    assert (onnx.model, onnx.weights, onnx.width, onnx.preprocessing) == ("net.onnx", None, None, TOLD)
    given = recipe_of("inception_resnet_v1=b/c=d.safetensors", MAIN)
    assert (given.model, given.weights) == ("inception_resnet_v1", "b/c=d.safetensors")
    assert (given.width, given.num_classes, given.preprocessing) == (0.25, 24, TOLD)


def test_a_path_may_have_an_equals_sign(tmp_path: Path) -> None:
    path = tmp_path / "width=1.onnx"
    path.write_bytes(b"")
    assert recipe_of(str(path), MAIN).model == str(path)
    missing = str(tmp_path / "width=2.onnx")
    assert recipe_of(missing, MAIN).model == missing


def test_labels_leave_folders_out_where_they_can(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.onnx").write_bytes(b"")
    first, second = (str(tmp_path / folder / "net.onnx") for folder in ("x", "y"))
    main = Recipe(model="inception_v4")
    assert labels(main, [first, "inception_v4=w/b.pth"]) == ("inception_v4", "net.onnx", "inception_v4=b.pth")
    assert labels(main, [first, second]) == ("inception_v4", first, second)
    assert labels(MAIN, ["inception_v4=b/a.pth"]) == ("inception_v4=a.pth", "inception_v4=b/a.pth")
