"""Places the labels of a plot so that they cover neither each other nor what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHAR_PX = 0.62
"""Width of a character relative to the font size: generous, since the font of the reader is not known."""


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area that two rectangles share."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0 and high > 0 else 0.0

    def outside(self, frame: Box) -> float:
        """The area of this rectangle that lies outside a frame."""
        area = (self.right - self.left) * (self.bottom - self.top)
        return area - self.overlap(frame)


@dataclass(frozen=True)
class Label:
    """A label of a point: where the point is, and how large the text."""

    x: float
    y: float
    width: float
    height: float


def text_width(text: str, size_px: float) -> float:
    """A generous guess of the width of a text, in pixels."""
    return len(text) * size_px * CHAR_PX


def _candidates(label: Label) -> list[tuple[float, Box]]:
    """Places around a point, each with its cost: near before far, right before left, above before below."""
    found = []
    for ring, gap in enumerate((10.0, 22.0, 38.0, 58.0, 82.0, 110.0)):
        middle = label.y - label.height / 2
        spots = (
            (label.x + gap, label.y - label.height - gap * 0.4),
            (label.x + gap, label.y + gap * 0.4),
            (label.x - gap - label.width, label.y - label.height - gap * 0.4),
            (label.x - gap - label.width, label.y + gap * 0.4),
            (label.x + gap, middle),
            (label.x - gap - label.width, middle),
            (label.x - label.width / 2, label.y - label.height - gap),
            (label.x - label.width / 2, label.y + gap),
        )
        for rank, (left, top) in enumerate(spots):
            box = Box(left, top, left + label.width, top + label.height)
            found.append((ring * 12.0 + rank, box))
    return found


def place(labels: Sequence[Label], obstacles: Sequence[Box], frame: Box) -> list[Box]:
    """A rectangle for each label, in order: those placed first get the best places.

    Args:
        labels: the points and the sizes of their texts.
        obstacles: what must stay uncovered (marks, error bars).
        frame: where labels may be.
    """
    taken: list[Box] = []
    for label in labels:
        best, best_cost = None, float("inf")
        for cost, box in _candidates(label):
            covered = sum(box.overlap(each) for each in taken) * 20 + sum(box.overlap(each) for each in obstacles) * 4
            total = cost + covered + box.outside(frame) * 30
            if total < best_cost:
                best, best_cost = box, total
        assert best is not None  # there are always candidates
        taken.append(best)
    return taken
