"""The public face network: vectors of length one, as many numbers as its weights say, and what lies on top of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_inception_v4 import macs

from edgekit.errors import InputError
from edgekit.models import create
from edgekit.models.inception_resnet_face import InceptionResNetV1Face
from edgekit.models.recognise import Likeness, looks_like
from edgekit.models.registry import MODELS
from edgekit.models.source import make_network, resolve
from edgekit.recipe import PreprocessingRecipe, Recipe

NAME = "inception_resnet_v1_face"


def narrow(numbers: int, seed: int = 0) -> InceptionResNetV1Face:
    torch.manual_seed(seed)
    network = InceptionResNetV1Face(numbers, 0.1).eval()
    network.last_bn.running_mean.uniform_(-1, 1)
    return network


def saved(network: torch.nn.Module, path: Path, **more: torch.Tensor) -> Path:
    save_file({**network.state_dict(), **{key.replace("__", "."): value for key, value in more.items()}}, path)
    return path


def test_parameters_and_macs_at_width_one() -> None:
    with torch.device("meta"):
        network = create(NAME, num_classes=512)
        entry = MODELS[NAME]
        assert entry.outputs == network.last_linear.out_features == 512
        assert sum(p.numel() for p in network.parameters()) == 23_482_624 == entry.params
        assert round(macs(network, 160) / 1e9, 3) == 1.418 == entry.gmacs


@pytest.mark.parametrize("numbers", [128, 512])
def test_vectors_have_length_one(numbers: int) -> None:
    with torch.inference_mode():
        made = narrow(numbers)(torch.rand(2, 3, 75, 91))
    assert made.shape == (2, numbers)
    assert torch.allclose(made.norm(dim=1), torch.ones(2), atol=1e-6)


def test_the_last_block_is_neither_scaled_nor_rectified() -> None:
    block = InceptionResNetV1Face(8, 0.1, scale=0.0).eval().block8
    x = torch.randn(1, block.conv2d.out_channels, 3, 3)
    with torch.inference_mode():
        residual = block(x) - x
        block.scale = 0.5
        assert torch.allclose(block(x) - x, residual / 2, atol=1e-6)
    assert float(residual.abs().max()) > 0.01
    assert float((x + residual).min()) < 0


def test_pictures_are_shown_whole_and_as_the_weights_want_them() -> None:
    source = resolve(Recipe(model=NAME, weights="random"))
    how = source.preprocessing
    assert (how.size, how.crop_fraction, how.color, source.task) == ((160, 160), 1.0, "rgb", "embed")
    pixels = np.array([0, 127.5, 255])
    assert (pixels / 255 - how.mean[0]) / how.std[0] == pytest.approx((pixels - 127.5) / 128, abs=1e-12)
    told = resolve(Recipe(model=NAME, weights="random", preprocessing=PreprocessingRecipe(size=182)))
    assert told.preprocessing.size == (182, 182)
    assert resolve(Recipe(model="inception_v4", weights="random")).task == "classify"


def test_the_weights_say_how_many_numbers_a_vector_has(tmp_path: Path) -> None:
    network = narrow(128)
    path = saved(network, tmp_path / "w.safetensors")
    source = resolve(Recipe(model=NAME, weights=str(path), width=0.1))
    assert source.classes is None
    made = make_network(source)
    picture = torch.rand(1, 3, 80, 80)
    with torch.inference_mode():
        assert torch.equal(made(picture), network(picture))
    with pytest.raises(InputError, match="5 shapes differ, first last_"):
        make_network(resolve(Recipe(model=NAME, weights=str(path), width=0.1, num_classes=512)))
    assert make_network(resolve(Recipe(model=NAME, weights="random", width=0.1))).last_linear.out_features == 512
    told = resolve(Recipe(model=NAME, weights="random", width=0.1, num_classes=64))
    assert make_network(told).last_linear.out_features == 64


def test_a_classifier_on_top_is_left_out_and_told(tmp_path: Path) -> None:
    top = {"logits__weight": torch.rand(10, 128), "logits__bias": torch.rand(10)}
    path = saved(narrow(128), tmp_path / "w.safetensors", **top)
    told: list[str] = []
    made = make_network(resolve(Recipe(model=NAME, weights=str(path), width=0.1)), told.append)
    assert made.last_linear.out_features == 128
    assert told == ["the weights w.safetensors have a classifier on top, which is not used: logits.bias, logits.weight"]
    other = saved(narrow(128), tmp_path / "other.safetensors", surprise__weight=torch.rand(2))
    with pytest.raises(InputError, match=r"1 tensor unexpected \(surprise.weight\)"):
        make_network(resolve(Recipe(model=NAME, weights=str(other), width=0.1)))


def test_its_state_dict_is_recognised_with_a_classifier_on_top() -> None:
    with torch.device("meta"):
        state = create(NAME, 128).state_dict()
        top = {"logits.weight": torch.zeros(8631, 128), "logits.bias": torch.zeros(8631)}
    assert looks_like(state) == looks_like(state | top) == Likeness(NAME, 1.0, 128)


def test_it_has_no_weights_of_its_own() -> None:
    with pytest.raises(InputError, match="has no weights of its own yet"):
        resolve(Recipe(model=NAME))
