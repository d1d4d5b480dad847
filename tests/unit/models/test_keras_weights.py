"""Weights of the public face network as Keras writes them: what is read, what is refused, and that nothing is run."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgekit.errors import InputError, UnavailableError, install_hint
from edgekit.models import create
from edgekit.models.keras_weights import Wanted, expected, read
from edgekit.models.source import make_network, resolve
from edgekit.models.weights import load_into, read_weights
from edgekit.recipe import Recipe

h5py: Any = pytest.importorskip("h5py")

NUMBERS = 128
WANTED = list(expected())
Values = dict[str, np.ndarray[Any, Any]]


def shape_of(wanted: Wanted) -> tuple[int, ...]:
    return tuple(NUMBERS if size is None else size for size in wanted.array_shape)


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Makes a file with the arrays of the network: zeros that take no room, but for those given.

    Args:
        values: LAYER/WEIGHT and what it holds.
        change: does something to the file before it is closed.
        where: the group of the weights.
        gamma: whether batch norms have a scale.
    """

    def make(
        values: Values | None = None,
        change: Callable[[Any], None] | None = None,
        where: str = "model_weights",
        gamma: bool = False,
    ) -> Path:
        path = tmp_path / "weights.h5"
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = '{"class_name": "Lambda", "function": "not looked at"'
            for each in WANTED:
                layer, _, name = each.array.partition("/")
                if name == "gamma" and not gamma:
                    continue
                # As Keras 2 does: the layer's group, in it one of the same name, in that its weights.
                place = f"{where}/{layer}/{layer}/{name}:0"
                if values and each.array in values:
                    file[place] = values[each.array]
                else:
                    file.create_dataset(place, shape_of(each), np.float32, chunks=True)
            if change is not None:
                change(file)
        return path

    return make


def counted(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) % 8191


def refused(path: Path) -> str:
    with pytest.raises(InputError) as refusal:
        read(path)
    return refusal.value.line()


def test_the_names_are_those_of_the_public_file() -> None:
    arrays = {each.array: each for each in WANTED}
    assert len(arrays) == 602
    assert sum(not name.endswith("/gamma") for name in arrays) == 490
    for array, tensor in {
        "Conv2d_1a_3x3/kernel": "conv2d_1a.conv.weight",
        "Conv2d_3b_1x1_BatchNorm/beta": "conv2d_3b.bn.bias",
        "Block35_1_Branch_0_Conv2d_1x1/kernel": "repeat_1.0.branch0.conv.weight",
        "Block35_5_Branch_2_Conv2d_0c_3x3_BatchNorm/moving_mean": "repeat_1.4.branch2.2.bn.running_mean",
        "Block35_2_Conv2d_1x1/bias": "repeat_1.1.conv2d.bias",
        "Mixed_6a_Branch_0_Conv2d_1a_3x3/kernel": "mixed_6a.branch0.conv.weight",
        "Mixed_6a_Branch_1_Conv2d_1a_3x3/kernel": "mixed_6a.branch1.2.conv.weight",
        "Block17_10_Branch_1_Conv2d_0b_1x7/kernel": "repeat_2.9.branch1.1.conv.weight",
        "Block17_10_Branch_1_Conv2d_0c_7x1_BatchNorm/moving_variance": "repeat_2.9.branch1.2.bn.running_var",
        "Mixed_7a_Branch_0_Conv2d_1a_3x3/kernel": "mixed_7a.branch0.1.conv.weight",
        "Mixed_7a_Branch_2_Conv2d_0b_3x3/kernel": "mixed_7a.branch2.1.conv.weight",
        "Block8_5_Branch_1_Conv2d_0c_3x1/kernel": "repeat_3.4.branch1.2.conv.weight",
        "Block8_6_Branch_1_Conv2d_0b_1x3/kernel": "block8.branch1.1.conv.weight",
        "Block8_6_Conv2d_1x1/kernel": "block8.conv2d.weight",
        "Bottleneck/kernel": "last_linear.weight",
        "Bottleneck_BatchNorm/beta": "last_bn.bias",
    }.items():
        assert arrays[array].tensor == tensor


def test_arrays_become_tensors_with_their_axes_in_order(written: Callable[..., Path]) -> None:
    kernel, bottleneck = counted((1, 7, 128, 128)), counted((1792, NUMBERS))
    values = {
        "Block17_1_Branch_1_Conv2d_0b_1x7/kernel": kernel,
        "Bottleneck/kernel": bottleneck,
        "Block8_6_Conv2d_1x1/bias": counted((1792,)),
        "Bottleneck_BatchNorm/moving_mean": counted((NUMBERS,)).astype(np.float64),
    }
    made = read_weights(written(values))
    assert {key: tuple(value.shape) for key, value in made.items()} == {
        key: tuple(value.shape)
        for key, value in meta(NUMBERS).state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert all(value.dtype == torch.float32 for value in made.values())
    weight = made["repeat_2.0.branch1.1.conv.weight"]
    assert float(weight[3, 5, 0, 6]) == kernel[0, 6, 5, 3]
    assert torch.equal(weight, torch.from_numpy(kernel).permute(3, 2, 0, 1))
    assert torch.equal(made["last_linear.weight"], torch.from_numpy(bottleneck).T)
    assert torch.equal(made["block8.conv2d.bias"], torch.arange(1792).float())
    assert torch.equal(made["last_bn.running_mean"], torch.arange(NUMBERS).float())
    assert torch.equal(made["last_bn.weight"], torch.ones(NUMBERS))


def meta(numbers: int) -> torch.nn.Module:
    with torch.device("meta"):
        return create("inception_resnet_v1_face", numbers)


def test_a_network_gets_them(written: Callable[..., Path]) -> None:
    source = resolve(
        Recipe(model="inception_resnet_v1_face", weights=str(written({"Bottleneck/kernel": counted((1792, NUMBERS))})))
    )
    network = make_network(source)
    assert (source.tag, network.last_linear.out_features) == ("weights", NUMBERS)
    assert float(network.last_linear.weight.detach()[1, 0]) == 1.0
    assert network.conv2d_1a.bn.eps == network.last_bn.eps == 1e-3


def test_a_scale_of_batch_norm_is_used_where_there_is_one(written: Callable[..., Path]) -> None:
    path = written({"Conv2d_1a_3x3_BatchNorm/gamma": np.full(32, 3, np.float32)}, gamma=True)
    made = read(path)
    assert torch.equal(made["conv2d_1a.bn.weight"], torch.full((32,), 3.0))
    assert torch.equal(made["conv2d_2a.bn.weight"], torch.zeros(32))


def test_weights_that_were_saved_alone_and_an_optimizer_beside_them(written: Callable[..., Path]) -> None:
    assert len(read(written(where="/"))) == 602

    def beside(file: Any) -> None:
        file["optimizer_weights/iterations:0"] = 7

    assert len(read(written(change=beside))) == 602


def removed(*names: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        for name in names:
            del file[f"model_weights/{name}"]

    return change


def test_what_is_missing_or_left_over_is_named(written: Callable[..., Path]) -> None:
    said = refused(written(change=removed("Bottleneck", "Block8_6_Conv2d_1x1")))
    assert "are not those of the public face network: 3 arrays missing (" in said
    assert "Block8_6_Conv2d_1x1/bias" in said
    assert "Bottleneck/kernel" in said

    def more(file: Any) -> None:
        file["model_weights/Logits/kernel:0"] = np.zeros((128, 4), np.float32)

    assert refused(written(change=more)).endswith(
        "1 array left over (Logits/kernel). --weights takes the Keras file of inception_resnet_v1_face alone; save"
        " those of other networks as safetensors."
    )


def replaced(name: str, make: Callable[[Any, str], None]) -> Callable[[Any], None]:
    layer, _, weight = name.partition("/")
    place = f"model_weights/{layer}/{layer}/{weight}:0"

    def change(file: Any) -> None:
        del file[place]
        make(file, place)

    return change


@pytest.mark.parametrize(
    ("name", "shape", "kind", "told"),
    [
        ("Conv2d_1a_3x3/kernel", (3, 3, 3, 16), "f4", "have (3, 3, 3, 16) of float32"),
        ("Conv2d_1a_3x3/kernel", (3, 3, 3, 32), "i4", "have (3, 3, 3, 32) of int32"),
        ("Conv2d_1a_3x3/kernel", (), "f4", "have () of float32"),
        ("Bottleneck_BatchNorm/beta", (512,), "f4", "have (512,) of float32"),
        ("Bottleneck/kernel", (1792, 1 << 40), "f4", f"have (1792, {1 << 40}) of float32"),
        ("Conv2d_2a_3x3_BatchNorm/beta", (1 << 45,), "f4", f"have ({1 << 45},) of float32"),
    ],
)
def test_sizes_are_looked_at_before_anything_is_read(
    written: Callable[..., Path], name: str, shape: tuple[int, ...], kind: str, told: str
) -> None:
    def other(file: Any, place: str) -> None:
        file.create_dataset(place, shape, kind, chunks=(1,) * len(shape) or None)

    assert told in refused(written(change=replaced(name, other)))


def test_an_array_of_nothing(written: Callable[..., Path]) -> None:
    def empty(file: Any, place: str) -> None:
        file[place] = h5py.Empty("f4")

    assert "have nothing of float32 at Conv2d_1a_3x3/kernel" in refused(
        written(change=replaced("Conv2d_1a_3x3/kernel", empty))
    )


def soft(file: Any, place: str) -> None:
    file[place] = h5py.SoftLink("/model_weights/Conv2d_2a_3x3/Conv2d_2a_3x3/kernel:0")


def external(file: Any, place: str) -> None:
    file[place] = h5py.ExternalLink("other.h5", "/a")


def stored_outside(file: Any, place: str) -> None:
    size = 3 * 3 * 3 * 32 * 4
    file.create_dataset(place, (3, 3, 3, 32), "f4", external=[("/etc/passwd", 0, size)])


def virtual(file: Any, place: str) -> None:
    layout = h5py.VirtualLayout((3, 3, 3, 32), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "a", (3, 3, 3, 32))
    file.create_virtual_dataset(place, layout)


@pytest.mark.parametrize("make", [soft, external, stored_outside, virtual])
def test_nothing_leads_out_of_the_file(written: Callable[..., Path], make: Callable[[Any, str], None]) -> None:
    said = refused(written(change=replaced("Conv2d_1a_3x3/kernel", make)))
    assert "point to something else at" in said
    assert "Conv2d_1a_3x3" in said


def test_the_group_of_the_weights_may_be_no_link_either(written: Callable[..., Path], tmp_path: Path) -> None:
    inside = written()
    inside.rename(tmp_path / "inside.h5")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["model_weights"] = h5py.ExternalLink("inside.h5", "/model_weights")
    assert "point to something else at /model_weights" in refused(tmp_path / "weights.h5")


def test_a_group_that_holds_itself_ends(written: Callable[..., Path]) -> None:
    def knot(file: Any) -> None:
        group = file["model_weights/Bottleneck"]
        group["again"] = group

    assert "are not a Keras file" in refused(written(change=knot))


def test_an_array_twice_is_refused(written: Callable[..., Path]) -> None:
    def twice(file: Any) -> None:
        file["model_weights/Bottleneck/kernel"] = np.zeros((1792, NUMBERS), np.float32)

    assert "it has Bottleneck/kernel twice" in refused(written(change=twice))


def damaged(path: Path) -> Iterator[bytes]:
    """Of a whole file, bytes that are none, or are cut, or are spoilt where the groups are told."""
    whole = path.read_bytes()
    yield b""
    yield b"not HDF5 at all"
    for share in (0.1, 0.5, 0.9):
        yield whole[: int(len(whole) * share)]
    for start in range(96, len(whole), len(whole) // 12):
        yield whole[:start] + os.urandom(64) + whole[start + 64 :]


def test_a_damaged_file_is_bad_input(written: Callable[..., Path]) -> None:
    path = written()
    for each in list(damaged(path)):
        path.write_bytes(each)
        with contextlib.suppress(InputError):  # some bytes mean nothing to anybody
            read(path)
    path.write_bytes(b"not HDF5 at all")
    assert refused(path).startswith(f"edgekit: error: cannot read the weights {path}: ")


def test_values_that_are_not_finite(written: Callable[..., Path]) -> None:
    path = written({"Bottleneck_BatchNorm/beta": np.full(NUMBERS, np.nan, np.float32)})
    with pytest.raises(InputError, match=r"NaN or infinite values in 1 tensors, first last_bn.bias"):
        read_weights(path)


def test_another_network_refuses_them_and_says_whose_they_are(written: Callable[..., Path]) -> None:
    with pytest.raises(InputError) as refusal:
        load_into(create("inception_v4", 4, 0.1), written())
    assert refusal.value.hint == "They look like inception_resnet_v1_face at width 1.0 with 128 classes."
    with pytest.raises(InputError, match=r"weights.h5 is a weights file"):
        resolve(Recipe(model="weights.h5"))


def test_without_h5py_the_extra_is_named(written: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = written()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UnavailableError) as refusal:
        read_weights(path)
    assert refusal.value.exit_code == 4
    assert refusal.value.line() == (
        f"edgekit: error: the Keras weights {path} need the package h5py, which is not installed."
        f" {install_hint('keras')}"
    )
