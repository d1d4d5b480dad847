"""Weights files: safetensors, torch files read with weights_only=True, Keras files: reading never runs their code."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.errors import InputError, UnavailableError
from edgekit.models import keras_weights
from edgekit.models.hub import Tell, WeightsFile, fetch, silent
from edgekit.models.recognise import looks_like
from edgekit.models.registry import WEIGHTS_DIR, TagEntry
from edgekit.store import ContentIndex

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.models.bypass import Bypass

PRUNED: Final = "edgekit.pruned"
"""In a safetensors file's metadata: its layers are narrower than the architecture's own."""

CLASSIFIER_ON_TOP: Final = "logits."
"""Begins the names of the layer that a face network is trained with and its vectors are taken without."""


def locate(tag: TagEntry, tell: Tell = silent) -> WeightsFile:
    """The file of a tag's weights: in the package, or fetched from the hub into its own cache.

    Args:
        tell: hears of a fetch.
    Raises:
        UnavailableError: the hub cannot be reached, or the file is not what it should be.
    """
    if tag.source.startswith("hub:"):
        return fetch(tag.source.removeprefix("hub:"), tag.revision, tag.sha256, tell)
    path = WEIGHTS_DIR / tag.source
    if not path.is_file():
        raise UnavailableError(f"the weights {path.name} are not in this installation", "Install edgekit again.")
    return WeightsFile(path, ContentIndex().sha256(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors, torch or Keras file, floating point as float32.

    Raises:
        UnavailableError: the package that reads it is not installed.
        InputError: missing, unreadable, not a state dict, or with values that are not finite.
    """
    import torch

    if not path.is_file():
        raise InputError(f"there is no weights file {path}", "Give a .safetensors or a torch file.")
    if path.suffix == ".pt2":
        raise InputError(f"{path} is a program of torch.export, no state dict", "Export it to ONNX, or save weights.")
    state = _read(path)
    for name in ("state_dict", "model", "average"):
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict", "Save model.state_dict().")
    odd = next((key for key, value in state.items() if not _is_plain(value)), None)
    if odd is not None:
        what = f"the weights {path} have a tensor that is no plain array, {odd}"
        raise InputError(what, "Save model.state_dict() of a network on the processor.")
    tensors = {str(key): (v.float() if v.is_floating_point() else v) for key, v in state.items()}
    bad = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise InputError(
            f"the weights {path} have NaN or infinite values in {len(bad)} tensors, first {bad[0]}",
            "The training diverged, or the file is damaged.",
        )
    return tensors


def _read(path: Path) -> object:
    """What a weights file holds: a state dict, one inside other mappings, or something else."""
    if path.suffix.lower() in keras_weights.SUFFIXES:
        return keras_weights.read(path)
    import torch

    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files make torch, pickle and zipfile raise what they like
        if isinstance(error, pickle.UnpicklingError) and "global" in str(error).lower():
            what = f"cannot read the weights {path}: it holds Python objects, and loading those can run code in them"
            raise InputError(what, "Save model.state_dict(), or export the network to ONNX.") from error
        what = f"cannot read the weights {path}: {_why_unread(path, error)}"
        raise InputError(what, "It must be safetensors or a plain torch state dict.") from error


def check_archive(path: Path) -> None:
    """Refuses a torch file that unpacks to more than it is: torch stores tensors as they are, and compresses nothing.

    Raises:
        ValueError: it does.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        unpacked = sum(each.file_size for each in packed.infolist())
    if unpacked > path.stat().st_size:
        raise ValueError(f"it unpacks to {unpacked} bytes, which torch does not write")


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor is an array on the processor whose numbers are all in the file.

    A view can show one number a billion times: it is small in a file, and does not fit into memory once it is copied.
    """
    import torch

    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_complex():
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _why_unread(path: Path, error: Exception) -> str:
    """What is wrong with a file, in words of which torch and safetensors have few."""
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        return "the file is empty"
    if path.suffix != ".safetensors" and not head.startswith(b"PK"):
        return "the file is of another kind, or damaged"
    if path.suffix == ".safetensors" or "central directory" in str(error) or "PytorchStreamReader" in str(error):
        return f"the file is damaged, or was cut short ({str(error)[:100]})"
    return str(error)[:160]


def load_into(network: nn.Module, path: Path) -> nn.Module:
    """Loads a weights file into a network, every name and shape the same; see `load_state`.

    Raises:
        InputError: the file is of another architecture, width or number of classes.
    """
    return load_state(network, read_weights(path), path)


def load_state(
    network: nn.Module, given: dict[str, Tensor], path: Path, tell: Callable[[str], None] = lambda line: None
) -> nn.Module:
    """The network with what `read_weights` read, every name and shape the same; it is changed in place, save where the
    file lacks branches that the network itself adds, and no module in it: then it is another one.

    A classifier on top of a network that ends in a vector is left out.

    Args:
        path: of the file, which errors name.
        tell: hears of tensors that are left out.
    Raises:
        InputError: the file is of another architecture, width or number of classes.
    """
    wanted = network.state_dict()
    if outputs_of(wanted) is not None and (on_top := [key for key in given if key.startswith(CLASSIFIER_ON_TOP)]):
        given = {key: value for key, value in given.items() if key not in on_top}
        tell(f"the weights {path.name} have a classifier on top, which is not used: {', '.join(on_top)}")
    if is_pruned(path):
        from edgekit.models.bypass import bypassed

        network = bypassed(network, removed_branches(path))
        resize(network, given)
        wanted = network.state_dict()
    missing, unexpected = _unlike(wanted, given), _unlike(given, wanted)
    if missing or unexpected:
        alike = looks_like(given)
        counted = [_some(keys, what) for keys, what in ((missing, "missing"), (unexpected, "unexpected")) if keys]
        raise InputError(
            f"the weights {path} are of another architecture: {', '.join(counted)}",
            f"They look like {alike}." if alike else "Give the --model that they were trained for.",
        )
    shapes = [key for key in given if key in wanted and given[key].shape != wanted[key].shape]
    if shapes:
        alike = looks_like(given)
        raise InputError(
            f"the weights {path} are of another width or number of classes: {len(shapes)} shapes differ, first"
            f" {shapes[0]} {tuple(given[shapes[0]].shape)} against {tuple(wanted[shapes[0]].shape)}",
            (f"They look like {alike}. " if alike else "") + "Give the matching --width and --num-classes.",
        )
    network.load_state_dict(given, strict=False)
    return network


def outputs_of(state: Mapping[str, Tensor]) -> int | None:
    """Numbers in the vector that a network makes, by its state dict; None where it does not end in a bottleneck with a
    batch norm.
    """
    ends = "last_bn.weight" in state and "last_linear.weight" in state
    return int(state["last_linear.weight"].shape[0]) if ends and state["last_linear.weight"].ndim == 2 else None


def _unlike(state: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """The names that only `state` has; counters, which older files lack, are left out."""
    return [key for key in state if key not in other and not key.endswith("num_batches_tracked")]


def _some(keys: list[str], what: str) -> str:
    """How many tensors are missing or unexpected, and the first of them by name."""
    named = ", ".join([*keys[:3], *(["..."] if len(keys) > 3 else [])])
    return f"{len(keys)} tensor{'s' if len(keys) > 1 else ''} {what} ({named})"


def write_weights(network: nn.Module, path: Path, pruned: bool = False, removed: Sequence[Bypass] = ()) -> None:
    """Writes a network's state dict as safetensors, floating point in 16 bits where that holds the values.

    Args:
        pruned: says in the file that layers are narrower than the architecture's own.
        removed: branches of the architecture that it lacks.
    """
    from safetensors.torch import save_file

    from edgekit.models.bypass import as_metadata

    plain = {key: _in_16_bits(value).contiguous() for key, value in network.state_dict().items()}
    save_file(plain, path, {PRUNED: "yes", **as_metadata(removed)} if pruned else None)


def _in_16_bits(value: Tensor) -> Tensor:
    """A tensor in FP16; as it is where it has none of floating point, or values beyond what FP16 holds."""
    half = value.half() if value.is_floating_point() else value
    return half if not value.is_floating_point() or bool(half.isfinite().all()) else value


def is_pruned(path: Path) -> bool:
    """Whether a weights file says that its layers are narrower than the architecture's own."""
    return PRUNED in _metadata(path)


def removed_branches(path: Path) -> Sequence[Bypass]:
    """The branches that a weights file says that its network lacks.

    Raises:
        InputError: it says so in another way.
    """
    from edgekit.models.bypass import from_metadata

    return from_metadata(_metadata(path), path)


def _metadata(path: Path) -> Mapping[str, str]:
    if path.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(path, "np") as file:  # torch is not needed to read what it says
        return file.metadata() or {}


def resize(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Gives the network's layers the tensors of `state` and the channel counts of their shapes, in place.

    Names that the network has not got, and layers of a kind that has no channels, are left alone.
    """
    import torch
    from torch import nn

    modules = dict(network.named_modules())
    for key, value in state.items():
        path, _, name = key.rpartition(".")
        module: Any = modules.get(path)
        if not isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d | nn.BatchNorm1d) or not hasattr(module, name):
            continue
        held = value.clone(memory_format=torch.preserve_format)
        if isinstance(getattr(module, name), nn.Parameter):
            setattr(module, name, nn.Parameter(held))
        else:
            setattr(module, name, held)
        if name == "weight":
            _tell_sizes(module)


def _tell_sizes(module: Any) -> None:
    """Makes a layer's attributes say what its weight is."""
    from torch import nn

    shape = module.weight.shape
    if isinstance(module, nn.Conv2d):
        if module.groups > 1:  # only whole groups are removed
            module.groups = module.groups * shape[0] // module.out_channels
        module.out_channels, module.in_channels = shape[0], shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape
    else:
        module.num_features = shape[0]
