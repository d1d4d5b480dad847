"""Labels as a network counts its outputs: folders, tables, names, numbers, sets, offsets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.data.class_names import ClassNames
from edgekit.data.folder import FolderSet, open_images
from edgekit.data.image_set import ImageSet, Selection
from edgekit.data.labels import UNJUDGED, LabelRules, label_rules
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from tests.colours import paint_folders

Photos = Callable[..., Path]


def named(*names: str) -> ClassNames:
    return ClassNames(tuple((name,) for name in names))


def labels_of(images: ImageSet) -> dict[str, int]:
    assert images.labels is not None
    return {images.identifier(n).rpartition("/")[0]: int(label) for n, label in enumerate(images.labels)}


@pytest.mark.parametrize("names", [["0", "1", "2", "10", "11"], ["000", "001", "002", "010", "011"]])
def test_folders_that_are_numbers_are_those_numbers(tmp_path: Path, names: list[str]) -> None:
    images = open_images(paint_folders(tmp_path / "photos", names, each=1))
    assert labels_of(images) == {name: int(name) for name in names}
    assert images.classes == tuple(map(str, range(12)))
    assert len(images.notes) == 1
    assert "were read as numbers" in images.notes[0]


def test_folders_of_which_one_is_no_number_count_as_text(tmp_path: Path) -> None:
    images = open_images(paint_folders(tmp_path / "photos", ["1", "10", "2", "other"], each=1))
    assert labels_of(images) == {"1": 0, "10": 1, "2": 2, "other": 3}
    assert images.notes == ()


def test_numbers_too_large_for_outputs_are_names(tmp_path: Path) -> None:
    images = open_images(paint_folders(tmp_path / "photos", ["100233", "99"], each=1))
    assert labels_of(images) == {"100233": 0, "99": 1}


def test_two_folders_of_one_number_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"1 and 01|01 and 1"):
        open_images(paint_folders(tmp_path / "photos", ["1", "01", "2"], each=1))


def test_folders_are_found_among_names(tmp_path: Path) -> None:
    folder = paint_folders(tmp_path / "photos", ["Great Owl", "cat", "red_fox"], each=1)
    images = open_images(folder, labels=LabelRules(named("red fox", "dog", "great_owl", "cat")))
    assert labels_of(images) == {"Great Owl": 2, "cat": 3, "red_fox": 0}
    assert images.classes == ("red fox", "dog", "great_owl", "cat")
    assert images.left_out == {"class without images": (1, ("dog",))}
    with pytest.raises(InputError, match=r"1 of the 3 class folders .*: red_fox"):
        open_images(folder, labels=LabelRules(named("great owl", "cat")))


def test_names_that_are_numbers_are_names_first(tmp_path: Path) -> None:
    folder = paint_folders(tmp_path / "photos", ["1", "2", "10"], each=1)
    assert labels_of(open_images(folder, labels=LabelRules(named("1", "10", "2")))) == {"1": 0, "10": 1, "2": 2}
    others = open_images(folder, labels=LabelRules(named(*(f"class {n}" for n in range(12)))))
    assert labels_of(others) == {"1": 1, "2": 2, "10": 10}


def test_an_offset_moves_labels_and_names(photos: Photos) -> None:
    moved = open_images(photos(classes=3, count=1), labels=LabelRules(offset=1))
    assert labels_of(moved) == {"a": 1, "b": 2, "c": 3}
    assert moved.classes == ("0", "a", "b", "c")
    by_name = open_images(photos("more", classes=3, count=1), labels=LabelRules(named("c", "b", "a"), offset=1))
    assert labels_of(by_name) == {"a": 3, "b": 2, "c": 1}
    assert by_name.classes == ("0", "c", "b", "a")
    with pytest.raises(InputError, match="out of range, first -1") as refusal:
        open_images(photos("less", classes=3, count=1), labels=LabelRules(offset=-1))
    assert "--label-offset -1" in refusal.value.hint


def test_labels_that_begin_at_one_are_told_of(photos: Photos) -> None:
    table = photos(classes=3, count=1) / "labels.csv"
    table.write_text("path,label\na/0.png,1\nb/0.png,2\nc/0.png,3\n")
    with pytest.raises(InputError, match="out of range, first 3") as refusal:
        open_images(table, labels=LabelRules(classes=3))
    assert "give --label-offset -1" in refusal.value.hint
    images = open_images(table, labels=LabelRules(classes=3, offset=-1))
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 2]


def test_a_table_may_have_names_or_numbers(photos: Photos) -> None:
    table, rules = photos(classes=3, count=1) / "labels.csv", LabelRules(named("dog", "Red Fox", "cat"))
    table.write_text("path,label\na/0.png,cat\nb/0.png,red_fox\nc/0.png,0\n")
    images = open_images(table, labels=rules)
    assert images.labels is not None
    assert images.labels.tolist() == [2, 1, 0]
    assert "read as" in images.notes[0]
    table.write_text("path,label\na/0.png,cat\nb/0.png,bird\n")
    with pytest.raises(InputError, match=r"row 2 .* the label 'bird'") as refusal:
        open_images(table, labels=rules)
    assert "3 names" in refusal.value.hint
    with pytest.raises(InputError, match=r"row 1 .* the label 'cat'") as refusal:
        open_images(table)
    assert "--labels" in refusal.value.hint


@pytest.mark.parametrize("label", ["true", "1.5", '["1"]', "99999999999999999999"])
def test_labels_that_are_none_are_refused(photos: Photos, label: str) -> None:
    table = photos(classes=2, count=1) / "labels.jsonl"
    table.write_text(f'{{"path": "a/0.png", "label": 1}}\n{{"path": "b/0.png", "label": {label}}}\n')
    with pytest.raises(InputError, match="row 2"):
        open_images(table)


def test_sets_of_labels(photos: Photos) -> None:
    folder, rules = photos(classes=2, count=2), LabelRules(named("red", "round", "old"), sets=True)
    told = {"a/0.png": ["red", 2], "a/1.png": [], "b/0.png": "round|red", "b/1.png": 1}
    (folder / "sets.jsonl").write_text("".join(json.dumps({"path": k, "labels": v}) + "\n" for k, v in told.items()))
    (folder / "sets.csv").write_text("path,label\na/0.png,red | 2\na/1.png,|\nb/0.png,round|red\nb/1.png,1\n")
    for name in ("sets.jsonl", "sets.csv"):
        images = open_images(folder / name, labels=rules)
        assert images.labels is None
        assert images.label_sets is not None
        assert images.label_sets.astype(int).tolist() == [[1, 0, 1], [0, 0, 0], [1, 1, 0], [0, 1, 0]]
        part = Selection(images, (0, 2))
        assert part.label_sets is not None
        assert np.array_equal(part.label_sets, images.label_sets[[0, 2]])
        everything = Selection(images, tuple(range(4)))
        assert everything.digest == images.digest != part.digest


def test_sets_have_the_width_of_the_outputs(photos: Photos) -> None:
    folder = photos(classes=2, count=1)
    (folder / "sets.csv").write_text("path,label\na/0.png,0|2\nb/0.png,1\n")
    images = open_images(folder / "sets.csv", labels=LabelRules(classes=5, sets=True))
    assert images.label_sets is not None
    assert images.label_sets.shape == (2, 5)
    with pytest.raises(InputError, match="out of range, first 2"):
        open_images(folder / "sets.csv", labels=LabelRules(classes=2, sets=True))


def test_sets_where_none_are_wanted_and_none_where_they_are(photos: Photos) -> None:
    folder = photos(classes=2, count=1)
    (folder / "sets.csv").write_text("path,label\na/0.png,0|1\nb/0.png,1\n")
    with pytest.raises(InputError, match="row 1") as refusal:
        open_images(folder / "sets.csv")
    assert "--task multilabel" in refusal.value.hint
    for spec in (folder, "signs"):
        with pytest.raises(InputError, match="multilabel wants sets"):
            open_images(spec, labels=LabelRules(sets=True))


def test_half_labelled_tables_are_judged_on_the_labelled_half(photos: Photos) -> None:
    table = photos(classes=2, count=3) / "half.csv"
    table.write_text("path,label\na/0.png,0\na/1.png,\nb/0.png,1\nb/1.png,\na/2.png,0\n")
    images = open_images(table)
    assert images.labels is not None
    assert images.labels.tolist() == [0, 1, 0]
    assert images.left_out == {"no label": (2, ("a/1.png", "b/1.png"))}
    everything = open_images(table, labels=UNJUDGED)
    assert (len(everything), everything.labels, everything.left_out) == (5, None, {})
    table.write_text("path,label\na/0.png,\na/1.png,\n")
    none = open_images(table)
    assert (len(none), none.labels, none.left_out) == (2, None, {})


def test_calibration_asks_nothing_of_labels(photos: Photos) -> None:
    assert len(open_images(photos(classes=1, count=3), labels=UNJUDGED)) == 3


def test_the_root_of_a_data_set_is_refused(tmp_path: Path) -> None:
    for part in ("train", "Val"):
        paint_folders(tmp_path / "photos" / part, ["a", "b"], each=1)
    with pytest.raises(InputError, match="its folders are Val, train") as refusal:
        open_images(tmp_path / "photos")
    assert str(tmp_path / "photos" / "Val") in refusal.value.hint
    assert len(open_images(tmp_path / "photos", labels=UNJUDGED)) == 4


def test_the_same_picture_under_two_labels_is_told_of(photos: Photos) -> None:
    folder = photos()
    (folder / "b" / "copy.png").write_bytes((folder / "a" / "1.png").read_bytes())
    (folder / "a" / "copy.png").write_bytes((folder / "a" / "1.png").read_bytes())
    images = open_images(folder)
    assert images.notes == ("1 image is a copy of others that have another label, first b/copy.png of a/1.png",)
    assert open_images(folder, labels=UNJUDGED).notes == ()


def test_classes_called_train_and_test_are_classes(tmp_path: Path) -> None:
    images = open_images(paint_folders(tmp_path / "photos", ["train", "test"], each=2))
    assert labels_of(images) == {"test": 0, "train": 1}


def test_a_recipe_says_how_labels_are_read(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    told = {"file": str(tmp_path / "names.txt"), "offset": 1}
    rules = label_rules(Recipe.model_validate({"labels": told, "task": "multilabel"}), 3)
    assert (rules.shown, rules.offset, rules.classes, rules.sets) == (("0", "cat", "dog"), 1, 3, True)
    assert label_rules(Recipe.model_validate({"task": "embed"}), 128).classes is None


def test_folders_with_their_labels_are_kept(tmp_path: Path) -> None:
    images = open_images(paint_folders(tmp_path / "photos", ["10", "9"], each=1))
    assert isinstance(images, FolderSet)
    assert images.folders == (("10", 10), ("9", 9))
