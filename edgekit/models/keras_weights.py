"""The public face network's weights as Keras wrote them (HDF5, 2017): read by the names of its layers.

Such a file also holds Python code, marshalled, of the layers that add residuals. Only arrays are read here: neither the
code nor the description of the network is looked at. HDF5 can also point to other files, by links, by arrays kept
elsewhere and by filters that are libraries; all of that is refused, and so is an array of another shape than expected,
before it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from edgekit.errors import InputError, UnavailableError, install_hint

if TYPE_CHECKING:
    import h5py
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

Arrays: TypeAlias = "dict[str, h5py.Dataset]"
"""Arrays of a file by the path of their groups, not read yet."""

SUFFIXES: Final = (".h5", ".hdf5")
MODEL: Final = "inception_resnet_v1_face"

_HINT: Final = f"--weights takes the Keras file of {MODEL} alone; save those of other networks as safetensors."
_WHERE: Final = "model_weights"
"""Group of the weights where a whole model was saved; they lie in the root where they were saved alone."""
_DEEPEST: Final = 6
"""Groups inside each other; Keras makes four of them at most."""
_MOST_ARRAYS: Final = 10_000
_LARGEST_BOTTLENECK: Final = 65_536
_PLUGINS: Final = 256
"""The first number of HDF5's filters that are libraries of others."""

_BLOCKS: Final = {
    "repeat_1": "Block35_{}",
    "mixed_6a": "Mixed_6a",
    "repeat_2": "Block17_{}",
    "mixed_7a": "Mixed_7a",
    "repeat_3": "Block8_{}",
    "block8": "Block8_6",
}
"""Parts of the network and what Keras calls them, with the number of the block."""

_NORM: Final = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_OPTIONAL: Final = "gamma"
"""Scale of a batch norm: 1 where the file has none, as the public one has not."""


@dataclass(frozen=True)
class Wanted:
    """An array of the file that a tensor is made of.

    Attributes:
        array: LAYER/WEIGHT.
        tensor: its name in the state dict.
        shape: of the tensor; None for a size that the file decides.
        order: the array's axes in the order of the tensor's.
    """

    array: str
    tensor: str
    shape: tuple[int | None, ...]
    order: tuple[int, ...]

    @property
    def array_shape(self) -> tuple[int | None, ...]:
        """The shape as the file has it."""
        found: list[int | None] = [None] * len(self.shape)
        for place, axis in enumerate(self.order):
            found[axis] = self.shape[place]
        return tuple(found)


def read(path: Path) -> dict[str, Tensor]:
    """The state dict of the face network that a Keras file holds, float32, with 128 or however many numbers a vector.

    Raises:
        UnavailableError: h5py is not installed.
        InputError: it cannot be read, it points to other files, or its arrays are not exactly those of the network.
    """
    import torch

    h5py = _imported(path)
    wanted = list(expected())
    try:
        with h5py.File(path, "r") as file:
            arrays = _arrays(h5py, file, path)
            _check_names(arrays, wanted, path)
            _check_sizes(arrays, wanted, path)
            read = {each: arrays[each.array][()] for each in wanted if each.array in arrays}
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:  # whatever HDF5 says of a damaged file
        raise InputError(f"cannot read the weights {path}: {str(error)[:160]}", "The file is damaged.") from error
    made = {each.tensor: _tensor(values, each) for each, values in read.items()}
    for each in wanted:
        if each.tensor not in made:
            made[each.tensor] = torch.ones_like(made[each.tensor.removesuffix("weight") + "bias"])
    return made


def expected() -> Iterator[Wanted]:
    """The arrays of the public network's file, in the order of the state dict."""
    import torch

    from edgekit.models import create

    with torch.device("meta"):
        network = create(MODEL)
    modules = dict(network.named_modules())
    for tensor, value in network.state_dict().items():
        module, _, name = tensor.rpartition(".")
        if name == "num_batches_tracked":
            continue
        layer = _layer(module, modules)
        sizes: tuple[int | None, ...] = tuple(value.shape)
        if module.startswith("last_"):
            sizes = (None, *sizes[1:])  # numbers in a vector
        if name in _NORM and (module.endswith("bn")):
            yield Wanted(f"{layer}/{_NORM[name]}", tensor, sizes, (0,))
        elif name == "bias":
            yield Wanted(f"{layer}/bias", tensor, sizes, (0,))
        else:  # Keras has height, width, inputs, outputs
            yield Wanted(f"{layer}/kernel", tensor, sizes, (3, 2, 0, 1) if len(sizes) == 4 else (1, 0))


def _layer(module: str, modules: Mapping[str, nn.Module]) -> str:
    """What Keras calls a layer: Block35_1_Branch_1_Conv2d_0b_3x3 for repeat_1.0.branch1.1.conv."""
    if module == "last_linear":
        return "Bottleneck"
    if module == "last_bn":
        return "Bottleneck_BatchNorm"
    parts = module.split(".")
    norm = "_BatchNorm" if parts[-1] == "bn" else ""
    unit = parts[:-1] if parts[-1] in ("conv", "bn") else parts
    conv: Any = modules[".".join([*unit, "conv"])] if parts[-1] in ("conv", "bn") else modules[module]
    kernel = "x".join(map(str, conv.kernel_size))
    if len(unit) == 1 and unit[0] not in _BLOCKS:  # the stem
        return f"{unit[0].capitalize()}_{kernel}{norm}"
    block = _BLOCKS[unit[0]]
    if "{}" in block:
        block, unit = block.format(int(unit[1]) + 1), unit[1:]
    if unit[1] == "conv2d":
        return f"{block}_Conv2d_{kernel}"
    place = "1a_" if conv.stride[0] > 1 else f"0{'abc'[int(unit[2])]}_" if len(unit) > 2 else ""
    return f"{block}_Branch_{unit[1].removeprefix('branch')}_Conv2d_{place}{kernel}{norm}"


def _imported(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UnavailableError(
            f"the Keras weights {path} need the package h5py, which is not installed",
            install_hint("keras"),
        ) from error
    return h5py


def _arrays(h5py: Any, file: Any, path: Path) -> Arrays:
    """The arrays of a file by LAYER/WEIGHT, none of them read."""
    start = file
    if _WHERE in file:
        _check_link(h5py, file, _WHERE, path)
        start = file[_WHERE]
    found: Arrays = {}
    for steps, array in _walk(h5py, start, path, ()):
        name = f"{steps[0]}/{steps[-1].removesuffix(':0')}"
        if name in found or len(found) >= _MOST_ARRAYS:
            why = f"it has {name} twice" if name in found else f"it has more than {_MOST_ARRAYS} arrays"
            raise InputError(f"the weights {path} are not a Keras file: {why}", _HINT)
        found[name] = array
    return found


def _walk(h5py: Any, group: Any, path: Path, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every array below a group, with the names that lead to it; a group that holds itself ends at a depth."""
    if not isinstance(group, h5py.Group) or len(above) > _DEEPEST:
        raise InputError(f"the weights {path} are not a Keras file: {'/'.join(above) or '/'} is no group", _HINT)
    for name in group:
        _check_link(h5py, group, name, path)
        inside = group[name]
        if isinstance(inside, h5py.Dataset):
            yield (*above, name), inside
        else:
            yield from _walk(h5py, inside, path, (*above, name))


def _check_link(h5py: Any, group: Any, name: str, path: Path) -> None:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise _points_elsewhere(path, f"{group.name.rstrip('/')}/{name}")


def _points_elsewhere(path: Path, name: str) -> InputError:
    return InputError(
        f"the weights {path} point to something else at {name}",
        "Arrays must lie in the file itself; links, outside storage and filters that are plug-ins are not followed.",
    )


def _check_names(arrays: Arrays, wanted: list[Wanted], path: Path) -> None:
    known = {each.array for each in wanted}
    missing = [each.array for each in wanted if each.array not in arrays and not each.array.endswith(_OPTIONAL)]
    left = sorted(set(arrays) - known)
    if missing or left:
        counted = [
            f"{len(names)} array{'s' if len(names) > 1 else ''} {what} ({', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''})"
            for names, what in ((missing, "missing"), (left, "left over"))
            if names
        ]
        raise InputError(f"the weights {path} are not those of the public face network: {', '.join(counted)}", _HINT)


def _check_sizes(arrays: Arrays, wanted: list[Wanted], path: Path) -> None:
    """That every array has the shape and the kind of its tensor, and lies in this file."""
    bottleneck: int | None = None
    for each in wanted:
        if each.array not in arrays:
            continue
        array = arrays[each.array]
        stored = array.id.get_create_plist()
        filters = (stored.get_filter(place)[0] for place in range(stored.get_nfilters()))
        if array.is_virtual or array.external or any(number >= _PLUGINS for number in filters):
            raise _points_elsewhere(path, each.array)
        if None in each.shape and bottleneck is None and len(array.shape or ()) == len(each.shape):
            bottleneck = array.shape[each.order[each.shape.index(None)]]
        shape = tuple(bottleneck if size is None else size for size in each.array_shape)
        told = "nothing" if array.shape is None else tuple(array.shape)
        if told != shape or not 1 <= (bottleneck or 1) <= _LARGEST_BOTTLENECK or array.dtype.kind != "f":
            raise InputError(
                f"the weights {path} have {told} of {array.dtype} at {each.array}, not {shape} of float32", _HINT
            )


def _tensor(values: NDArray[np.floating[Any]], wanted: Wanted) -> Tensor:
    import numpy as np
    import torch

    return torch.from_numpy(np.ascontiguousarray(values.transpose(wanted.order), dtype=np.float32))
