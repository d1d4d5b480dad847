"""The typed recipe of a build: defaults, YAML, and the flags of the command line laid over both."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edgekit.errors import InputError
from edgekit.file_names import briefly
from edgekit.input_recipe import ImageSize, Outputs, Seed, Width
from edgekit.input_recipe import PreprocessingRecipe as PreprocessingRecipe
from edgekit.yaml_files import yaml_file

Precision = Literal["int8", "mixed", "bf16", "fp16", "fp32"]
Ratio = Annotated[float, Field(gt=0, lt=1)]
Task = Literal["classify", "multilabel", "embed"]
Activation = Literal["none", "softmax", "sigmoid"]
Checked = TypeVar("Checked", bound=BaseModel)

Batches = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1024)], ...], AfterValidator(lambda told: tuple(sorted(set(told))))
]
"""How many images at once, the fewest first."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class OutputRecipe(_Part):
    """What is told about what a network answers; what is not told is read off the graph and the pictures."""

    name: str | None = Field(default=None, description="of the output that holds the answers")
    activation: Activation | None = Field(default=None, description="what makes probabilities of the answers")
    layout: Literal["nchw", "nhwc"] | None = Field(default=None, description="of the input, where it cannot be told")


class LabelsRecipe(_Part):
    """How the labels of the images are read."""

    file: str | None = Field(default=None, description="names of the classes: lines, a JSON list or map, or ONNX")
    offset: int = Field(default=0, ge=-1_000_000, le=1_000_000, description="added to every label of --data")
    allow_chance: bool = Field(default=False, description="go on where FP32 is no better than chance")


class CalibrationRecipe(_Part):
    """How the calibration set comes to be: a manifest, or a choice made now."""

    file: str | None = Field(default=None, description="a manifest of `edgekit calibrate`")
    data: str | None = Field(default=None, description="images to choose from: as `data`, labelled or not")
    images: int = Field(default=300, ge=1, description="how many are chosen")
    strategy: Literal["random", "stratified", "coverage"] = Field(
        default="stratified", description="how they are chosen"
    )
    seeds: int = Field(
        default=1, ge=1, description="sets to calibrate with in turn; more than 1 shows how much the drop depends on it"
    )


class PruningRecipe(_Part):
    """How a network is pruned and recovered; how much is `prune` of the recipe."""

    importance: Literal["fisher", "taylor", "magnitude"] | None = Field(
        default=None, description="what channels are worth by; fisher by default, magnitude without images"
    )
    blocks: bool = Field(
        default=False, description="with prune auto and images: whole residual blocks may go, beside channels"
    )
    latency_share: Ratio | None = Field(
        default=None, description="with prune auto: of the unpruned network's latency, what is to be reached"
    )
    train_data: str | None = Field(default=None, description="images to recover with, labelled or not")
    images: int | None = Field(
        default=None, ge=1, description="to train on to win back accuracy; by default what fits into the minutes"
    )
    minutes: float | None = Field(
        default=None,
        ge=0,
        description="ceiling of winning back accuracy, all attempts together; 7 by default, 4.5 where there is but one",
    )
    learning_rate: float = Field(default=0.004, gt=0, description="of that training's convolutions")
    sensitivity: bool = Field(
        default=False,
        description="look at how sensitive blocks are, for the report: it decides nothing, and takes a minute",
    )


class TuningRecipe(_Part):
    """What the budget loop may take to find a mix of precisions within `max_drop`."""

    minutes: float = Field(default=10.0, gt=0, description="of looking; what is under way then is ended first")
    memory_gb: float | None = Field(
        default=None,
        gt=0,
        description="that it may hold; by default 1.4 times what plain quantization took, at least 1.7",
    )


class LatencyRecipe(_Part):
    """How long latency is measured; `runs` is per variant."""

    runs: int = Field(default=200, ge=10, description="of each variant")
    max_seconds: float = Field(
        default=90.0, gt=0, description="for all variants together; their throughputs take no longer than that again"
    )
    wait_idle_s: float | None = Field(
        default=None, ge=0, description="to wait until the machine is quiet, where it is not; null does not wait"
    )


class TensorRtRecipe(_Part):
    """What TensorRT is asked; the defaults are its own."""

    jetpack: str | None = Field(default=None, description="of the Jetson built for; the target's usual one by default")
    compute_capabilities: tuple[str, ...] | None = Field(default=None, description="GPUs that rtx builds for")
    optimization_level: int | None = Field(default=None, ge=0, le=5, description="how hard the builder tries")
    workspace_mb: int | None = Field(default=None, ge=1, description="memory for kernels, in MB")
    batch: Batches = Field(default=(), description="images at once, an optimization profile each; one by default")
    dla: bool = Field(default=False, description="run on the deep-learning accelerator what can")
    dla_core: int = Field(default=0, ge=0, le=3, description="which accelerator, where there are more")


class Recipe(_Part):
    """Everything that decides what a build makes."""

    model: str = Field(
        default="inception_v4",
        description="NAME or NAME.TAG of `edgekit models`, timm:NAME, a .onnx or .pth file, or package.module:factory",
    )
    weights: str | None = Field(
        default=None, description="a safetensors or torch file, or `random`; the tag's own by default"
    )
    arch: str | None = Field(default=None, description="the network that a weights file given as the model is of")
    width: Width | None = Field(default=None, description="channel multiplier of a registry model")
    num_classes: Outputs | None = Field(default=None, description="of a registry model")
    target: str = Field(default="cpu", description="what is built for: a name of `edgekit targets`")
    runtime: str | None = Field(default=None, description="that executes it, of those that the target has")
    precision: Precision = Field(
        default="int8", description="what is built; mixed looks for the fastest network within max_drop"
    )
    prune: Ratio | Literal["auto", "none"] = Field(
        default="auto", description="channels to remove: as many as pay, none, or this share of every layer"
    )
    data: str | None = Field(
        default=None, description="labelled images: `signs`, a folder with one sub-folder a class, or a table"
    )
    images: int | None = Field(default=None, ge=1, description="how many of them, evenly spread; all by default")
    skip_bad_images: bool = Field(default=False, description="leave out unreadable images instead of stopping")
    task: Task | None = Field(
        default=None, description="classes, sets of labels, or vectors to compare by cosine; the model's own by default"
    )
    sizes: tuple[ImageSize, ...] = Field(
        default=(), max_length=16, description="other input sizes to try: what they cost and win is measured"
    )
    output: OutputRecipe = OutputRecipe()
    labels: LabelsRecipe = LabelsRecipe()
    preprocessing: PreprocessingRecipe = PreprocessingRecipe()
    calibration: CalibrationRecipe = CalibrationRecipe()
    pruning: PruningRecipe = PruningRecipe()
    tuning: TuningRecipe = TuningRecipe()
    latency: LatencyRecipe = LatencyRecipe()
    tensorrt: TensorRtRecipe = TensorRtRecipe()
    device: str | None = Field(default=None, description="a saved device, or ssh://user@host")
    license: str | None = Field(default=None, description="of the weights, for the manifest: an SPDX expression")
    sbom: bool = Field(default=False, description="write sbom.json, a CycloneDX bill of materials, into the bundle")
    keep_answers: bool = Field(
        default=True, description="write answers.npz, which images were right, for paired comparisons of builds"
    )
    max_drop: float = Field(
        default=1.0, ge=0, description="points of top-1, of macro average precision or of nearest-neighbour top-1"
    )
    decide: Literal["point", "bound"] = Field(
        default="bound", description="what decides of a budget: the figure itself, or the bound of its 95 % interval"
    )
    strict: bool = Field(default=False, description="a budget that the images cannot decide of is missed")
    min_agreement: float = Field(
        default=97.0, ge=0, le=100, description="percent of images with FP32's answer, where there are no labels"
    )
    threshold: float | None = Field(
        default=None, ge=-1, le=1, description="cosine from which two images are one class; FP32's at 1 % false accepts"
    )
    latency_budget_ms: float | None = Field(default=None, gt=0, description="of the median at batch 1, in ms")
    seed: Seed = Field(default=0, description="of random weights and of the choice of calibration images")


def read_yaml(path: Path, what: str = "recipe") -> dict[str, Any]:
    """A YAML file that holds a mapping, read without running anything in it.

    Args:
        what: it is, for whoever gave another file.
    Raises:
        InputError: the file is missing or is no mapping.
    """
    hint = "`edgekit init` writes a starter." if what == "recipe" else ""
    try:
        read = yaml_file(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the {what} {path}: {error}", hint) from error
    if not isinstance(read, dict):
        raise InputError(f"the {what} {path} is not a mapping of settings", hint)
    return read


def merged(recipe: Mapping[str, Any], flags: Mapping[str, Any]) -> Recipe:
    """A recipe with flags laid over it; flags that are None say nothing, nested mappings are laid over key by key.

    Raises:
        InputError: an unknown key (the nearest known one is named) or a value out of range.
    """
    return checked(Recipe, laid_over(recipe, flags), "recipe")


def checked(model: type[Checked], values: Mapping[str, Any], what: str) -> Checked:
    """Values as a pydantic model.

    Raises:
        InputError: they are none; it names the place, and the nearest key to an unknown one.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = get_close_matches(str(first["loc"][-1]), _keys_beside(model, first["loc"]), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "`edgekit init` writes a recipe with every key."
            raise InputError(f"unknown key {place!r} in the {what}", hint) from None
        raise InputError(
            f"{place!r} in the {what} is wrong: {first['msg']}", f"It was given {briefly(first['input'])}."
        ) from None


def _keys_beside(model: Any, place: tuple[Any, ...]) -> list[str]:
    for part in place[:-1]:
        if isinstance(part, int):  # an item of a list, whose type was looked at already
            continue
        field = model.model_fields.get(part)
        inside = [] if field is None else [field.annotation, *get_args(field.annotation)]
        model = next((each for each in inside if hasattr(each, "model_fields")), None)
        if model is None:
            return []
    return list(model.model_fields)


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others over them: None says nothing, nested mappings are laid over key by key."""
    out = dict(below)
    for key, value in above.items():
        if value is None:
            continue
        under = out.get(key)
        if not isinstance(value, Mapping):
            out[key] = value
        elif under is None or isinstance(under, Mapping):
            out[key] = laid_over(under or {}, value)
        # else it stays, so that whoever checks the whole refuses it: settings were wanted there
    return out


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML that `read_yaml` reads back to the same recipe."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def recipe_path(kind: Literal["training", "study"], told: str) -> Path:
    """A recipe file, or the shipped one of that name.

    Raises:
        InputError: there is neither; the shipped ones are named.
    """
    path = Path(told)
    if path.exists():
        return path
    shipped = find_shipped("recipes", f"{kind}/{told}.yaml")
    if shipped is None:
        known = find_shipped("recipes", f"{kind}/{'paper' if kind == 'training' else 'residual'}.yaml")
        names = sorted(each.stem for each in known.parent.glob("*.yaml")) if known else []
        raise InputError(f"there is no {kind} recipe {told!r}", f"Give a file, or one of: {', '.join(names)}.")
    return shipped


def find_shipped(kind: Literal["recipes", "calibration"], name: str) -> Path | None:
    """A file of the project's recipes/ or calibration/: in the source tree, or inside an installed wheel."""
    package = Path(__file__).resolve().parent
    for root in (package.parent / kind, package / "_shipped" / kind):
        if (root / name).is_file():
            return root / name
    return None
