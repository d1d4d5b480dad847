"""Labels that are counted otherwise than the network counts, through the command line: named, refused, or put right."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.colours import QUICK, colours, knows_colours, paint, paint_folders

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
LETTERS = list("abcdefghijkl")
FLAGS = ("--crop-fraction", 1, "--mean", 0, "--std", 1, "--prune", "none")


@pytest.fixture
def build(edgekit: Edgekit, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Builds a network of colours on a folder of colours, in FP32 unless told otherwise."""
    (tmp_path / "quick.yaml").write_text(QUICK)

    def run(*arguments: object, data: str = "photos", first: int = 0) -> subprocess.CompletedProcess[str]:
        net = knows_colours(tmp_path / "net.onnx", len(LETTERS), first)
        precision = () if "--precision" in arguments else ("--precision", "fp32")
        told = ("--model", net, "--data", tmp_path / data, "--recipe", tmp_path / "quick.yaml", *FLAGS, *precision)
        return edgekit("build", *told, "--out", tmp_path / "out", *arguments, "--json")

    return run


def report_of(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert answer.returncode == 0, answer.stderr
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


def top1(report: dict[str, Any]) -> float:
    found: float = report["variants"][0]["accuracy"]["top1"]
    return found


def refused(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    lines = [line for line in answer.stderr.splitlines() if line.startswith("edgekit: error:")]
    assert (answer.returncode, len(lines)) == (2, 1), answer.stderr
    for word in words:
        assert word in lines[0]


def test_numbered_folders(build: Edgekit, tmp_path: Path) -> None:
    paint_folders(tmp_path / "photos", [str(n) for n in range(12)])
    report = report_of(build())
    assert top1(report) == 100.0
    assert any("were read as numbers" in text for text in report["warnings"])
    assert report["verdict"]["accuracy"]["ok"] is True


def test_a_background_class_first(build: Edgekit, tmp_path: Path) -> None:
    """With few images a warning and no verdict; with many the build stops before it compresses."""
    paint_folders(tmp_path / "photos", LETTERS)
    report = report_of(build(first=1))
    assert top1(report) == 0.0
    assert any("12 class folders, and the network has 13 outputs" in text for text in report["warnings"])
    assert any("Give --label-offset 1" in text for text in report["warnings"])
    accuracy = report["verdict"]["accuracy"]
    assert accuracy["ok"] is None
    assert "FP32 is no better than chance" in accuracy["why"]
    assert "Within budget" not in (tmp_path / "out" / "report.md").read_text()
    assert "Accuracy in doubt" in (tmp_path / "out" / "report.html").read_text()

    paint_folders(tmp_path / "many", LETTERS, each=9)
    answer = build(data="many", first=1)
    refused(answer, "FP32 is no better than chance: 0.0 % top-1 on 108 images", "Give --label-offset 1")
    assert not any(line.startswith("quantize") for line in answer.stderr.splitlines())
    right = report_of(build("--label-offset", 1, data="many", first=1))
    assert top1(right) == 100.0
    assert right["verdict"]["accuracy"]["ok"] is True
    assert "why" not in right["verdict"]["accuracy"]
    allowed = report_of(build("--allow-chance", data="many", first=1))
    assert any("no better than chance" in text for text in allowed["warnings"])


def test_another_order_is_named_and_put_right_with_names(build: Edgekit, tmp_path: Path) -> None:
    order = [LETTERS[(7 * n + 3) % 12] for n in range(12)]
    paint_folders(tmp_path / "photos", order, each=10)
    refused(build(), "The classes are in another order (a is answered as", "--labels FILE")
    (tmp_path / "names.txt").write_text("\n".join(order).upper() + "\n")
    report = report_of(build("--labels", tmp_path / "names.txt"))
    assert top1(report) == 100.0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["labels"] == [name.upper() for name in order]
    (tmp_path / "names.txt").write_text("\n".join(order[:-1]) + "\n")
    refused(build("--labels", tmp_path / "names.txt"), f"among no names of --labels: {order[-1]}")


def test_folders_that_count_as_text(build: Edgekit, tmp_path: Path) -> None:
    """Two of twelve are at their place all the same: not chance, and yet plainly wrong."""
    paint_folders(tmp_path / "photos", [f"class{n}" for n in range(12)], each=10)
    report = report_of(build())
    assert 0 < top1(report) < 50
    assert any("numbers in names taken as numbers" in text for text in report["warnings"])
    assert report["verdict"]["accuracy"]["ok"] is None


def test_the_root_of_a_data_set(build: Edgekit, tmp_path: Path) -> None:
    for part in ("train", "val"):
        paint_folders(tmp_path / "photos" / part, LETTERS, each=1)
    refused(build(), "its folders are train, val", str(tmp_path / "photos" / "val"))


def test_the_other_order_of_colours(build: Edgekit, tmp_path: Path) -> None:
    paint_folders(tmp_path / "photos", LETTERS, each=10)
    answer = build("--color", "bgr", "--mean", 0.9, "--std", 0.05)
    refused(answer, "chance", "--mean 0 --std 1 --color rgb")


def test_the_same_picture_everywhere(build: Edgekit, tmp_path: Path) -> None:
    for name in LETTERS:
        for n in range(3):
            path = tmp_path / "photos" / name / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((24, 24, 3), 90, np.uint8)).save(path)
    refused(build("--precision", "int8"), "nothing is left to evaluate", "24 images are copies of the 12")


def test_copies_and_strays_are_counted_in_the_report(build: Edgekit, tmp_path: Path) -> None:
    photos = paint_folders(tmp_path / "photos", LETTERS)
    for n in range(4):
        (photos / "a" / f"copy{n}.png").write_bytes((photos / "a" / "0.png").read_bytes())
    paint(colours(12)[2], photos / "c" / "new.jfif", format="JPEG")
    (photos / "stray.png").write_bytes((photos / "b" / "0.png").read_bytes())
    (photos / "b" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    report = report_of(build("--precision", "int8", "--max-drop", 100))
    left_out = report["data"]["left_out"]
    assert left_out["unknown suffix"] == {"count": 1, "first": ["b/photo.heic"]}
    assert left_out["beside the classes"] == {"count": 1, "first": ["stray.png"]}
    copies = left_out.get("copy of a calibration image", {"count": 0})["count"]
    assert report["data"]["images"] + report["calibration"]["images"] + copies == 77
    assert any("b/photo.heic" in text for text in report["warnings"])


def test_names_that_are_no_text(build: Edgekit, edgekit: Edgekit, tmp_path: Path) -> None:
    """Bytes of an older encoding, and a class that would turn a terminal red, in every form of the report."""
    photos = paint_folders(tmp_path / "ph", ["\x1b[31m<b>red", *LETTERS[1:]])
    for n in range(6):
        os.rename(photos / "b" / f"{n}.png", os.fsencode(photos / "b") + b"/M\xfcller%d.png" % n)
    (photos / "b" / "broken.png").write_bytes(b"no picture")
    os.rename(photos / "b" / "broken.png", os.fsencode(photos / "b") + b"/br\xf6ken.png")
    os.rename(photos, os.fsencode(tmp_path) + b"/ph\xfc")
    answer = build("--skip-bad-images", "--precision", "int8", data=os.fsdecode(b"ph\xfc"))
    report = report_of(answer)
    assert report["data"]["name"] == "ph\\xfc"
    assert report["data"]["left_out"]["unreadable"]["first"] == ["b/br\\xf6ken.png"]
    for name in ("report.md", "report.html", "report.json", "calibration.json", "recipe.yaml", "manifest.json"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "\x1b" not in text
        assert "<b>red" not in text or name != "report.html"
    assert "\x1b" not in answer.stderr
    pinned = json.loads((tmp_path / "out" / "calibration.json").read_text())["items"]
    assert any("b/M\\xfcller" in item["identifier"] for item in pinned)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["labels"][0] == "\\x1b[31m<b>red"

    listed = tmp_path / "listed"
    listed.write_bytes(os.fsencode(tmp_path) + b"/ph\xfc/b/M\xfcller0.png\n")
    with listed.open("rb") as paths:
        run = edgekit("run", tmp_path / "out", "-", "--jsonl", "--top", 1, stdin=paths)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["image"].endswith("/ph\\xfc/b/M\\xfcller0.png")
    assert told["classes"][0]["label"] == "b"
    plain = edgekit("run", tmp_path / "out", os.fsdecode(os.fsencode(tmp_path) + b"/ph\xfc"), "--top", 1)
    assert plain.returncode == 2, "one image is broken"
    assert "/b/br\\xf6ken.png" in plain.stderr
    assert "\x1b" not in plain.stdout + plain.stderr
    assert "\\x1b[31m<b>red" in plain.stdout


def test_evaluate_reads_labels_alike(edgekit: Edgekit, tmp_path: Path) -> None:
    net, photos = knows_colours(tmp_path / "net.onnx", 12, first=1), paint_folders(tmp_path / "photos", LETTERS, each=2)
    (photos / "z.png").write_bytes((photos / "a" / "0.png").read_bytes())
    (photos / "list.tsv").write_text("File Name\tClass\n" + "".join(f"{n}/0.png\t{n}\n" for n in LETTERS))
    (tmp_path / "names.txt").write_text("\n".join(LETTERS))
    flags = ("--mean", 0, "--std", 1, "--crop-fraction", 1, "--json")
    plain = edgekit("evaluate", net, "--data", photos, *flags)
    assert json.loads(plain.stdout)["accuracy"]["top1"] == 0.0
    assert "is no better than chance" in plain.stderr
    assert "Give --label-offset 1" in plain.stderr
    moved = json.loads(edgekit("evaluate", net, "--data", photos, "--label-offset", 1, *flags).stdout)
    assert moved["accuracy"]["top1"] == 100.0
    assert moved["data"]["left_out"]["beside the classes"]["count"] == 1
    told = ("--labels", tmp_path / "names.txt", "--label-offset", 1)
    assert json.loads(edgekit("evaluate", net, "--data", photos / "list.tsv", *told, *flags).stdout)["accuracy"] == {
        **moved["accuracy"], "images": 12, "ci95": pytest.approx([75.75, 100.0], abs=0.01),
    }  # fmt: skip
