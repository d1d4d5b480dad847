"""answers.npz: written, read back, and refused where it is not what the manifest or arrays say."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import fit, make_bundle

from edgekit.bundle.answers import NAME, Answers, read_answers, short_hash
from edgekit.errors import InputError


def some(count: int = 21, chosen: int = 13) -> Answers:
    dice = np.random.Generator(np.random.PCG64(1))
    images = np.frombuffer(
        b"".join(short_hash(hashlib.sha256(str(n).encode()).hexdigest()) for n in range(count)), np.uint8
    )
    right = dice.random(count) < 0.5
    return Answers(images.reshape(-1, 8), np.arange(count, dtype=np.int32), right, right[:chosen])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("answers") / "bundle", runtime="onnxruntime")


def test_they_are_read_as_they_were_written(bundle: Path) -> None:
    told = some()
    fit(bundle, {NAME: told.to_bytes()})
    found = read_answers(bundle)
    assert found is not None
    for key in ("images", "labels", "baseline", "chosen"):
        np.testing.assert_array_equal(getattr(found, key), getattr(told, key))
    assert len(some(50_000, 50_000).to_bytes()) < 700_000


def test_a_bundle_need_not_have_them(tmp_path: Path) -> None:
    assert read_answers(make_bundle(tmp_path / "plain", runtime="onnxruntime")) is None


def test_another_file_than_the_manifest_names_is_refused(bundle: Path) -> None:
    fit(bundle, {NAME: some().to_bytes()})
    (bundle / NAME).write_bytes(some(20, 20).to_bytes())
    with pytest.raises(InputError, match="not the file that the bundle's manifest names"):
        read_answers(bundle)
    (bundle / NAME).unlink()
    with pytest.raises(InputError, match="cannot be read"):
        read_answers(bundle)


def arrays(**changed: Any) -> bytes:
    told = some()
    kept = {
        "images": told.images, "labels": told.labels, "baseline": np.packbits(told.baseline),
        "chosen": np.packbits(told.chosen), "shown": np.array([21, 13]),
    }  # fmt: skip
    into = io.BytesIO()
    np.savez_compressed(into, **{key: value for key, value in {**kept, **changed}.items() if value is not None})
    return into.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK\x03\x04", b"no archive at all",
        arrays(labels=None), arrays(more=np.zeros(1)), arrays(shown=np.array([21, 22])),
        arrays(shown=np.array([21, 0])),
        arrays(shown=np.array([1 << 40, 13])), arrays(shown=np.array([21.0, 13.0])), arrays(shown=np.array(21)),
        arrays(images=np.zeros((21, 7), np.uint8)), arrays(labels=np.zeros(21, np.int64)),
        arrays(baseline=np.zeros(2, np.uint8)), arrays(chosen=np.zeros(2, np.int8)),
        arrays(labels=np.array([object()], dtype=object)),
    ],
    ids=range(15),
)  # fmt: skip
def test_what_makes_no_sense_is_refused(bundle: Path, content: bytes) -> None:
    fit(bundle, {NAME: content})
    with pytest.raises(InputError, match="holds no answers"):
        read_answers(bundle)


def test_a_file_that_unpacks_to_too_much_is_refused(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgekit.bundle import answers

    content = arrays(images=np.zeros((1 << 20, 8), np.uint8))
    fit(bundle, {NAME: content})
    monkeypatch.setattr(answers, "MOST_BYTES", 1 << 20)
    with pytest.raises(InputError, match="too large"):
        read_answers(bundle)


def test_a_member_that_is_no_array_is_refused_as_such(bundle: Path) -> None:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as packed:
        for name in ("images", "labels", "baseline", "chosen", "shown"):
            packed.writestr(f"{name}.npy", b"bytes")
    fit(bundle, {NAME: into.getvalue()})
    with pytest.raises(InputError, match="it holds what is no array"):
        read_answers(bundle)
