"""Classifiers of timm by name: what timm says of their input and weights, and the networks themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.presets import Preset, of_timm
from edgekit.errors import InputError, UnavailableError, install_hint
from edgekit.models import hub
from edgekit.models.weights import load_into

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TimmModel:
    """What timm says of a model.

    Attributes:
        name: as timm knows it, with or without a tag.
        version: of timm, which decides the network's code.
        classes: of its weights; 0 where they have no classifier.
        fixed_size: whether it takes images of its own size only.
        repository, file: where its weights are on the hub; repository is None where they are not there.
        notes: what the user should know of it.
    """

    name: str
    architecture: str
    tag: str | None
    version: str
    preprocessing: Preprocessing
    classes: int
    fixed_size: bool
    repository: str | None
    file: str
    notes: tuple[str, ...]


def find(name: str) -> TimmModel:
    """What timm says of NAME or NAME.TAG.

    Raises:
        InputError: there is no such model or tag, the nearest are named; or it is no classifier of RGB images.
        UnavailableError: timm, or the torchvision that it needs, cannot be imported.
    """
    timm = _imported()
    config = _config(timm, name)
    channels = config.input_size[0]
    if channels != 3:
        raise InputError(f"timm:{name} takes {config.input_size}, not RGB images", "Choose another.")
    notes: tuple[str, ...] = ()
    told = config.to_dict()
    try:
        preset = of_timm(told)
    except ValueError as error:
        notes = (f"timm:{name} was judged otherwise than edgekit does ({error}); edgekit crops the centre",)
        preset = of_timm({**told, "crop_mode": "center"})
    return TimmModel(
        name=name,
        architecture=name.partition(".")[0],
        tag=config.tag or None,
        version=f"timm {timm.__version__}",
        preprocessing=replace(Preprocessing(), **preset),
        classes=config.num_classes,
        fixed_size=config.fixed_input_size,
        repository=config.hf_hub_id,
        file=config.hf_hub_filename or hub.FILE,
        notes=notes,
    )


def config_of(name: str) -> Preset:
    """What timm says of the input and the weights of NAME or NAME.TAG.

    Raises:
        InputError, UnavailableError: as `find` does.
    """
    told: Preset = _config(_imported(), name).to_dict()
    return told


def fetch(model: TimmModel, tell: hub.Tell) -> hub.WeightsFile:
    """The weights that timm names for a model, from the hub or its cache.

    Raises:
        InputError: it has none there, or none with a classifier.
        UnavailableError: they cannot be fetched.
    """
    if model.repository is None or not model.classes:
        lack = "no weights on the hub" if model.repository is None else "weights without a classifier"
        raise InputError(
            f"timm:{model.name} has {lack}",
            "Give --weights FILE, with --num-classes, or `--weights random` for latency.",
        )
    repository, _, revision = model.repository.partition("@")
    return hub.fetch(repository, revision or None, tell=tell, file=model.file)


def make(name: str, classes: int, weights: Path | None, own: bool) -> nn.Module:
    """A network of timm.

    Args:
        classes: outputs of the classifier.
        weights: None for random ones.
        own: whether they are the ones that timm names: then timm reads them, and converts what needs it.
    Raises:
        InputError: the weights do not fit.
    """
    timm = _imported()
    if weights is None or not own:
        network: nn.Module = timm.create_model(name, num_classes=classes, exportable=True)
        return network if weights is None else load_into(network, weights)
    # For timm, custom_load says that a file is of another library's format; what the hub has under this name is not.
    overlay = {"file": str(weights)} | ({"custom_load": False} if weights.name == hub.FILE else {})
    try:
        made: nn.Module = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, exportable=True)
    except (RuntimeError, KeyError, ValueError) as error:
        raise InputError(
            f"the weights {weights} do not fit timm:{name}: {' '.join(str(error).split())[:200]}",
            "Try another release of timm, or give --weights FILE.",
        ) from error
    return made


def _config(timm: Any, name: str) -> Any:
    """timm's PretrainedCfg of a model."""
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), n=3)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise InputError(f"timm has no model {architecture!r}", f"{hint}timm.list_models() lists them.")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = [each.partition(".")[2] for each in timm.list_pretrained(f"{architecture}.*")]
        raise InputError(f"timm:{name} has no such weights", f"It has: {', '.join(tags) or 'none'}.") from None
    return config or timm.models.PretrainedCfg()


def _imported() -> Any:
    """The package timm.

    Raises:
        UnavailableError: it is not installed, or it or its torchvision is broken.
    """
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name not in ("timm", "torchvision"):
            raise
        raise UnavailableError(
            f"models named timm:NAME need the package {error.name}, which is not installed",
            install_hint("timm"),
        ) from error
    except Exception as error:  # a torchvision that is not of torch's build fails in more than one way
        why, torch, theirs = " ".join(str(error).split())[:160], _version("torch"), _version("torchvision")
        raise UnavailableError(
            f"timm cannot be imported, with torchvision {theirs} beside torch {torch}: {why}",
            f"torch {torch} needs torchvision {_torchvision_for(torch)}, from the index that torch came from.",
        ) from error
    return timm


def _torchvision_for(torch_version: str) -> str:
    """The torchvision of a torch: since 2.0 with 0.15, their minor numbers have kept step."""
    release, _, build = torch_version.partition("+")
    try:
        minor = int(release.split(".")[1])
    except (IndexError, ValueError):
        return "of the same day"
    return f"0.{minor + 15}" + (f" in its {build} build" if build else "")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(none)"
