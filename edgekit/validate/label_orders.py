"""What explains answers that have nothing to do with the labels: other ways to count the classes are tried on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.accuracy import mcnemar
from edgekit.validate.chance import Chance

CONVINCING: Final = 0.001
"""p-value up to which another way to count the classes explains the answers; several ways are tried."""

PLAIN: Final = 10.0
"""Points of top-1 from which another way is told of where the labels are not all wrong as they are."""

SHIFTS: Final[Mapping[int, str]] = {
    1: "every class is answered by the next one",
    -1: "every class is answered by the one before",
}


def _natural(name: str) -> list[Any]:
    """A name with its numbers as numbers: class2 before class10."""
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"([0-9]+)", name) if part]


ORDERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "numbers in names taken as numbers": _natural,
    "names sorted as text": lambda name: name,
    "names sorted without regard to case": lambda name: (name.lower(), name),
}
"""Orders that frameworks count class folders in."""


@dataclass(frozen=True)
class Explanation:
    """What makes a network's answers right.

    Attributes:
        what: it is; advice: what to give or to change; top1: percent right with it.
    """

    what: str
    advice: str
    top1: float

    @property
    def said(self) -> str:
        """All of it, as a sentence without its stop."""
        return f"{self.what[0].upper()}{self.what[1:]}: with that {self.top1:.1f} % are right. {self.advice}"


def doubt(chance: Chance, found: Explanation | None, who: str) -> str | None:
    """What is wrong with labels by the answers of a network; None where nothing is.

    Either they are no better than chance, or another way to count the classes makes plainly more of them right.
    """
    if chance.doubtful:
        return f"{who} {chance.said}"
    if found is None or found.top1 < chance.top1 + PLAIN:
        return None
    return f"the labels look wrong: {chance.top1:.1f} % of the answers of {who} are right"


@dataclass(frozen=True)
class Told:
    """How images were labelled.

    Attributes:
        labels: (N,); identifiers: paths of the images, N.
        folders: name and label of each class folder, sorted as text; empty where classes are no folders.
        offset: that was added to every label.
        data: where the images lie, for advice.
    """

    labels: NDArray[np.int64]
    identifiers: Sequence[str]
    folders: tuple[tuple[str, int], ...] = ()
    offset: int = 0
    data: str = "--data"


def explained(first: NDArray[np.int64], outputs: int, told: Told) -> Explanation | None:
    """The way to count the classes with which the most answers are right, where that is plainly more than as told.

    Args:
        first: (N,) the first answers; outputs: how many there are to answer with.
    """
    now = first == told.labels
    ways = [
        (Explanation(what, advice, 100 * float((first == labels).mean())), labels)
        for what, advice, labels in _ways(told)
    ]
    best = max(ways, key=lambda way: way[0].top1)
    if is_better(now, first == best[1]):
        return best[0]
    return _some_order(first, outputs, told)


def is_better(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> bool:
    """Whether more of the same images are right, by McNemar's test."""
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    return won > lost and mcnemar(lost, won) <= CONVINCING


def _ways(told: Told) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    for shift, what in SHIFTS.items():
        yield what, f"Give --label-offset {told.offset + shift}", told.labels + shift
    yield from _orders(told)
    inner = _inner_folders(told)
    if inner is not None:
        names, labels = inner
        first = told.identifiers[0].split("/")[0]
        what = f"the folders inside those of {told.data} ({', '.join(names[:3])}, ...) are the classes"
        yield what, f"Give one part of the data set, such as --data {told.data}/{first}", labels


def _orders(told: Told) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    names = [name for name, _ in told.folders]
    now = dict(told.folders)
    if len(set(now.values())) < len(names):
        return
    for how, key in ORDERS.items():
        ranked = sorted(names, key=key)
        for shift in (told.offset, *(told.offset + each for each in SHIFTS)):
            moved = {now[name]: rank + shift for rank, name in enumerate(ranked)}
            if all(label == other for label, other in moved.items()):
                continue
            offset = f" and --label-offset {shift}" if shift else ""
            listed = ", ".join(ranked[:5]) + (", ..." if len(ranked) > 5 else "")
            advice = f"Give --labels FILE{offset}, a file with a folder's name in each line, in this order: {listed}"
            yield f"the classes count in another order ({how})", advice, _moved(told.labels, moved)


def _moved(labels: NDArray[np.int64], moved: Mapping[int, int]) -> NDArray[np.int64]:
    values, places = np.unique(labels, return_inverse=True)
    made: NDArray[np.int64] = np.array([moved.get(int(value), -2) for value in values], np.int64)[places]
    return made


def _inner_folders(told: Told) -> tuple[list[str], NDArray[np.int64]] | None:
    """Labels by the folders inside the class folders, where several of those hold the same ones."""
    if not told.folders:
        return None
    parts = [each.split("/") for each in told.identifiers]
    if any(len(each) < 3 for each in parts):
        return None
    names = sorted({each[1] for each in parts})
    owners = {name: {each[0] for each in parts if each[1] == name} for name in names}
    if len(names) < 2 or all(len(each) < 2 for each in owners.values()):
        return None
    place = {name: index for index, name in enumerate(names)}
    return names, np.array([place[each[1]] for each in parts], np.int64)


def _some_order(first: NDArray[np.int64], outputs: int, told: Told) -> Explanation | None:
    """Whether some order of the classes explains the answers: found on one half of the images, proved on the other."""
    half = np.zeros(len(first), bool)
    for label in np.unique(told.labels):
        half[np.flatnonzero(told.labels == label)[::2]] = True
    known, places = np.unique(told.labels[half], return_inverse=True)
    if len(known) < 2 or len(known) > outputs or half.all():
        return None
    agreed = np.zeros((len(known), outputs))
    answered = first[half]
    np.add.at(agreed, (places[answered >= 0], answered[answered >= 0]), 1)
    order = assignment(-agreed)
    moved = {int(label): int(output) for label, output in zip(known, order, strict=True)}
    right = first[~half] == _moved(told.labels[~half], moved)
    if not is_better((first == told.labels)[~half], right):
        return None
    named = {label: name for name, label in told.folders}
    pairs = [f"{named.get(label, label)} is answered as {output}" for label, output in moved.items() if label != output]
    what = f"the classes are in another order ({', '.join(pairs[:3])}{', ...' if len(pairs) > 3 else ''})"
    return Explanation(
        what, "Give --labels FILE, with the names of the classes in the network's order", 100 * float(right.mean())
    )


def assignment(cost: NDArray[np.floating]) -> NDArray[np.int64]:
    """For each row of (n, m) costs, n at most m, a column of its own, so that the sum is least (Kuhn and Munkres)."""
    rows, columns = cost.shape
    row_price, column_price = np.zeros(rows + 1), np.zeros(columns + 1)
    owner, before = np.zeros((2, columns + 1), np.int64)  # column 0 is where a search begins
    for row in range(1, rows + 1):
        owner[0], here = row, 0
        least, used = np.full(columns + 1, np.inf), np.zeros(columns + 1, bool)
        while True:
            used[here] = True
            reduced = cost[owner[here] - 1] - row_price[owner[here]] - column_price[1:]
            nearer = ~used[1:] & (reduced < least[1:])
            least[1:][nearer], before[1:][nearer] = reduced[nearer], here
            following = int(np.argmin(np.where(used, np.inf, least)))
            step = least[following]
            row_price[owner[used]] += step
            column_price[used] -= step
            least[~used] -= step
            here = following
            if owner[here] == 0:
                break
        while here:
            owner[here] = owner[before[here]]
            here = int(before[here])
    found = np.zeros(rows, np.int64)
    taken = np.flatnonzero(owner[1:]) + 1
    found[owner[taken] - 1] = taken - 1
    return found
