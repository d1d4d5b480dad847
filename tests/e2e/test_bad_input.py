"""Bad input: exit code 2, one clear line, nothing left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.targets import describe

Edgekit = Callable[..., subprocess.CompletedProcess[str]]


def refused(answer: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2 and one error line that holds the words."""
    lines = [line for line in answer.stderr.splitlines() if line.startswith("edgekit: error:")]
    assert answer.returncode == 2, answer.stderr
    assert len(lines) == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def build(edgekit: Edgekit, tmp_path: Path) -> Edgekit:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        answer = edgekit("build", *arguments, "--out", tmp_path / "out", "-q", timeout=120)
        assert not (tmp_path / "out").exists()
        return answer

    return run


def test_a_missing_onnx(build: Edgekit, tmp_path: Path) -> None:
    refused(build("--model", tmp_path / "no.onnx"), "no.onnx")


def test_a_truncated_onnx(build: Edgekit, tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    whole = tiny_onnx().read_bytes()
    for kept in (0, 100, len(whole) // 2, len(whole) - 20):
        (tmp_path / "cut.onnx").write_bytes(whole[:kept])
        refused(build("--model", tmp_path / "cut.onnx"), "cut.onnx")


def test_a_folder_without_images(build: Edgekit, tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(build("--model", tiny_onnx(), "--data", tmp_path / "empty"), "no images")
    refused(build("--model", tiny_onnx(), "--data", tmp_path / "nowhere"), "nowhere")


def test_an_unreadable_image_among_good_ones(
    build: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path]
) -> None:
    folder = photos(count=6)
    (folder / "a" / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    refused(build("--model", tiny_onnx(), "--data", folder), "1 of 13", "a/bad.jpg", "--skip-bad-images")


def test_one_class_only(build: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path]) -> None:
    refused(build("--model", tiny_onnx(), "--data", photos(classes=1)), "one class")


def test_labels_out_of_range(build: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path]) -> None:
    refused(build("--model", tiny_onnx(classes=4), "--data", photos(classes=6)), "out of range", "4 classes")


def test_nan_weights(build: Edgekit, tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    refused(build("--model", tiny_onnx(poison=True)), "NaN")
    import torch
    from safetensors.torch import save_file

    from edgekit.models import create

    state = create("inception_v4", 4, 0.25).state_dict()
    state["last_linear.bias"][0] = torch.nan
    save_file(state, tmp_path / "nan.safetensors")
    weights = ("--weights", tmp_path / "nan.safetensors", "--width", 0.25, "--num-classes", 4)
    refused(build("--model", "inception_v4", *weights), "NaN", "last_linear.bias")


def test_a_checkpoint_of_another_architecture(build: Edgekit, tmp_path: Path) -> None:
    import torch

    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    refused(build("--model", "inception_v4", "--weights", tmp_path / "other.pth"), "another architecture")


def test_a_pickle_that_runs_code_is_not_run(build: Edgekit, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, (f"touch {tmp_path / 'ran'}",)

    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Evil()))
    refused(build("--model", "inception_v4", "--weights", tmp_path / "evil.pth"), "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_width(build: Edgekit, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from edgekit.models import create

    save_file(create("inception_v4", 4, 0.25).state_dict(), tmp_path / "w.safetensors")
    answer = build(
        "--model", "inception_v4", "--weights", tmp_path / "w.safetensors", "--width", 0.5, "--num-classes", 4
    )
    refused(answer, "another width")


def test_an_unknown_recipe_key_names_the_nearest(build: Edgekit, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("model: inception_v4\nmax_dorp: 1\n")
    refused(build("--recipe", tmp_path / "r.yaml"), "max_dorp", "max_drop")
    (tmp_path / "r.yaml").write_text("calibration: {strategie: random}\n")
    refused(build("--recipe", tmp_path / "r.yaml"), "calibration.strategie", "strategy")
    (tmp_path / "r.yaml").write_text("[1, 2]\n")
    refused(build("--recipe", tmp_path / "r.yaml"), "r.yaml")


def test_an_overlap_of_calibration_and_evaluation(
    build: Edgekit, edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, copy = photos("one", count=6), photos("copy", count=6)
    refused(build("--model", tiny_onnx(), "--data", folder, "--calibration", copy), "12 images are in both")
    manifest = tmp_path / "set.json"
    assert edgekit("calibrate", "--data", folder, "--images", 5, "--out", manifest).returncode == 0
    refused(build("--model", tiny_onnx(), "--data", copy, "--calibration", manifest), "5 images are in both")


def test_a_calibration_set_whose_files_changed(
    build: Edgekit, edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, manifest = photos("cal", seed=1), tmp_path / "set.json"
    assert edgekit("calibrate", "--data", folder, "--images", 8, "--out", manifest).returncode == 0
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(folder / "a" / "0.png")
    answer = build("--model", tiny_onnx(), "--data", photos("eval"), "--calibration", manifest)
    refused(answer, "changed", "a/0.png")


def test_an_output_directory_that_is_not_ours(edgekit: Edgekit, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    refused(edgekit("build", "--model", "inception_v4", "--out", tmp_path / "mine", "-q"), "not a bundle")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_unknown_names_name_the_nearest(build: Edgekit) -> None:
    refused(build("--model", "inception_v5"), "inception_v4")
    refused(build("--target", "cpuu"), "cpu")


@pytest.mark.skipif(bool(describe().gpus), reason="there is a GPU here")
def test_a_target_that_cannot_be_built_for_exits_4(edgekit: Edgekit, tmp_path: Path) -> None:
    answer = edgekit("build", "--model", "inception_v4", "--target", "gpu", "--out", tmp_path / "out")
    assert answer.returncode == 4
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize("kilobytes", [28, 60, 90, 110])
def test_a_store_on_a_full_disk(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kilobytes: int
) -> None:
    """However far the build comes before the disk is full, it says so; a library's own words for it are not enough."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "x", str(mount)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        (tmp_path / "quick.yaml").write_text("latency: {runs: 10, max_seconds: 0.1}\n")
        monkeypatch.setenv("EDGEKIT_CACHE", str(mount))
        out = tmp_path / "out"
        answer = edgekit("build", "--model", tiny_onnx(), "--recipe", tmp_path / "quick.yaml", "--out", out, "-q")
        refused(answer, "full")
        assert not out.exists()
    finally:
        subprocess.run(["umount", mount], check=False)


def test_a_full_disk(edgekit: Edgekit, tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "x", mount], check=False, capture_output=True
    ).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        (tmp_path / "quick.yaml").write_text("latency: {runs: 10, max_seconds: 0.1}\n")
        answer = edgekit(
            "build", "--model", tiny_onnx(), "--recipe", tmp_path / "quick.yaml", "--out", mount / "out", "-q"
        )
        refused(answer, "full")
        assert list(mount.iterdir()) == []
    finally:
        subprocess.run(["umount", mount], check=False)
