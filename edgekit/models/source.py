"""Which network a build begins with: known by digest before anything heavy is imported, and exported to ONNX."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError, UnavailableError
from edgekit.models.registry import MODELS, ModelEntry, find_model
from edgekit.models.weights import load_into, locate
from edgekit.recipe import PreprocessingRecipe, Recipe
from edgekit.store import file_sha256

if TYPE_CHECKING:
    from torch import nn

OPSET = 20


@dataclass(frozen=True)
class Source:
    """A network before it is loaded.

    Attributes:
        kind: "registry", "onnx" or "factory".
        name, tag: for people and file names.
        weights: the weights or ONNX file; None for random weights.
        weights_sha256: of that file.
        origin: registry name, ONNX path or module:factory.
        code_sha256: of a factory's module.
        default_data: the data set its weights were trained on, if edgekit has it.
    """

    kind: str
    name: str
    tag: str | None
    weights: Path | None
    weights_sha256: str | None
    origin: str
    preprocessing: Preprocessing
    width: float | None = None
    classes: int | None = None
    seed: int = 0
    code_sha256: str | None = None
    default_data: str | None = None

    @property
    def random(self) -> bool:
        """Whether the weights are random, so that accuracy has no meaning."""
        return self.weights is None

    def identity(self) -> dict[str, Any]:
        """What decides the exported graph: the input of its key in the store."""
        return {
            "kind": self.kind,
            "origin": self.origin if self.kind != "onnx" else None,
            "weights": self.weights_sha256,
            "code": self.code_sha256,
            "width": self.width,
            "classes": self.classes,
            "seed": self.seed if self.random else None,
            "size": self.preprocessing.size,
        }


def resolve(recipe: Recipe) -> Source:
    """Finds the network of a recipe.

    Raises:
        InputError: unknown model, missing file or missing factory.
        UnavailableError: the weights cannot be fetched.
    """
    if recipe.model.endswith(".onnx"):
        return _from_onnx(recipe)
    if ":" in recipe.model:
        return _from_factory(recipe)
    if recipe.model.endswith((".pt2", ".pth", ".pt", ".safetensors")):
        raise InputError(
            f"{recipe.model} is a weights file",
            f"Give it with --weights beside a --model ({', '.join(MODELS)}) or module:factory.",
        )
    return _from_registry(recipe)


def _from_registry(recipe: Recipe) -> Source:
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
            seed=recipe.seed,
        )
    if tag_name is None:
        raise InputError(
            f"{entry.name} has no weights of its own yet", "Give --weights FILE, or `--weights random` for latency."
        )
    tag = entry.tags[tag_name]
    for given, own, flag in ((recipe.width, tag.width, "--width"), (recipe.num_classes, tag.classes, "--num-classes")):
        if given is not None and given != own:
            raise InputError(
                f"the weights {entry.name}.{tag_name} have {flag} {own}, not {given}",
                "Leave the flag out, or give other --weights (`random` for latency alone).",
            )
    path = locate(tag)
    return Source(
        kind="registry",
        name=entry.name,
        tag=tag_name,
        weights=path,
        weights_sha256=file_sha256(path),
        origin=entry.name,
        preprocessing=_told(replace(base, crop_fraction=tag.crop_fraction), recipe.preprocessing),
        width=tag.width,
        classes=tag.classes,
        default_data=tag.data,
    )


def _from_onnx(recipe: Recipe) -> Source:
    path = Path(recipe.model)
    digest = _hash_of(path)
    given = recipe.preprocessing
    size = given.size or _onnx_size(path)
    base = Preprocessing(size, 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb")
    return Source("onnx", path.stem, None, path, digest, str(path), _told(base, given), classes=recipe.num_classes)


def _onnx_size(path: Path) -> int:
    from edgekit.models.onnx_graph import image_input, layout_of, read_onnx

    value = image_input(read_onnx(path))
    dims = [d.dim_value for d in value.type.tensor_type.shape.dim]
    size = dims[2 if layout_of(value) == "NCHW" else 1]
    if size <= 0:
        raise InputError(f"{path} leaves its input size open", "Give it with --size.")
    return int(size)


def _from_factory(recipe: Recipe) -> Source:
    module, _, name = recipe.model.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None:
        raise InputError(f"there is no Python module {module!r}", "It must be importable where edgekit runs.")
    weights = None if recipe.weights in (None, "random") else Path(str(recipe.weights))
    base = Preprocessing(224, 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb")
    return Source(
        kind="factory",
        name=name,
        tag=None if weights is None else weights.stem,
        weights=weights if weights is not None else Path(spec.origin) if recipe.weights is None else None,
        weights_sha256=None if weights is None else _hash_of(weights),
        origin=recipe.model,
        preprocessing=_told(base, recipe.preprocessing),
        classes=recipe.num_classes,
        seed=recipe.seed,
        code_sha256=file_sha256(Path(spec.origin)),
    )


def _hash_of(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no file {path}", "Check the path of --model or --weights.")
    return file_sha256(path)


def _told(base: Preprocessing, told: PreprocessingRecipe) -> Preprocessing:
    return replace(base, **{key: value for key, value in told.model_dump().items() if value is not None})


def make_network(source: Source) -> nn.Module:
    """The torch network of a source, in evaluation mode; an ONNX graph is turned into one.

    Raises:
        InputError: the weights do not fit, the factory is not there or gives no module, or the graph has operators that
            no torch network is made of.
    """
    import torch
    from torch import nn

    if source.kind == "onnx":
        from edgekit.models.from_onnx import to_torch
        from edgekit.models.onnx_graph import read_onnx

        return to_torch(read_onnx(Path(source.origin))).eval()
    torch.manual_seed(source.seed)
    if source.kind == "registry":
        from edgekit.models import create

        network = create(source.name, num_classes=source.classes or 1000, width=source.width or 1.0)
        if source.weights is not None:
            load_into(network, source.weights)
        return network.eval()
    module, _, name = source.origin.partition(":")
    factory = getattr(importlib.import_module(module), name, None)
    if not callable(factory):
        raise InputError(f"{module} has no factory {name!r}", "Give module:factory, a function without arguments.")
    network = factory()
    if not isinstance(network, nn.Module):
        raise InputError(f"{source.origin} gave no torch module", "The factory must return an nn.Module.")
    if source.weights_sha256 is not None and source.weights is not None:
        load_into(network, source.weights)
    return network.eval()


def export(source: Source, path: Path) -> dict[str, Any]:
    """Writes the float32 ONNX graph with batch 1 and tells its facts (see GraphFacts) as a dict.

    Raises:
        InputError: the network cannot be exported or is no image classifier.
    """
    size = source.preprocessing.size
    if source.kind == "onnx":
        import onnx

        from edgekit.models.onnx_graph import facts, read_onnx, with_fixed_input

        model = with_fixed_input(read_onnx(Path(source.origin)), size)
        onnx.save(model, str(path))
        return asdict(facts(model))
    if entry_of(source) is not None and size < 75:
        raise InputError(f"{source.name} takes images from 75x75, not {size}", "Give a larger --size.")
    return export_network(make_network(source), size, path)


def export_network(network: nn.Module, size: int, path: Path) -> dict[str, Any]:
    """Writes the float32 ONNX graph of a torch network with batch 1 and tells its facts as a dict.

    Raises:
        InputError: the network cannot be exported.
    """
    import onnx

    from edgekit.models.onnx_graph import facts

    model = _export_torch(network, size)
    onnx.save(model, str(path))
    return asdict(facts(model))


def _export_torch(network: nn.Module, size: int) -> Any:
    import io
    import logging
    from contextlib import redirect_stderr, redirect_stdout

    import torch

    from edgekit.models.onnx_graph import with_fixed_input

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (torch.zeros(1, 3, size, size),),
                dynamo=True,
                opset_version=OPSET,
                input_names=["input"],
                output_names=["logits"],
                verbose=False,
            )
    except Exception as error:  # whatever the user's network does under export
        raise InputError(f"the network cannot be exported to ONNX: {str(error)[:160]}", "See --debug.") from error
    if program is None:
        raise UnavailableError("torch gave no ONNX program", "Install the cpu extra again.")
    return with_fixed_input(program.model_proto, size)


def entry_of(source: Source) -> ModelEntry | None:
    """The registry entry of a source, if it is of the registry."""
    return MODELS.get(source.name) if source.kind == "registry" else None
