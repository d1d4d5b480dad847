"""What the accuracy of each task is called, and where a report has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgekit.report.model import Report
    from edgekit.report.model_variants import Accuracy

Task = Literal["classify", "multilabel", "embed"]


@dataclass(frozen=True)
class Metric:
    """The number that the budget of a task is about, in percent.

    Attributes:
        key: of `accuracy` in a report.
        required: keys of `accuracy` that a report of the task has, null or not.
        name: as a sentence has it; axis: as the axis of a plot has it.
        meaning: what it counts, in a few words.
        same: what a variant keeps where it answers as FP32 does.
        test: how the interval and the p-value of a drop were made.
        is_share: whether it is a share of the images, so that an interval can be made of it and their number.
    """

    key: Literal["top1", "map"]
    required: tuple[str, ...]
    name: str
    axis: str
    meaning: str
    same: str
    test: str
    is_share: bool = True

    @property
    def title(self) -> str:
        """Of a column in a table."""
        return f"{self.name}, %"

    def value(self, accuracy: Accuracy) -> float | None:
        """Of a variant, percent; None where it was not measured."""
        return accuracy.top1 if self.key == "top1" else accuracy.map


METRICS: Mapping[Task, Metric] = MappingProxyType(
    {
        "classify": Metric(
            "top1",
            ("top1", "top5", "agreement"),
            "top-1",
            "top-1 accuracy",
            "first answer is the label",
            "same first answer",
            "exact McNemar test",
        ),
        "embed": Metric(
            "top1",
            ("top1", "cosine"),
            "nearest-neighbour top-1",
            "nearest-neighbour top-1",
            "nearest other picture by cosine is of the same class",
            "same nearest picture",
            "exact McNemar test",
        ),
        "multilabel": Metric(
            "map",
            ("map", "f1"),
            "macro average precision",
            "macro average precision",
            "mean of the average precision of every class that a picture has",
            "same set of labels",
            "by resampling the images",
            is_share=False,
        ),
    }
)


def metric(report: Report) -> Metric:
    """The one of a report's task."""
    return METRICS[report.task]
