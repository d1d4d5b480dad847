"""The stage that asks FP32 whether its answers have anything to do with the labels, before anything is compressed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edgekit.build.stage import File, Progress, Stage
from edgekit.data.image_set import ImageSet, spread
from edgekit.data.labels import LabelRules, label_rules, range_hint
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.recipe import PreprocessingRecipe
from edgekit.store.keys import NOT_IN_KEY
from edgekit.validate.chance import Chance, first_answers, near_chance
from edgekit.validate.label_orders import PLAIN, Explanation, Told, doubt, explained

if TYPE_CHECKING:
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner

IMAGES: Final = 300
"""Images that FP32 is asked about, evenly spread."""

FOUND: Final = "labels.json"
UNEXPLAINED: Final = (
    "No shift or other order of the classes and no usual normalisation explains it: check --data, --labels, --model and"
    " the preprocessing"
)


@dataclass(frozen=True)
class CheckLabelsInput:
    """A float graph, labelled images, and how they were labelled and are prepared.

    Attributes:
        folders: name and label of each class folder; offset: that was added to labels; data: what the user calls it.
    """

    graph: File
    images: ImageSet
    preprocessing: Preprocessing
    folders: tuple[tuple[str, int], ...]
    offset: int
    data: str = field(metadata=NOT_IN_KEY)


@dataclass(frozen=True)
class LabelCheck:
    """How FP32 fares beside shuffled labels, and what makes plainly more of its answers right, if anything does."""

    chance: Chance
    explanation: Explanation | None


def _make(given: CheckLabelsInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.validate.normalisation import explained_by_normalisation, fp32_answers

    images = given.images
    indices = spread(len(images), IMAGES)

    def tell(done: int) -> None:
        progress(done, len(indices), "")

    answers = fp32_answers(given.graph.path, images, given.preprocessing, indices, tell)
    labels = images.labels if images.labels is not None else images.label_sets
    assert labels is not None  # nothing is checked without
    chance, explanation = near_chance(answers, labels[indices]), None
    if images.labels is not None and chance.top1 + PLAIN <= 100:
        names = [images.identifier(index) for index in indices]
        told = Told(images.labels[indices], names, given.folders, given.offset, given.data)
        ways = [explained(first_answers(answers), answers.shape[1], told)]
        if chance.doubtful:
            ways.append(explained_by_normalisation(given.graph.path, images, given.preprocessing))
        explanation = max((each for each in ways if each is not None), key=lambda each: each.top1, default=None)
    found = {"chance": asdict(chance), "explanation": None if explanation is None else asdict(explanation)}
    (folder / FOUND).write_text(json.dumps(found), encoding="utf-8")
    return ()


def _read(folder: Path) -> LabelCheck:
    found = json.loads((folder / FOUND).read_text(encoding="utf-8"))
    told = found["explanation"]
    return LabelCheck(Chance(**found["chance"]), None if told is None else Explanation(**told))


CHECK_LABELS: Final = Stage("check-labels", ("numpy", "Pillow", "onnxruntime"), _make, _read)


def checked(plan: Plan, run: Runner, exported: Exported, images: ImageSet | None) -> str | None:
    """Refuses labels that the network has no output for, or that have nothing to do with what it answers.

    Returns:
        why an accuracy with these labels proves nothing, for the verdict; None where nothing is wrong with them.
    Raises:
        InputError: a label is out of range, or FP32 is no better than chance on enough images; what explains it is
            named.
    """
    if images is None or plan.task == "embed":
        return None
    classes, rules = exported.facts.classes, label_rules(plan.recipe, None)
    _check_range(images, classes, rules.offset)
    run.warn(*_counted(images, classes, rules, plan.recipe.data or images.name))
    given = _input(plan, exported, images)
    if given is None:
        return None
    found = run(CHECK_LABELS, given)
    chance, explanation = found.chance, found.explanation
    what = doubt(chance, explanation, "FP32")
    if what is None:
        return None
    hint = UNEXPLAINED if explanation is None else explanation.said
    if chance.refused and not plan.recipe.labels.allow_chance:
        raise InputError(what, f"{hint}; --allow-chance goes on all the same.")
    run.warn(f"{what}. {hint}")
    return what


def is_asked(plan: Plan, images: ImageSet | None) -> bool:
    """Whether FP32 is asked: not where labels mean nothing to it, nor about edgekit's own network and images."""
    source, recipe = plan.source, plan.recipe
    if images is None or plan.task == "embed" or source.random:
        return False
    data = recipe.data or source.default_data
    at_home = source.kind == "registry" and recipe.weights is None and data == source.default_data
    if at_home and recipe.preprocessing == PreprocessingRecipe() and not recipe.labels.offset:
        return False
    return images.labels is not None or images.label_sets is not None


def _input(plan: Plan, exported: Exported, images: ImageSet) -> CheckLabelsInput | None:
    """What is asked of FP32; None where nothing is, or its answers are one number."""
    source, recipe = plan.source, plan.recipe
    if not is_asked(plan, images) or exported.facts.classes == 1:
        return None
    return CheckLabelsInput(
        exported.graph, images, source.preprocessing, images.folders, recipe.labels.offset, recipe.data or images.name
    )


def _check_range(images: ImageSet, classes: int, offset: int) -> None:
    """Refuses labels that the network has no output for.

    Raises:
        InputError: the highest label is out of range.
    """
    if classes <= 0:
        return
    labels, sets = images.labels, images.label_sets
    if labels is not None:
        lowest, highest = int(labels.min()), int(labels.max())
    elif sets is not None and sets.any():
        used = np.flatnonzero(sets.any(axis=0))
        lowest, highest = int(used[0]), int(used[-1])
    else:
        return
    if highest >= classes:
        raise InputError(
            f"label {highest} is out of range: the model has {classes} classes, 0 to {classes - 1}",
            range_hint(lowest, highest, offset, classes),
        )


def _counted(images: ImageSet, classes: int, rules: LabelRules, data: str) -> Iterator[str]:
    """What is odd about how many classes there are, of folders or names, for the network's outputs."""
    if classes <= 0:
        return
    if rules.names:
        if len(rules.shown) != classes:
            yield f"--labels names {len(rules.names)} classes, and the network has {classes} outputs"
        return
    count = len(images.folders)
    if not count or count + rules.offset == classes:
        return
    reason = "; --labels FILE, with the names of all classes in their order, tells which output each folder is"
    if count + 1 + rules.offset == classes:
        reason = f"; if the network's first output is a background class, give --label-offset {rules.offset + 1}"
    elif count < 5 and all(images.identifier(index).count("/") > 1 for index in range(len(images))):
        reason = ": is it the root of a data set, whose folders are its parts? Then give one of them"
    yield f"{data} has {count} class folders, and the network has {classes} outputs{reason}"
