"""Whether images are normalised as the network was trained with: other conventions are tried on the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.data.image_set import spread
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Channels, Preprocessing
from edgekit.models.activation import LOGITS
from edgekit.models.answer import TOLD_NOTHING
from edgekit.models.reference import Answered, of_file
from edgekit.quantize.ptq import normalised
from edgekit.validate.accuracy import first_right, mcnemar
from edgekit.validate.chance import near_chance
from edgekit.validate.label_orders import CONVINCING, Explanation

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

BATCH: Final = 32
NORMALISATION_IMAGES: Final = 300
SCREENED: Final = 5
"""One image in so many is looked at with every convention; the others only with those that did better there."""

NORMALISATION_POINTS: Final = 3.0
DIAGNOSED: Final = 100
"""Images that every convention is tried on where no label is answered."""


@dataclass(frozen=True)
class Convention:
    """A way to normalise, red first, on the 0 to 1 scale, and the scale that people say it on."""

    mean: Channels
    std: Channels
    scale: int = 1

    def flags(self, color: str) -> str:
        """The flags that say it, without their dashes."""
        scale = f" scale {self.scale}" if self.scale != 1 else ""
        mean, std = (_in_order(each, color) for each in (self.mean, self.std))
        return f"mean {_said(mean, self.scale)} std {_said(std, self.scale)}{scale}"


def _in_order(channels: Channels, color: str) -> Channels:
    return (channels[2], channels[1], channels[0]) if color == "bgr" else channels


def _said(channels: Channels, scale: int) -> str:
    told = [f"{each * scale:.6g}" for each in channels]
    return told[0] if len(set(told)) == 1 else ",".join(told)


CONVENTIONS: Final = (
    Convention((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision
    Convention((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),  # TensorFlow: -1 to 1; OpenCV with 127.5 and 127.5
    Convention((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    Convention((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), 255),
    Convention((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255), 255),  # Caffe, Keras
)
"""The conventions in use; each is tried with both orders of colours."""


def _float_network(graph: Path) -> Answered:
    """A canonical graph in ONNX Runtime, which computes what the graph says."""
    return of_file(graph, TOLD_NOTHING, LOGITS)


def fp32_answers(
    graph: Path,
    images: ImageSet,
    preprocessing: Preprocessing,
    indices: Sequence[int],
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """What a float graph answers to images, (N, C)."""
    return _answers_by(_float_network(graph), images, {"": preprocessing}, preprocessing, indices, on_progress)[""]


def _answers_by(
    network: Answered,
    images: ImageSet,
    ways: Mapping[str, Preprocessing],
    told: Preprocessing,
    indices: Sequence[int],
    on_progress: Callable[[int], None],
) -> dict[str, NDArray[np.float32]]:
    """(N, C) for each way to normalise, of pictures that are decoded once."""
    made: dict[str, list[NDArray[np.float32]]] = {name: [] for name in ways}
    done = 0
    for pictures, group in batches(images, told, indices, BATCH):
        for name, way in ways.items():
            shown = (normalised(each[None], way, "NCHW") for each in pictures)
            made[name].append(np.stack([network(each) for each in shown]))
        done += len(group)
        on_progress(done)
    return {name: np.concatenate(parts) for name, parts in made.items()}


def better_normalisation(
    graph: Path,
    images: ImageSet,
    preprocessing: Preprocessing,
    on_progress: Callable[[int], None] = lambda done: None,
) -> str | None:
    """A warning when another convention plainly scores better than the one that was told, on the FP32 graph.

    Plainly: by at least NORMALISATION_POINTS of top-1 on the same images, with McNemar's p below 0.01. Conventions that
    score no better on a part of the images are not tried on the others.
    """
    if images.labels is None:
        return None
    network, labels = _float_network(graph), images.labels
    indices = spread(len(images), NORMALISATION_IMAGES)
    ways = {"told": preprocessing, **dict(rivals(preprocessing))}
    scores: dict[str, NDArray[np.bool_]] = {}
    done = 0
    first = {indices[place] for place in spread(len(indices), -(-len(indices) // SCREENED))}
    for part in (sorted(first), [each for each in indices if each not in first]):
        if not part:
            continue
        found = _answers_by(network, images, ways, preprocessing, part, lambda n, before=done: on_progress(before + n))  # type: ignore[misc]
        right = {name: first_right(rows, labels[part]) for name, rows in found.items()}
        scores = {name: np.concatenate((scores.get(name, rows[:0]), rows)) for name, rows in right.items()}
        ways = {name: way for name, way in ways.items() if name == "told" or _more(scores, name)}
        if len(ways) == 1:
            return None
        done += len(part)
    best = max((name for name in ways if name != "told"), key=lambda name: int(scores[name].sum()))
    return _warning(best, scores["told"], scores[best])


def _more(scores: Mapping[str, NDArray[np.bool_]], name: str) -> bool:
    return int(scores[name].sum()) > int(scores["told"].sum())


def _warning(name: str, told: NDArray[np.bool_], best: NDArray[np.bool_]) -> str | None:
    before, after = 100 * float(told.mean()), 100 * float(best.mean())
    lost, won = int((told & ~best).sum()), int((~told & best).sum())
    if after - before < NORMALISATION_POINTS or mcnemar(lost, won) >= 0.01:
        return None
    return (
        f"the normalisation looks wrong: with {name} the FP32 model scores {after - before:.1f} points more than with"
        f" the one given ({after:.1f} against {before:.1f} % of {len(told)} images); check --mean, --std and --color"
    )


def explained_by_normalisation(
    graph: Path,
    images: ImageSet,
    preprocessing: Preprocessing,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Explanation | None:
    """The convention with which labels are answered that are not with the one told; None where no convention helps."""
    labels = images.labels
    if labels is None:
        return None
    indices = spread(len(images), DIAGNOSED)
    ways = dict(rivals(preprocessing))
    answers = _answers_by(_float_network(graph), images, ways, preprocessing, indices, on_progress)
    found = {name: near_chance(rows, labels[indices]) for name, rows in answers.items()}
    best = max(found, key=lambda name: found[name].top1)
    if found[best].p_value > CONVINCING:
        return None
    return Explanation(f"the images are normalised otherwise ({best})", f"Give {_as_flags(best)}", found[best].top1)


def _as_flags(words: str) -> str:
    parts = words.split()
    return " ".join(f"--{name} {value}" for name, value in zip(parts[::2], parts[1::2], strict=True))


def rivals(told: Preprocessing) -> Iterator[tuple[str, Preprocessing]]:
    """Every other convention in both orders of colours, and the other order of colours alone, by the flags that say
    them."""
    colors = ("rgb", "bgr") if told.color in ("rgb", "bgr") else (told.color,)
    seen = [told]
    for color in colors:
        if color != told.color:
            yield f"color {color}", replace(told, color=color)
            seen.append(replace(told, color=color))
        for each in CONVENTIONS:
            rival = replace(told, mean=_in_order(each.mean, color), std=_in_order(each.std, color), color=color)
            if not any(_alike(rival, other) for other in seen):
                yield each.flags(color) + (f" color {color}" if color != told.color else ""), rival
                seen.append(rival)


def _alike(one: Preprocessing, other: Preprocessing) -> bool:
    pairs = zip((*one.mean, *one.std), (*other.mean, *other.std), strict=True)
    return one.color == other.color and max(abs(a - b) for a, b in pairs) <= 0.02
