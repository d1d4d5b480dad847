"""Weights files: safetensors, or torch files read with weights_only=True, so that reading never runs code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError, UnavailableError
from edgekit.models.registry import WEIGHTS_DIR, TagEntry

if TYPE_CHECKING:
    from torch import Tensor, nn


def locate(tag: TagEntry) -> Path:
    """The file of a tag's weights: in the package, or fetched from the hub into its own cache.

    Raises:
        UnavailableError: the hub cannot be reached.
    """
    if not tag.source.startswith("hub:"):
        path = WEIGHTS_DIR / tag.source
        if not path.is_file():
            raise UnavailableError(f"the weights {path.name} are not in this installation", "Install edgekit again.")
        return path
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(tag.source.removeprefix("hub:"), "model.safetensors"))
    except Exception as error:  # the hub's errors have no common ancestor
        raise UnavailableError(
            f"cannot fetch the weights {tag.source}: {error}", "Give a file with --weights, or set HF_ENDPOINT."
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors or torch file, floating point as float32.

    Raises:
        InputError: missing, unreadable, not a state dict, or with values that are not finite.
    """
    import torch

    if not path.is_file():
        raise InputError(f"there is no weights file {path}", "Give a .safetensors or a torch file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: object = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"cannot read the weights {path}: {str(error)[:160]}", "It must be safetensors or a plain torch state dict."
        ) from error
    for name in ("state_dict", "model", "average"):
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"{path} holds no state dict", "Save model.state_dict().")
    tensors = {str(key): (v.float() if v.is_floating_point() else v) for key, v in state.items()}
    bad = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise InputError(
            f"the weights {path} have NaN or infinite values in {len(bad)} tensors, first {bad[0]}",
            "The training diverged, or the file is damaged.",
        )
    return tensors


def load_into(network: nn.Module, path: Path) -> None:
    """Loads a weights file into a network, every name and shape the same.

    Raises:
        InputError: the file is of another architecture, width or number of classes.
    """
    given = read_weights(path)
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in given and not key.endswith("num_batches_tracked")]
    unknown = [key for key in given if key not in wanted]
    if missing or unknown:
        raise InputError(
            f"the weights {path} are of another architecture: {len(missing)} tensors missing, {len(unknown)} unknown"
            f" (first: {(missing + unknown)[0]})",
            "Give the --model that they were trained for.",
        )
    shapes = [key for key in given if given[key].shape != wanted[key].shape]
    if shapes:
        raise InputError(
            f"the weights {path} are of another width or number of classes: {len(shapes)} shapes differ, first"
            f" {shapes[0]} {tuple(given[shapes[0]].shape)} against {tuple(wanted[shapes[0]].shape)}",
            "Give the matching --width and --num-classes.",
        )
    network.load_state_dict(given, strict=False)


def write_weights(network: nn.Module, path: Path) -> None:
    """Writes a network's state dict as safetensors, floating point in 16 bits."""
    import torch
    from safetensors.torch import save_file

    state = network.state_dict()
    save_file({k: (v.to(torch.float16) if v.is_floating_point() else v).contiguous() for k, v in state.items()}, path)
