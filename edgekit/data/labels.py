"""Labels as a network counts its outputs: from class folders and tables, by names, by numbers, and with an offset."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.data.class_names import ClassNames, read_names
from edgekit.data.image_set import Label
from edgekit.errors import InputError
from edgekit.file_names import readable

if TYPE_CHECKING:
    from edgekit.data.walk import Row
    from edgekit.recipe import Recipe

MOST: Final = 2**53
"""More than this are no labels."""

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,12}")
_FOLDER_NUMBER: Final = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class LabelRules:
    """How labels are read.

    Attributes:
        names: of the classes by output, where a file told them.
        offset: added to every label, and to every place among the names.
        classes: how many outputs the network has, where that is known: labels must be below it.
        sets: an image may have several labels.
        checked: labels are there to judge by; otherwise only to spread a choice over, and nothing is asked of them.
    """

    names: ClassNames = field(default=ClassNames(()))
    offset: int = 0
    classes: int | None = None
    sets: bool = False
    checked: bool = True

    @property
    def shown(self) -> tuple[str, ...]:
        """A name for each label, its number where no name was told; empty without names."""
        return at_offset(self.names.shown, self.offset) if self.names else ()


PLAIN: Final = LabelRules()
"""Labels as the data has them."""
UNJUDGED: Final = LabelRules(checked=False)
"""For images to calibrate with, or to look at."""


def label_rules(recipe: Recipe, classes: int | None) -> LabelRules:
    """How a recipe says that labels are read.

    Args:
        classes: outputs of the network, where they are known.
    Raises:
        InputError: the file of names cannot be read.
    """
    told = recipe.labels
    names = ClassNames(()) if told.file is None else read_names(Path(told.file))
    counted = None if recipe.task == "embed" else classes
    return LabelRules(names, told.offset, counted, recipe.task == "multilabel")


def at_offset(names: Sequence[str], offset: int) -> tuple[str, ...]:
    """Names moved by an offset: where none is left, the number stands."""
    return (*map(str, range(max(offset, 0))), *names[max(-offset, 0) :])


@dataclass(frozen=True)
class Labelled:
    """Rows as a network counts them.

    Attributes:
        labels: of each row.
        classes: names by label, empty where they are not known.
        folders: name and label of each class folder, in the order of names as text; empty for a table.
        notes: what the user should know of how labels were read.
    """

    labels: list[Label]
    classes: tuple[str, ...]
    folders: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def of_folders(place: str, folders: Sequence[str], rows: Sequence[Row], rules: LabelRules) -> Labelled:
    """Labels of images that lie in class folders.

    With names, folders are found among them; folders that are all numbers are those numbers; others count in the order
    of their names as text.

    Args:
        place: what the folder is called in messages; folders: sorted, those without images among them.
    Raises:
        InputError: folders that no name is of, or two of the same number; sets of labels are wanted.
    """
    if not folders:
        return Labelled([None] * len(rows), rules.shown)
    if rules.sets:
        raise InputError(
            f"the class folders of {place} give an image one label, and --task multilabel wants sets",
            "Give a table with path,label and labels such as 'red|round', or JSON lines with lists.",
        )
    used = {str(row.told) for row in rows}
    filled = [each for each in folders if each in used]
    are_numbers = bool(filled) and all(_FOLDER_NUMBER.fullmatch(each) for each in filled)
    notes: tuple[str, ...] = ()
    if rules.names and not (are_numbers and all(rules.names.index(each) is None for each in filled)):
        found = _by_names(place, filled, rules.names)
    elif are_numbers:
        found = _by_numbers(place, filled)
        how = f"are numbers, and were read as numbers: {_span(found)}"
        notes = (f"the {len(filled)} class folders of {readable(place)} {how}",) if rules.checked else ()
    else:
        found = {each: index for index, each in enumerate(folders)}
    moved = {each: index + rules.offset for each, index in found.items()}
    if rules.names:
        classes = rules.shown
    elif are_numbers:
        classes = tuple(map(str, range(max(moved.values()) + 1)))
    else:
        classes = at_offset([readable(each) for each in folders], rules.offset)
    return Labelled(
        [moved[str(row.told)] for row in rows], classes, tuple((readable(each), moved[each]) for each in filled), notes
    )


def _span(found: Mapping[str, int]) -> str:
    first, last = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
    return f"folder {first} is label {found[first]}, folder {last} is label {found[last]}"


def _by_names(place: str, folders: Sequence[str], names: ClassNames) -> dict[str, int]:
    found = {each: names.index(each) for each in folders}
    lost = [each for each, index in found.items() if index is None]
    if lost:
        told = ", ".join(readable(each) for each in lost[:5]) + (", ..." if len(lost) > 5 else "")
        raise InputError(
            f"{len(lost)} of the {len(folders)} class folders of {place} are among no names of --labels: {told}",
            f"It has {len(names)} names, such as {', '.join(names.shown[:3])}.",
        )
    return {each: index for each, index in found.items() if index is not None}


def _by_numbers(place: str, folders: Sequence[str]) -> dict[str, int]:
    found: dict[int, str] = {}
    for each in folders:
        other = found.setdefault(int(each), each)
        if other != each:
            raise InputError(f"the folders {other} and {each} of {place} are the same number", "Join them.")
    return {each: number for number, each in found.items()}


def of_table(place: str, rows: Sequence[Row], rules: LabelRules) -> Labelled:
    """Labels of the rows of a table: whole numbers, names where --labels has them, sets joined by `|` or as lists.

    Raises:
        InputError: a label is neither, or is a set where none is wanted.
    """
    read = _one_set if rules.sets else _one
    labels: list[Label] = []
    for number, row in enumerate(rows, 1):
        try:
            labels.append(read(row.told, rules))
        except _NoLabelError as error:
            raise InputError(f"row {number} of {place} has the label {error.told!r}", error.hint) from None
    notes: tuple[str, ...] = ()
    if rules.names and any(isinstance(row.told, str) and _NUMBER.fullmatch(row.told) for row in rows):
        by_name = any(isinstance(row.told, str) and rules.names.index(row.told) is not None for row in rows)
        how = "names of --labels" if by_name else "numbers of outputs"
        notes = (f"the numbers among the labels of {readable(place)} were read as {how}",)
    return Labelled(labels, rules.shown, notes=notes)


class _NoLabelError(Exception):
    def __init__(self, told: object, hint: str) -> None:
        super().__init__(told)
        self.told, self.hint = told, hint


def _one(told: object, rules: LabelRules) -> int | None:
    """The label of what a table says."""
    if told is None:
        return None
    if isinstance(told, list | tuple) or (isinstance(told, str) and "|" in told and rules.names.index(told) is None):
        raise _NoLabelError(told, "Sets of labels are for --task multilabel.")
    return _index(told, rules)


def _one_set(told: object, rules: LabelRules) -> tuple[int, ...] | None:
    """The labels of what a table says; `|` alone, or an empty list, is the empty set."""
    if told is None:
        return None
    parts = told if isinstance(told, list | tuple) else str(told).split("|")
    indices = (_index(part.strip() if isinstance(part, str) else part, rules) for part in parts if part != "")
    return tuple(sorted(set(indices)))


def _index(told: object, rules: LabelRules) -> int:
    name = rules.names.index(told) if isinstance(told, str) and rules.names else None
    if name is not None:
        return name + rules.offset
    is_number = isinstance(told, int) or (isinstance(told, str) and _NUMBER.fullmatch(told) is not None)
    if isinstance(told, bool) or not is_number:
        if rules.names:
            raise _NoLabelError(told, f"It is none of the {len(rules.names)} names of --labels, and no whole number.")
        hint = "Labels are whole numbers, or names of classes with --labels FILE, which has the names in their order."
        raise _NoLabelError(told, hint)
    number = int(str(told))
    if abs(number) > MOST:
        raise _NoLabelError(told, "No network has so many outputs.")
    return number + rules.offset


def check_range(place: str, labels: Sequence[Label], rules: LabelRules) -> None:
    """Refuses labels that cannot be judged by: below 0, or above the network's outputs.

    Raises:
        InputError: with how many, and what may be meant.
    """
    flat = [n for label in labels if label is not None for n in (label if isinstance(label, tuple) else (label,))]
    if not flat or not rules.checked:
        return
    lowest, highest = min(flat), max(flat)
    wrong = [n for n in flat if n < 0 or (rules.classes is not None and n >= rules.classes)]
    if wrong:
        top = "" if rules.classes is None else f" to {rules.classes - 1}"
        raise InputError(
            f"{len(wrong)} labels of {place} are out of range, first {wrong[0]}; the model has labels from 0{top}",
            range_hint(lowest, highest, rules.offset, rules.classes),
        )


def check_classes(place: str, told: Labelled, labels: Sequence[Label], rules: LabelRules) -> list[str]:
    """What is said of labels that are all the same: a table may mean it, a single folder of a class does not.

    Raises:
        InputError: a folder has the images of one class alone.
    """
    known = {label for label in labels if label is not None}
    if len(known) != 1 or rules.sets or not rules.checked:
        return []
    if told.folders:
        raise InputError(f"the images in {place} are all of one class", "An accuracy needs two classes or more.")
    return [f"the images in {place} are all of one class: an accuracy of them proves little"]


def range_hint(lowest: int, highest: int, offset: int, classes: int | None) -> str:
    """What to do about labels that are out of range; a shift by one is what it mostly is."""
    if lowest >= 1 and classes is not None and highest == classes:
        return f"They run from {lowest} to {highest}: if they begin at 1, give --label-offset {offset - 1}."
    if lowest < 0:
        return f"The lowest is {lowest} with --label-offset {offset}: give {offset - lowest} or leave it out."
    return "Check the labels of --data, or the --model; --labels FILE tells which class is which output."
