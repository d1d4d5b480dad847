"""Which network a build begins with: known by digest before anything heavy is imported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.file_names import readable
from edgekit.models import factory
from edgekit.models.answer import TOLD_NOTHING, Answer
from edgekit.models.external_data import digest_with_weights
from edgekit.models.hub import Tell, silent
from edgekit.models.keras_weights import SUFFIXES as KERAS_SUFFIXES
from edgekit.models.registry import MODELS, ModelEntry, find_model
from edgekit.models.told_input import TIMM, of_whole_numbers, said_by_file, told_input, told_size
from edgekit.models.weights import load_into, load_state, locate, outputs_of, read_weights
from edgekit.recipe import Recipe, Task
from edgekit.size import shown
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
        classes: its outputs, where somebody said; None leaves it to the weights.
        seed: of what is random in it.
        code: what a network from outside is made by: the SHA-256 of a factory's modules, or the version of timm.
        by_timm: whether the weights are timm's own, which timm reads.
        answer: what is told of its input and answers.
        answers_are: "softmax" or "sigmoid" where pictures have shown that the answers are such probabilities already,
            although no operator of the graph says so.
        default_data: the data set its weights were trained on, if edgekit has it.
        task: what its outputs are where nobody says otherwise.
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
    answer: Answer = TOLD_NOTHING
    answers_are: str | None = None
    default_data: str | None = field(default=None, metadata=NOT_IN_KEY)
    task: Task = field(default="classify", metadata=NOT_IN_KEY)
    notes: tuple[str, ...] = field(default=(), metadata=NOT_IN_KEY)

    @property
    def random(self) -> bool:
        """Whether the weights are random, so that accuracy has no meaning."""
        return self.weights is None


WEIGHTS: Final = (".pth", ".pt", ".safetensors", ".ckpt", ".bin", *KERAS_SUFFIXES)


def resolve(recipe: Recipe, tell: Tell = silent) -> Source:
    """Finds the network of a recipe.

    Args:
        tell: hears of weights that are fetched.
    Raises:
        InputError: unknown model, missing file or missing factory.
        UnavailableError: the weights cannot be fetched, or a package is missing.
    """
    recipe = _with_architecture(recipe)
    told = recipe.output
    answer = Answer(recipe.task or "classify", told.name, told.activation, told.layout)
    if recipe.model.endswith(".onnx"):
        return _from_onnx(recipe, answer)
    if recipe.model.startswith(TIMM):
        found = _from_timm(recipe, tell)
    elif ":" in recipe.model:
        found = _from_factory(recipe)
    else:
        found = _from_registry(recipe, tell)
    return replace(found, answer=replace(answer, task=recipe.task or found.task))


def _with_architecture(recipe: Recipe) -> Recipe:
    """The recipe where a file of weights, which was given as the model, is the weights of its architecture.

    Raises:
        InputError: it is not told what network the weights are of; or the file is a program of torch's.
    """
    if recipe.model.endswith(".pt2"):
        what = f"{recipe.model} is a program of torch.export, and to load one can run code that is in it"
        raise InputError(what, "Where you trust it, export it to ONNX: torch.onnx.export.")
    if not recipe.model.endswith(WEIGHTS):
        if recipe.arch is not None:
            raise InputError(f"--arch says what weights are of, and {recipe.model} is no weights file", "Leave it out.")
        return recipe
    if recipe.arch is None:
        raise InputError(
            f"{recipe.model} is a weights file, which does not say what network it is of",
            f"Say it with --arch: {', '.join(MODELS)}, timm:NAME or module:factory.",
        )
    if recipe.weights is not None:
        raise InputError(f"there are two files of weights: {recipe.model} and {recipe.weights}", "Leave --weights out.")
    return recipe.model_copy(update={"model": recipe.arch, "weights": recipe.model, "arch": None})


def _from_registry(recipe: Recipe, tell: Tell) -> Source:
    entry, tag_name = find_model(recipe.model)
    square = (entry.input_size, entry.input_size)
    base = Preprocessing(square, entry.crop_fraction, entry.interpolation, entry.mean, entry.std, "rgb")
    if recipe.weights is not None:
        weights = None if recipe.weights == "random" else Path(recipe.weights)
        return Source(
            kind="registry",
            name=entry.name,
            tag="random" if weights is None else readable(weights.stem),
            weights=weights,
            weights_sha256=None if weights is None else _hash_of(weights),
            origin=entry.name,
            preprocessing=told_input(base, recipe.preprocessing),
            width=recipe.width or 1.0,
            classes=_outputs(entry, recipe.num_classes, weights),
            seed=recipe.seed if weights is None else 0,
            task=entry.task,
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
        preprocessing=told_input(replace(base, crop_fraction=tag.crop_fraction), recipe.preprocessing),
        width=tag.width,
        classes=tag.classes,
        default_data=tag.data,
        task=entry.task,
    )


def _outputs(entry: ModelEntry, told: int | None, weights: Path | None) -> int | None:
    """How many outputs a network gets; None where the weights say it, as those do whose outputs are no classes."""
    if told is None and entry.task == "embed" and weights is not None:
        return None
    return told or entry.outputs


def _check_told(weights: str, given: float | None, own: float, flag: str) -> None:
    if given is not None and given != own:
        raise InputError(
            f"the weights {weights} have {flag} {own}, not {given}",
            "Leave the flag out, or give other --weights (`random` for latency alone).",
        )


def _from_timm(recipe: Recipe, tell: Tell) -> Source:
    from edgekit.models import timm_models

    found = timm_models.find(recipe.model.removeprefix(TIMM))
    if recipe.width is not None:
        raise InputError(f"{recipe.model} has no --width", "Leave the flag out; timm has narrower networks by name.")
    source = Source(
        kind="timm",
        name=found.architecture,
        tag=None,
        weights=None,
        weights_sha256=None,
        origin=recipe.model,
        preprocessing=told_input(found.preprocessing, recipe.preprocessing),
        classes=recipe.num_classes or found.classes,
        code=found.version,
        notes=found.notes,
    )
    own_size, size = found.preprocessing.size, source.preprocessing.size
    if found.fixed_size and size != own_size:
        what = f"{recipe.model} takes images of {shown(own_size)} pixels, not {shown(size)}"
        raise InputError(what, "Leave --size out.")
    if not source.classes and recipe.weights is not None:
        raise InputError(f"{recipe.model} has no classifier of its own", "Give --num-classes.")
    if recipe.weights == "random":
        return replace(source, tag="random", seed=recipe.seed)
    if recipe.weights is not None:
        weights = Path(recipe.weights)
        return replace(source, tag=readable(weights.stem), weights=weights, weights_sha256=_hash_of(weights))
    _check_told(recipe.model, recipe.num_classes, found.classes, "--num-classes")
    file = timm_models.fetch(found, tell)
    return replace(source, tag=found.tag, weights=file.path, weights_sha256=file.sha256, by_timm=True)


def _from_onnx(recipe: Recipe, answer: Answer) -> Source:
    from edgekit.models.graph_input import peek

    path, given = Path(recipe.model), recipe.preprocessing
    digest, found = digest_with_weights(path, _hash_of), peek(path, answer)
    size = told_size(given) or (found.height, found.width)
    if min(size) <= 0:
        raise InputError(f"{path} leaves its input size open", "Give it with --size.")
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    if found.dtype == "uint8":  # it takes the pixels as they are, and scales them itself
        mean, std = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)
    base = Preprocessing(size, 0.875, "bicubic", mean, std, "grey" if found.channels == 1 else "rgb")
    notes: tuple[str, ...] = ()
    if found.dtype == "uint8":
        told, notes = of_whole_numbers(told_input(base, given))
    else:
        base, notes = said_by_file(base, found.properties)
        told = told_input(base, given)
    name, classes = readable(path.stem), recipe.num_classes
    return Source("onnx", name, None, path, digest, "", told, classes=classes, answer=answer, notes=notes)


def _from_factory(recipe: Recipe) -> Source:
    module, _, name = recipe.model.partition(":")
    file = factory.find_module(module)
    weights = None if recipe.weights in (None, "random") else Path(str(recipe.weights))
    base = Preprocessing((224, 224), 0.875, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb")
    return Source(
        kind="factory",
        name=name,
        tag=None if weights is None else readable(weights.stem),
        weights=weights if weights is not None else file if recipe.weights is None else None,
        weights_sha256=None if weights is None else _hash_of(weights),
        origin=recipe.model,
        preprocessing=told_input(base, recipe.preprocessing),
        classes=recipe.num_classes,
        seed=recipe.seed,
        code=factory.code_of(module),
    )


def _hash_of(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"there is no file {path}", "Check the path of --model or --weights.")
    return ContentIndex().sha256(path)


def make_network(source: Source, tell: Callable[[str], None] = lambda line: None) -> nn.Module:
    """The torch network of a source, in evaluation mode; an ONNX graph is turned into one.

    Args:
        tell: hears of tensors of the weights that the network has no place for.
    Raises:
        InputError: the weights do not fit, the factory is not there or gives no module, or the graph has operators that
            no torch network is made of.
    """
    import torch

    if source.kind == "onnx":
        from edgekit.models.activation import with_logits
        from edgekit.models.canonical import canonical
        from edgekit.models.from_onnx import to_torch

        assert source.weights is not None  # the file itself
        model = canonical(source.weights, source.answer, source.preprocessing.size).model
        if source.answers_are is not None:
            model = with_logits(model, source.answers_are)
        return to_torch(model, source.preprocessing.size, checked=True).eval()
    torch.manual_seed(source.seed)
    if source.kind == "registry":
        return _registered(source, tell).eval()
    if source.kind == "timm":
        from edgekit.models import timm_models

        name = source.origin.removeprefix(TIMM)
        return timm_models.make(name, source.classes or 0, source.weights, source.by_timm).eval()
    network = factory.make(source.origin)
    if source.weights_sha256 is not None and source.weights is not None:
        network = load_into(network, source.weights)
    _answer_with_one(network, source)
    return network.eval()


def _answer_with_one(network: nn.Module, source: Source) -> None:
    from edgekit.models.export import export_torch
    from edgekit.models.torch_outputs import answer_with_one

    size = source.preprocessing.size
    answer_with_one(network, size, source.answer, lambda made, names: export_torch(made, size, names))


def _registered(source: Source, tell: Callable[[str], None]) -> nn.Module:
    from edgekit.models import create

    state = None if source.weights is None else read_weights(source.weights)
    outputs = source.classes or (None if state is None else outputs_of(state)) or MODELS[source.name].outputs
    network = create(source.name, num_classes=outputs, width=source.width or 1.0)
    if state is not None and source.weights is not None:
        network = load_state(network, state, source.weights, tell)
    return network
