"""Which network a build begins with: known by digest before anything heavy is imported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models import factory
from edgekit.models.hub import Tell, silent
from edgekit.models.registry import MODELS, find_model
from edgekit.models.weights import load_into, locate
from edgekit.recipe import PreprocessingRecipe, Recipe
from edgekit.store import ContentIndex
from edgekit.store.keys import NOT_IN_KEY

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Source:
    """A network before it is loaded. Names, places and how images are prepared decide nothing of it and are in no key.

    Attributes:
        kind: "registry", "onnx", "factory" or "timm".
        name, tag: for people and file names.
        weights: the weights or ONNX file; None for random weights.
        weights_sha256: of that file, with the external data of an ONNX file.
        origin: registry name, module:factory or timm:name; empty for an ONNX file.
        seed: of what is random in it.
        code: what a network from outside is made by: the SHA-256 of a factory's modules, or the version of timm.
        by_timm: whether the weights are timm's own, which timm reads.
        default_data: the data set its weights were trained on, if edgekit has it.
        notes: what the user should know of it.
    """

    kind: str
    name: str = field(metadata=NOT_IN_KEY)
    tag: str | None = field(metadata=NOT_IN_KEY)
    weights: Path | None = field(metadata=NOT_IN_KEY)
    weights_sha256: str | None
    origin: str
    preprocessing: Preprocessing = field(metadata=NOT_IN_KEY)
    width: float | None = None
    classes: int | None = None
    seed: int = 0
    code: str | None = None
    by_timm: bool = False
    default_data: str | None = field(default=None, metadata=NOT_IN_KEY)
    notes: tuple[str, ...] = field(default=(), metadata=NOT_IN_KEY)

    @property
    def random(self) -> bool:
        """Whether the weights are random, so that accuracy has no meaning."""
        return self.weights is None


def resolve(recipe: Recipe, tell: Tell = silent) -> Source:
    """Finds the network of a recipe.

    Args:
        tell: hears of weights that are fetched.
    Raises:
        InputError: unknown model, missing file or missing factory.
        UnavailableError: the weights cannot be fetched, or a package is missing.
    """
    if recipe.model.endswith(".onnx"):
        return _from_onnx(recipe)
    if recipe.model.startswith("timm:"):
        return _from_timm(recipe, tell)
    if ":" in recipe.model:
        return _from_factory(recipe)
    if recipe.model.endswith((".pt2", ".pth", ".pt", ".safetensors")):
        raise InputError(
            f"{recipe.model} is a weights file",
            f"Give it with --weights beside a --model ({', '.join(MODELS)}), timm:NAME or module:factory.",
        )
    return _from_registry(recipe, tell)


def _from_registry(recipe: Recipe, tell: Tell) -> Source:
    entry, tag_name = find_model(recipe.model)
    base = Preprocessing(entry.input_size, 0.875, entry.interpolation, entry.mean, entry.std, "rgb")
    if recipe.weights is not None:
        weights = None if recipe.weights == "random" else Path(recipe.weights)
        return Source(
            kind="registry",
            name=entry.name,
            tag="random" if weights is None else weights.stem,
            weights=weights,
            weights_sha256=None if weights is None else _hash_of(weights),
            origin=entry.name,
            preprocessing=_told(base, recipe.preprocessing),
            width=recipe.width or 1.0,
            classes=recipe.num_classes or 1000,
            seed=recipe.seed if weights is None else 0,
        )
    if tag_name is None:
        raise InputError(
            f"{entry.name} has no weights of its own yet", "Give --weights FILE, or `--weights random` for latency."
        )
    tag = entry.tags[tag_name]
    _check_told(f"{entry.name}.{tag_name}", recipe.width, tag.width, "--width")
    _check_told(f"{entry.name}.{tag_name}", recipe.num_classes, tag.classes, "--num-classes")
    file = locate(tag, tell)
    return Source(
        kind="registry",
        name=entry.name,
        tag=tag_name,
        weights=file.path,
        weights_sha256=file.sha256,
        origin=entry.name,
        preprocessing=_told(replace(base, crop_fraction=tag.crop_fraction), recipe.preprocessing),
        width=tag.width,
        classes=tag.classes,
        default_data=tag.data,
    )


def _check_told(weights: str, given: float | None, own: float, flag: str) -> None:
    if given is not None and given != own:
        raise InputError(
            f"the weights {weights} have {flag} {own}, not {given}",
            "Leave the flag out, or give other --weights (`random` for latency alone).",
        )


def _from_timm(recipe: Recipe, tell: Tell) -> Source:
    from edgekit.models import timm_models

    found = timm_models.find(recipe.model.removeprefix(timm_models.PREFIX))
    if recipe.width is not None:
        raise InputError(f"{recipe.model} has no --width", "Leave the flag out; timm has narrower networks by name.")
    source = Source(
        kind="timm",
        name=found.architecture,
        tag=None,
        weights=None,
        weights_sha256=None,
        origin=recipe.model,
        preprocessing=_told(found.preprocessing, recipe.preprocessing),
        classes=recipe.num_classes or found.classes,
        code=found.version,
        notes=found.notes,
    )
    own_size, size = found.preprocessing.size, source.preprocessing.size
    if found.fixed_size and size != own_size:
        raise InputError(f"{recipe.model} takes images of {own_size}x{own_size}, not {size}", "Leave --size out.")
    if not source.classes and recipe.weights is not None:
        raise InputError(f"{recipe.model} has no classifier of its own", "Give --num-classes.")
    if recipe.weights == "random":
        return replace(source, tag="random", seed=recipe.seed)
    if recipe.weights is not None:
        weights = Path(recipe.weights)
        return replace(source, tag=weights.stem, weights=weights, weights_sha256=_hash_of(weights))
    _check_told(recipe.model, recipe.num_classes, found.classes, "--num-classes")
    file = timm_models.fetch(found, tell)
    return replace(source, tag=found.tag, weights=file.path, weights_sha256=file.sha256, by_timm=True)


def _from_onnx(recipe: Recipe) -> Source:
    path = Path(recipe.model)
    digest = _onnx_digest(path)
    given = recipe.preprocessing
    size = given.size or _onnx_size(path)
    base = Preprocessing(size, 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb")
    return Source("onnx", path.stem, None, path, digest, "", _told(base, given), classes=recipe.num_classes)


def _onnx_digest(path: Path) -> str:
    """Of an ONNX file, and of the files beside it that hold its weights, where it has such."""
    own = _hash_of(path)
    if b"external" not in path.read_bytes() and b"location" not in path.read_bytes():
        return own
    from edgekit.models.external_data import external_files

    others = {each.relative_to(path.parent).as_posix(): _hash_of(each) for each in external_files(path)}
    whole = "".join(f"{name} {digest}\n" for name, digest in sorted(others.items()))
    return hashlib.sha256(f"{own}\n{whole}".encode()).hexdigest() if others else own


def _onnx_size(path: Path) -> int:
    from edgekit.models.onnx_graph import image_input, read_onnx, sides_of

    size = sides_of(image_input(read_onnx(path)))[0]
    if size <= 0:
        raise InputError(f"{path} leaves its input size open", "Give it with --size.")
    return size


def _from_factory(recipe: Recipe) -> Source:
    module, _, name = recipe.model.partition(":")
    file = factory.find_module(module)
    weights = None if recipe.weights in (None, "random") else Path(str(recipe.weights))
    base = Preprocessing(224, 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb")
    return Source(
        kind="factory",
        name=name,
        tag=None if weights is None else weights.stem,
        weights=weights if weights is not None else file if recipe.weights is None else None,
        weights_sha256=None if weights is None else _hash_of(weights),
        origin=recipe.model,
        preprocessing=_told(base, recipe.preprocessing),
        classes=recipe.num_classes,
        seed=recipe.seed,
        code=factory.code_of(module),
    )


def _hash_of(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no file {path}", "Check the path of --model or --weights.")
    return ContentIndex().sha256(path)


def _told(base: Preprocessing, told: PreprocessingRecipe) -> Preprocessing:
    return replace(base, **{key: value for key, value in told.model_dump().items() if value is not None})


def make_network(source: Source) -> nn.Module:
    """The torch network of a source, in evaluation mode; an ONNX graph is turned into one.

    Raises:
        InputError: the weights do not fit, the factory is not there or gives no module, or the graph has operators that
            no torch network is made of.
    """
    import torch

    if source.kind == "onnx":
        from edgekit.models.from_onnx import to_torch
        from edgekit.models.onnx_graph import read_onnx

        assert source.weights is not None  # the file itself
        return to_torch(read_onnx(source.weights), source.preprocessing.size, checked=True)
    torch.manual_seed(source.seed)
    if source.kind == "registry":
        from edgekit.models import create

        network = create(source.name, num_classes=source.classes or 1000, width=source.width or 1.0)
        if source.weights is not None:
            load_into(network, source.weights)
        return network.eval()
    if source.kind == "timm":
        from edgekit.models import timm_models

        name = source.origin.removeprefix(timm_models.PREFIX)
        return timm_models.make(name, source.classes or 0, source.weights, source.by_timm).eval()
    network = factory.make(source.origin)
    if source.weights_sha256 is not None and source.weights is not None:
        load_into(network, source.weights)
    return network.eval()
