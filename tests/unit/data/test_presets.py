"""How others prepare pictures: by name, and from the files that they publish."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.presets import PRESETS, of_timm, preset_named, preset_of_metadata
from edgekit.errors import InputError
from edgekit.models.told_input import told_input, told_size
from edgekit.recipe import PreprocessingRecipe

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def told(**given: Any) -> Preprocessing:
    return told_input(Preprocessing(), PreprocessingRecipe.model_validate(given))


def of_file(folder: Path, content: Any, name: str = "preprocessor_config.json") -> Preprocessing:
    (folder / name).write_text(json.dumps(content))
    return told(preset=str(folder / name))


def close(made: Preprocessing, mean: tuple[float, ...], std: tuple[float, ...]) -> bool:
    return made.mean == pytest.approx(mean) and made.std == pytest.approx(std)


def test_every_preset_is_whole_and_flags_go_over_it() -> None:
    for name in PRESETS:
        made = told(preset=name)
        assert made != Preprocessing()
        assert told(preset=name, color="rgb", mean=0.25).mean == (0.25,) * 3
    keras = told(preset="keras-caffe")
    assert (keras.color, keras.resize, keras.antialias, keras.crop_fraction) == ("bgr", "squash", False, 1.0)
    assert close(keras, (103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,) * 3)
    again = told(preset="keras-caffe", resize="crop")
    assert (again.resize, again.crop_fraction) == ("crop", Preprocessing().crop_fraction)


def test_hugging_faces_squash_of_a_vision_transformer(tmp_path: Path) -> None:
    content = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
        "image_processor_type": "ViTImageProcessor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 224, "width": 224},
    }
    made = of_file(tmp_path, content)
    assert (made.size, made.resize, made.crop_fraction, made.interpolation) == ((224, 224), "squash", 1.0, "bilinear")
    assert close(made, (0.5,) * 3, (0.5,) * 3)
    assert told_size(PreprocessingRecipe(preset=str(tmp_path / "preprocessor_config.json"))) == (224, 224)
    assert told(preset=str(tmp_path)) == made  # the folder of a model


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}},
         ((224, 224), "crop", 0.875)),
        ({"size": 256, "do_center_crop": True, "crop_size": 224}, ((224, 224), "crop", 0.875)),
        ({"size": 224, "do_center_crop": False}, ((224, 224), "squash", 1.0)),
        ({"size": {"height": 64, "width": 128}}, ((64, 128), "squash", 1.0)),
        ({"size": {"shortest_edge": 224}, "crop_pct": 0.875}, ((224, 224), "crop", 0.875)),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.95}, ((384, 384), "squash", 1.0)),
    ],
)  # fmt: skip
def test_hugging_faces_sizes(tmp_path: Path, size: dict[str, Any], wanted: Any) -> None:
    made = of_file(tmp_path, {"do_normalize": True, "image_mean": IMAGENET[0], "image_std": IMAGENET[1], **size})
    assert (made.size, made.resize, made.crop_fraction) == wanted
    assert close(made, *IMAGENET)


def test_hugging_faces_scales_and_orders(tmp_path: Path) -> None:
    base = {"size": {"height": 8, "width": 8}, "do_normalize": False}
    assert close(of_file(tmp_path, {**base, "do_rescale": True}), (0.0,) * 3, (1.0,) * 3)
    assert close(of_file(tmp_path, {**base, "do_rescale": False}), (0.0,) * 3, (1 / 255,) * 3)
    shifted = {**base, "rescale_factor": 1 / 127.5, "rescale_offset": True}
    assert close(of_file(tmp_path, shifted), (0.5,) * 3, (0.5,) * 3)
    assert of_file(tmp_path, {**base, "do_flip_channel_order": True}).color == "bgr"


@pytest.mark.parametrize(
    ("mode", "fraction", "wanted"),
    [("center", 0.9, ("crop", 0.9)), ("squash", 1.0, ("squash", 1.0)), ("border", 1.0, ("letterbox", 1.0))],
)
def test_timms_modes(tmp_path: Path, mode: str, fraction: float, wanted: Any) -> None:
    config = {"input_size": [3, 240, 320], "crop_pct": fraction, "crop_mode": mode, "interpolation": "bicubic",
              "mean": IMAGENET[0], "std": IMAGENET[1]}  # fmt: skip
    made = of_file(tmp_path, {"architecture": "x", "pretrained_cfg": config}, "config.json")
    assert (made.size, made.resize, made.crop_fraction) == ((240, 320), *wanted)
    assert close(made, *IMAGENET)
    if mode == "border":
        assert made.pad_color == (124, 116, 104)


def test_timms_grey_networks_have_one_channel() -> None:
    made = of_timm({"input_size": (1, 32, 32), "crop_pct": 1.0, "mean": (0.5,), "std": (0.5,)})
    assert made["color"] == "grey"


def test_a_file_of_the_recipes_own_keys(tmp_path: Path) -> None:
    (tmp_path / "how.yaml").write_text("size: 48x192\nresize: pad\nmean: 127.5\nstd: [127.5]\nscale: 255\n")
    made = told(preset=str(tmp_path / "how.yaml"), pad_align="center")
    assert (made.size, made.resize, made.pad_align, made.crop_fraction) == ((48, 192), "pad", "center", 1.0)
    assert close(made, (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[1, 2]", "no mapping"),
        ("{", "cannot read"),
        ("sise: 4", "unknown key 'sise'"),
        ('{"do_normalize": true, "image_mean": [0.5]}', "nothing is said of image_std"),
        ('{"do_normalize": false}', "nothing is said of size"),
        ('{"do_normalize": false, "size": {"shortest_edge": 224}}', "nothing is cropped"),
        ('{"do_normalize": false, "size": 224, "resample": 5}', "its resample is 5"),
        ('{"do_normalize": false, "size": 224, "do_resize": false}', "not resized"),
        ('{"pretrained_cfg": {"input_size": [4, 8, 8]}}', "4 channels"),
        ('{"pretrained_cfg": {"input_size": [3, 8, 8], "mean": [0, 0, 0], "std": [1, 1, 1], "crop_mode": "odd"}}',
         "crop mode is odd"),
    ],
)  # fmt: skip
def test_files_that_are_not_understood_are_refused_with_the_reason(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "how.json").write_text(content)
    with pytest.raises(InputError, match=words):
        preset_named(str(tmp_path / "how.json"))


def test_a_name_that_is_none_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="no preprocessing 'caffe'") as caught:
        told(preset="caffe")
    assert "keras-caffe" in caught.value.hint


def test_what_exporters_write_into_onnx_files() -> None:
    yolo = {"author": "Ultralytics", "task": "classify", "stride": "1", "imgsz": "[64, 96]", "names": "{0: 'a'}"}
    made = preset_of_metadata(yolo)
    assert made is not None
    assert (made["size"], made["crop_fraction"], made["mean"]) == ((64, 96), 1.0, (0.0, 0.0, 0.0))
    assert preset_of_metadata({**yolo, "imgsz": "[__import__('os')]"}) is not None
    assert preset_of_metadata({**yolo, "task": "detect"}) is None
    assert preset_of_metadata({}) is None
    windows = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}
    made = preset_of_metadata(windows)
    assert made is not None
    assert (made["color"], made["std"]) == ("bgr", (1 / 255,) * 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"antialias": False, "interpolation": "lanczos"}, "lanczos is always antialiased"),
        ({"resize": "letterbox", "crop_fraction": 0.875}, "shows whole pictures"),
        ({"pad_color": 114}, "--pad-color says nothing"),
        ({"pad_align": "center", "resize": "letterbox"}, "--pad-align says nothing"),
        ({"color": "grey", "mean": [0.1, 0.2, 0.3]}, "three values"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        told(**given)


def test_mean_and_std_of_a_grey_network_are_one_value() -> None:
    assert told(color="grey", mean=0.25, std=0.5).mean == (0.25,)
    usual = told_input(Preprocessing(mean=(0.2, 0.3, 0.4), std=(0.1, 0.2, 0.3)), PreprocessingRecipe(color="grey"))
    assert close(usual, (0.3,), (0.2,))
    assert told_input(Preprocessing(color="grey"), PreprocessingRecipe(color="rgb")).mean == (0.5,) * 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mean": 127.5}, "--scale 255"),
        ({"std": [58.4, 57.1, 57.4]}, "--scale 255"),
        ({"mean": [0.485, 0.456, 0.406], "scale": 255}, "0 to 1 scale"),
        ({"std": 0.5, "scale": 255}, "0 to 1 scale"),
        ({"mean": 1000, "scale": 255}, "not on the 0 to 255 scale"),
        ({"std": 0}, "above 0"),
        ({"mean": float("nan")}, "no numbers"),
    ],
)
def test_mean_and_std_off_the_scale_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PreprocessingRecipe.model_validate(given)


def test_the_scale_of_255_comes_to_the_same() -> None:
    assert close(told(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], scale=255), *IMAGENET)
    assert close(told(mean=0, std=1, scale=255), (0.0,) * 3, (1 / 255,) * 3)
