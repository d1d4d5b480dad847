"""`edgekit verify`, `sign` and `run`, and the runtime as a device has it: one file, or a light environment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import LABELS, make_bundle
from PIL import Image

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of five images, in two folders."""
    dice = np.random.Generator(np.random.PCG64(0))
    for index in range(5):
        folder = tmp_path / "pictures" / str(index % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dice.integers(0, 256, (30 + index, 40, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "pictures"


def test_verify_says_what_is_good_and_what_is_not(bundle: Path, tmp_path: Path, edgekit: Run) -> None:
    good = edgekit("verify", bundle)
    assert (good.returncode, good.stderr) == (0, "")
    assert [line.split()[0] for line in good.stdout.splitlines()] == ["manifest", "files", "signature", "golden"]
    told = json.loads(edgekit("verify", bundle, "--json", "--no-golden").stdout)
    assert told["ok"] is True
    assert told["checks"][-1] == {"name": "golden outputs", "ok": None, "detail": "not run"}
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "model.bin").write_bytes(b"")
    bad = edgekit("verify", copy, "--json")
    assert bad.returncode == 2
    assert json.loads(bad.stdout)["checks"][-1]["detail"].startswith("model.bin has changed")
    assert edgekit("verify", tmp_path / "none").returncode == 2
    missing = edgekit("verify", bundle, "--runtime", "tensorrt")
    assert missing.returncode == 4
    assert "tensorrt is not installed" in missing.stdout
    assert edgekit("verify", bundle, "--identity", "me").returncode == 2


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen here")
def test_sign_and_verify_who_signed(bundle: Path, tmp_path: Path, edgekit: Run) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "signers"
    signers.write_text("me@example.com " + key.with_suffix(".pub").read_text())
    asked = ("--allowed-signers", signers)
    assert edgekit("verify", copy, *asked, "--no-golden").returncode == 2
    signed = edgekit("sign", copy, "--key", key, "--json")
    assert (signed.returncode, signed.stderr) == (0, "")
    assert json.loads(signed.stdout) == {"signature": str(copy / "manifest.json.sig")}
    told = json.loads(edgekit("verify", copy, *asked, "--no-golden", "--json").stdout)
    assert told["checks"][2] == {"name": "signature", "ok": True, "detail": "by me@example.com"}
    assert edgekit("run", copy, *asked, tmp_path / "none.png").returncode == 2
    refused = edgekit("sign", copy, "--key", tmp_path / "none")
    assert refused.returncode == 2
    assert "there is no key" in refused.stderr
    early = edgekit("build", "--sign", tmp_path / "none", "--out", tmp_path / "out")
    assert early.returncode == 2
    assert len(early.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_run_files_and_folders(bundle: Path, pictures: Path, edgekit: Run) -> None:
    one = edgekit("run", bundle, pictures / "0" / "0.png", "--top", 1)
    assert one.returncode == 0, one.stderr
    assert one.stdout.startswith(f"{pictures}/0/0.png: ")
    assert any(label in one.stdout for label in LABELS)
    told = json.loads(edgekit("run", bundle, pictures, "--json").stdout)
    assert (told["classified"], told["failed"], told["runtime"]) == (5, 0, "openvino")
    assert [Path(each["image"]).name for each in told["images"]] == ["0.png", "2.png", "4.png", "1.png", "3.png"]
    assert all(len(each["classes"]) == 4 for each in told["images"])
    other = edgekit("run", bundle, pictures, "--runtime", "onnxruntime", "--jsonl")
    assert "built for openvino, run with onnxruntime" in other.stderr
    lines = [json.loads(line) for line in other.stdout.splitlines()]
    for ours, theirs in zip(lines, told["images"], strict=True):
        assert ours["classes"][0]["label"] == theirs["classes"][0]["label"]


def test_a_broken_image_among_many_is_told_of_and_counted(bundle: Path, pictures: Path, edgekit: Run) -> None:
    (pictures / "1" / "broken.png").write_bytes(b"no image")
    done = edgekit("run", bundle, pictures, "--json")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert (told["classified"], told["failed"]) == (5, 1)
    (broken,) = [each["error"] for each in told["images"] if "error" in each]
    assert broken.endswith("it is no image that is known here")
    assert done.stderr.splitlines()[-1] == "edgekit: warning: 1 of 6 images could not be classified"
    assert len(done.stderr.splitlines()) == 2


def test_a_stream_of_paths_is_answered_as_it_comes(bundle: Path, pictures: Path) -> None:
    command = [sys.executable, "-m", "edgekit", "run", str(bundle), "-", "--jsonl", "--top", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name in ("0/0.png", "1/1.png"):
            process.stdin.write(f"{pictures}/{name}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["image"] == f"{pictures}/{name}"
        process.stdin.close()
        assert process.wait(20) == 0


def test_who_has_read_enough_may_leave(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    """As `head -1` does."""
    paths = f"{pictures}/0/0.png\n" * 3_000
    for command in (["-m", "edgekit", "run"], [str(bundle / "edgekit_runtime.pyz"), "classify"]):
        with subprocess.Popen(
            [sys.executable, *command, str(bundle), "-", "--jsonl"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(paths.encode()[:4_000])
                process.stdin.flush()
                assert process.stdout.readline()
                process.stdout.close()
                process.stdin.write(paths.encode())
                process.stdin.close()
            assert process.wait(30) == 0
            assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give images, or --camera"),
        (("x.png", "--camera", "0"), "Give images, or --camera"),
        (("-", "--json"), "use --jsonl"),
        (("x.png", "--json", "--jsonl"), "not both"),
        (("EMPTY",), "there are no images in"),
        (("x.png", "--runtime", "abacus"), "there is no runtime 'abacus'"),
    ],
)
def test_use_that_makes_no_sense(bundle: Path, tmp_path: Path, edgekit: Run, arguments: Any, words: str) -> None:
    given = [tmp_path if each == "EMPTY" else each for each in arguments]
    done = edgekit("run", bundle, *given)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_run_needs_a_bundle_and_what_is_missing_is_named(bundle: Path, tmp_path: Path, edgekit: Run) -> None:
    none = edgekit("run", tmp_path, "x.png")
    assert none.returncode == 2
    assert "holds no bundle" in none.stderr
    lacking = edgekit("run", bundle, "x.png", "--runtime", "tensorrt")
    assert lacking.returncode == 4
    assert "tensorrt is not installed on this device" in lacking.stderr


def test_the_verbs_load_nothing_of_torch(bundle: Path, pictures: Path) -> None:
    code = (
        "import sys\nfrom edgekit.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    print('LOADED', [m for m in ('torch', 'nncf', 'onnx', 'pydantic') if m in sys.modules], end.code)"
    )
    for verb in (["verify", str(bundle)], ["run", str(bundle), str(pictures)]):
        done = subprocess.run([sys.executable, "-c", code, *verb], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "LOADED [] 0", done.stderr


def test_the_one_file_runs_and_is_imported(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    runtime = bundle / "edgekit_runtime.pyz"
    assert runtime.stat().st_size < 300_000

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert run(runtime, "verify", bundle).returncode == 0
    told = run(runtime, "classify", bundle, pictures / "0" / "0.png", "--jsonl")
    assert len(json.loads(told.stdout)["classes"]) == 4
    broken = run(runtime, "classify", bundle, pictures / "0" / "0.png", "none.png")
    assert broken.returncode == 2
    assert broken.stderr == "edgekit: error: cannot read the image none.png: No such file or directory.\n"
    assert run(runtime, "verify", tmp_path).returncode == 2
    assert run(runtime, "verify", bundle, "--runtime", "tensorrt").returncode == 4
    code = f"import sys; sys.path.insert(0, {str(runtime)!r}); import edgekit_runtime as e; print(e.__file__)\n"
    code += (
        f"with e.Bundle.open({str(bundle)!r}) as b: print(b.session().classify({str(pictures / '0' / '0.png')!r}, 1))"
    )
    imported = run("-c", code)
    assert imported.returncode == 0, imported.stderr
    assert "edgekit_runtime.pyz/edgekit_runtime" in imported.stdout


def test_the_one_file_is_the_same_each_time() -> None:
    code = (
        "import hashlib, edgekit.bundle.runtime_archive as made;"
        "print(hashlib.sha256(made.runtime_archive()).hexdigest())"
    )
    told = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(told) == 1


@pytest.mark.slow
def test_the_runtime_answers_as_evaluation_does(headline: Any, tmp_path: Path) -> None:
    """The same class first on 500 images, through files of odd sizes, with both runtimes that run here."""
    from edgekit.build.runnable import of_bundle
    from edgekit.data.folder import open_images
    from edgekit.data.signs import draw
    from edgekit.runtime import Bundle

    runnable = of_bundle(headline.directory)
    for index in range(500):
        side = 200 + index % 170
        Image.fromarray(draw("validation", index, side)).save(tmp_path / f"{index:03}.png")
    images = open_images(tmp_path)
    from edgekit.backends.openvino import load

    with load(runnable.compiled) as evaluation:
        wanted = [int(evaluation.infer(images.load(i, runnable.preprocessing)[None]).argmax()) for i in range(500)]
    paths = sorted(tmp_path.iterdir())
    with Bundle.open(headline.directory) as bundle, bundle.session() as session:
        assert session.logits(paths).argmax(1).tolist() == wanted
    with Bundle.open(headline.directory, runtime="onnxruntime") as bundle, bundle.session() as session:
        assert (session.logits(paths).argmax(1) == wanted).mean() >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_light_environment_verifies_and_runs(
    runtime: str, headline: Any, bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    """Only the base install and one inference runtime: torch cannot be imported there."""
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    # Versions without hashes: with them pip takes no folder of sources.
    versions = re.sub(r" \\\n +--hash=\S+", "", (ROOT / ".lock" / "cpu.txt").read_text())
    (tmp_path / "versions.txt").write_text(versions)
    subprocess.run([*pip, "-c", str(tmp_path / "versions.txt"), str(ROOT), runtime], check=True, timeout=500)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": ""}
        command = [str(python), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)

    assert "No module named 'torch'" in run("-c", "import torch").stderr
    for directory in (bundle, headline.directory):
        good = run("-m", "edgekit", "verify", directory)
        assert good.returncode == 0, good.stdout + good.stderr
        assert f"with {runtime}" in good.stdout
    told = run("-m", "edgekit", "run", bundle, pictures, "--json")
    assert json.loads(told.stdout)["classified"] == 5, told.stderr
