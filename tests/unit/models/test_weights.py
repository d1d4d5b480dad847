"""Weights that do not fit: what is said of them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.errors import InputError
from edgekit.models import create
from edgekit.models.recognise import Likeness, looks_like
from edgekit.models.registry import MODELS
from edgekit.models.weights import load_into, read_weights, write_weights


def state_of(name: str, classes: int = 1000, width: float = 1.0) -> dict[str, torch.Tensor]:
    """A state dict that holds nothing: names and shapes."""
    with torch.device("meta"):
        return create(name, classes, width).state_dict()


def refusal(network: nn.Module, path: Path, state: dict[str, torch.Tensor]) -> InputError:
    """How a network refuses a state dict of these names and shapes."""
    save_file({key: torch.zeros(value.shape, dtype=value.dtype) for key, value in state.items()}, path)
    with pytest.raises(InputError) as refused:
        load_into(network, path)
    return refused.value


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("width", [0.125, 0.35])
def test_a_network_is_recognised(name: str, width: float) -> None:
    told = looks_like(state_of(name, 24, width))
    assert told is not None
    assert (told.name, told.classes) == (name, 24)
    assert told.width is not None
    # Channels are multiples of 8: widths that are near each other may be the same network.
    made = state_of(name, 24, told.width)
    assert {key: value.shape for key, value in made.items()} == {
        key: value.shape for key, value in state_of(name, 24, width).items()
    }


def test_a_network_without_counters_or_with_widths_of_its_own() -> None:
    state = state_of("inception_v4", 1001, 0.25)
    older = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert looks_like(older) == Likeness("inception_v4", 0.25, 1001)
    pruned = {**state, "features.4.branch0.0.conv.weight": torch.zeros(5, 40, 1, 1, device="meta")}
    assert looks_like(pruned) == Likeness("inception_v4", None, 1001)
    assert looks_like({"fc.weight": torch.zeros(2, 2)}) is None
    assert looks_like({}) is None


def test_another_architecture_is_named(tmp_path: Path) -> None:
    error = refusal(create("inception_v4", 4, 0.1), tmp_path / "w.safetensors", state_of("inception_resnet_v2", 6, 0.1))
    assert error.what.startswith(f"the weights {tmp_path / 'w.safetensors'} are of another architecture: 747 tensors")
    assert error.what.endswith(
        "747 tensors missing (features.0.conv.weight, features.0.bn.weight, features.0.bn.bias, ...), "
        "1102 tensors unexpected (block8.branch0.bn.bias, block8.branch0.bn.running_mean,"
        " block8.branch0.bn.running_var, ...)"
    )
    assert error.hint.startswith("They look like inception_resnet_v2 at width 0.1")
    assert error.hint.endswith("with 6 classes.")
    assert "\n" not in error.line()


def test_a_few_names_that_differ(tmp_path: Path) -> None:
    state = state_of("inception_v4", 4, 0.1)
    state["fc.weight"] = state.pop("last_linear.weight")
    error = refusal(create("inception_v4", 4, 0.1), tmp_path / "w.safetensors", state)
    assert error.what.endswith("1 tensor missing (last_linear.weight), 1 tensor unexpected (fc.weight)")
    other = refusal(create("inception_v4", 4, 0.1), tmp_path / "w.safetensors", {"fc.weight": torch.zeros(2, 2)})
    assert other.hint == "Give the --model that they were trained for."


def test_another_width_and_the_background_class_of_slim(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    error = refusal(create("inception_v4", 4, 0.25), path, state_of("inception_v4", 6, 0.1))
    assert "another width or number of classes" in error.what
    assert "They look like inception_v4 at width 0.1 with 6 classes" in error.hint
    assert "--width and --num-classes" in error.hint
    error = refusal(create("inception_v4", 1000, 0.1), path, state_of("inception_v4", 1001, 0.1))
    assert "2 shapes differ, first last_linear" in error.what
    assert "with 1001 classes, the first of them TF-slim's background" in error.hint


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize(("kept", "said"), [(0, "the file is empty"), (700, "was cut short"), (-1, "of another kind")])
def test_a_damaged_file_is_named(tmp_path: Path, suffix: str, kept: int, said: str) -> None:
    path, state = tmp_path / f"weights.{suffix}", nn.Linear(40, 30).state_dict()
    if suffix == "pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    path.write_bytes(b"<html>not found</html>" if kept < 0 else path.read_bytes()[:kept])
    with pytest.raises(InputError, match="cannot read the weights") as refused:
        load_into(nn.Linear(40, 30), path)
    assert said in refused.value.what or (suffix == "safetensors" and "cut short" in refused.value.what)


def test_values_beyond_16_bits_are_kept_as_they_are(tmp_path: Path) -> None:
    norm, again = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    norm.running_var[:] = torch.tensor([1e6, 2.0])
    write_weights(norm, tmp_path / "weights.safetensors")
    load_into(again, tmp_path / "weights.safetensors")
    assert torch.equal(again.running_var, norm.running_var)


def test_a_view_that_shows_one_number_a_trillion_times_is_refused(tmp_path: Path) -> None:
    """It is a few hundred bytes in a file, and four terabytes once it is looked through."""
    torch.save({"w": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").stat().st_size < 4096
    with pytest.raises(InputError, match="no plain array, w"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("odd", ["sparse", "complex", "quantized", "meta"])
def test_tensors_that_are_no_plain_arrays_are_refused(tmp_path: Path, odd: str) -> None:
    made = {
        "sparse": lambda: torch.eye(3).to_sparse(),
        "complex": lambda: torch.zeros(2, dtype=torch.complex64),
        "quantized": lambda: torch.quantize_per_tensor(torch.zeros(2), 0.1, 0, torch.qint8),
        "meta": lambda: torch.zeros(2, device="meta"),
    }[odd]()
    torch.save({"w": made}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"no plain array, w|cannot read the weights"):
        read_weights(tmp_path / "w.pth")


def test_a_compressed_archive_is_not_unpacked(tmp_path: Path) -> None:
    """torch stores its tensors as they are; what unpacks to a thousand times its size is made for that."""
    torch.save({"w": torch.zeros(1000, 1000)}, tmp_path / "plain.pth")
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for each in plain.infolist():
            bomb.writestr(each.filename, plain.read(each))
    assert path.stat().st_size < 20_000
    with pytest.raises(InputError, match="unpacks to"):
        read_weights(path)
    assert set(read_weights(tmp_path / "plain.pth")) == {"w"}


def test_a_header_of_2_to_the_60_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")
    with pytest.raises(InputError, match="damaged"):
        read_weights(tmp_path / "w.safetensors")
