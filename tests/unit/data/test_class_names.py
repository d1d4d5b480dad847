"""Names of classes from files of every kind, and finding one among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.data.class_names import ClassNames, read_names
from edgekit.errors import InputError

ANIMALS = ("cat", "dog", "great owl")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.txt", "cat\ndog\ngreat owl\n"),
        ("windows.txt", "\ufeffcat\r\ndog\r\ngreat owl\r\n\r\n"),
        ("numbered.txt", "0: cat\n1: dog\n2: great owl\n"),
        ("blanks.txt", "1 dog\n0 cat\n2 great owl"),
        ("list.json", '["cat", "dog", "great owl"]'),
        ("by-number.json", '{"0": "cat", "2": "great owl", "1": "dog"}'),
        ("by-name.json", '{"dog": 1, "great owl": 2, "cat": 0}'),
        ("config.json", '{"id2label": {"0": "cat", "1": "dog", "2": "great owl"}, "label2id": {"cat": 0}}'),
        ("synsets.json", '{"0": ["n1", "cat"], "1": ["n2", "dog"], "2": ["n3", "great owl"]}'),
        ("python.txt", "{0: 'cat', 1: 'dog', 2: 'great owl'}"),
        ("records.json", '[{"id": 5, "name": "cat"}, {"name": "dog"}, {"name": "great owl"}]'),
        ("data.yaml", "nc: 3\nnames:\n  0: cat\n  1: dog\n  2: great owl\n"),
    ],
)
def test_names_are_read_from(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode())
    assert read_names(tmp_path / name).shown == ANIMALS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_names_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "names.txt").write_text("Käse\nBrot\nButter\n", encoding=encoding)
    assert read_names(tmp_path / "names.txt").shown == ("Käse", "Brot", "Butter")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("names", "{0: 'cat', 1: 'dog', 2: 'great owl'}"),
        ("labels", json.dumps(ANIMALS)),
        ("classes", "cat,dog,great owl"),
        ("class_names", "cat\ndog\ngreat owl"),
    ],
)
def test_an_onnx_file_tells_its_own(tmp_path: Path, key: str, text: str) -> None:
    import onnx
    from onnx import helper

    model = helper.make_model(helper.make_graph([], "empty", [], []))
    helper.set_model_props(model, {"stride": "32", key: text})
    onnx.save(model, str(tmp_path / "net.onnx"))
    assert read_names(tmp_path / "net.onnx").shown == ANIMALS


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    from onnx import helper, save

    ran = tmp_path / "ran"
    text = f"[__import__('pathlib').Path({str(ran)!r}).touch()]"
    model = helper.make_model(helper.make_graph([], "empty", [], []))
    helper.set_model_props(model, {"names": text})
    save(model, str(tmp_path / "net.onnx"))
    (tmp_path / "names.txt").write_text(text)
    for name in ("net.onnx", "names.txt"):
        with pytest.raises(InputError, match="no names"):
            read_names(tmp_path / name)
    assert not ran.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "holds no names"),
        (b"cat\n\ndog\n", "line 2 of .* is empty"),
        (b"\x89PNG\r\n\x1a\n\xff", "it is no text"),
        (b"{}", "not those of outputs"),
        (b'{"0": "cat", "00": "dog"}', "not those of outputs"),
        (b'{"cat": 0, "dog": 5000000}', "not those of outputs"),
        (b'{"cat": "x"}', "no numbers"),
        (b"[1, null]", "class 1 of .* has no name"),
        (b"[" * 5000, "no names"),
    ],
)
def test_files_without_names_are_refused(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_names(tmp_path / "names.txt")


def test_missing_files_and_graphs_without_names(tmp_path: Path) -> None:
    (tmp_path / "garbage.onnx").write_bytes(b"garbage garbage")
    for name in ("nowhere.txt", "nowhere.onnx", "garbage.onnx"):
        with pytest.raises(InputError, match="cannot read the names"):
            read_names(tmp_path / name)


def test_a_name_is_found_as_it_is_or_nearly_so() -> None:
    names = ClassNames((("cat",), ("Great Owl", "n0123"), ("CAT",), ("red_fox",)))
    assert names.index("cat") == 0
    assert names.index("CAT") == 2
    assert names.index("great_owl") == 1
    assert names.index("n0123") == 1
    assert names.index("Red Fox") == 3
    assert names.index("dog") is None
    with pytest.raises(InputError, match="several classes are called 'Cat'"):
        names.index("Cat")
    with pytest.raises(InputError, match="several classes"):
        ClassNames((("crane",), ("crane",))).index("crane")


def test_numbers_without_a_name_keep_their_place(tmp_path: Path) -> None:
    (tmp_path / "sparse.json").write_text('{"1": "person", "3": "car"}')
    assert read_names(tmp_path / "sparse.json").shown == ("0", "person", "2", "car")


def test_a_synset_list_knows_both_names(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish\n")
    names = read_names(tmp_path / "words.txt")
    assert names.shown == ("tench, Tinca tinca", "goldfish")
    assert (names.index("n01443537"), names.index("goldfish"), names.index("n01440764")) == (1, 1, 0)
