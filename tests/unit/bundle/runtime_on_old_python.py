"""What is tried of the device runtime on an old Python: run by test_bundle.py, and alone.

    python3.6 -I tests/unit/bundle/runtime_on_old_python.py edgekit_runtime.pyz BUNDLE SCRATCH

That Python needs numpy, onnxruntime and Pillow. The bundle's model must be one that the ONNX Runtime there can read.
"""

import io
import os
import platform
import shutil
import sys
import threading

import numpy as np

ARCHIVE, BUNDLE, SCRATCH = sys.argv[1:4]
sys.path.insert(0, ARCHIVE)

from edgekit_runtime import Bundle, BundleError, ImageError  # noqa: E402
from edgekit_runtime.command import main  # noqa: E402
from edgekit_runtime.contract import Contract  # noqa: E402
from edgekit_runtime.decoding import fitted  # noqa: E402
from edgekit_runtime.resize import FILTERS, fit, resample  # noqa: E402
from PIL import Image, __version__  # noqa: E402

DICE = np.random.RandomState(0)


def refused(kind, do):
    words = "\n"
    try:
        do()
    except kind as error:
        words = str(error)
    assert "\n" not in words, words


def resizes_as_pillow():
    for _ in range(60):
        width, height, to_width, to_height = (int(side) for side in DICE.randint(1, 80, 4))
        pixels = DICE.randint(0, 256, (height, width, 3), dtype=np.uint8)
        for name in ("nearest", *FILTERS):
            method = getattr(Image, name.upper())
            theirs = Image.fromarray(pixels).resize((to_width, height), method).resize((to_width, to_height), method)
            assert np.array_equal(resample(pixels, to_width, to_height, name), np.asarray(theirs)), name


def fits_with_and_without_pillow():
    pixels = DICE.randint(0, 256, (50, 70, 3), dtype=np.uint8)
    for resize in ("crop", "squash", "letterbox", "pad"):
        for antialias in (True, False):
            contract = Contract((24, 32), 1.0, "bilinear", resize, antialias, (1, 2, 3), "center")
            assert np.array_equal(fit(pixels, contract), fitted(Image.fromarray(pixels), contract)), contract


def classifies():
    pixels = DICE.randint(0, 256, (50, 70, 3), dtype=np.uint8)
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    with open(os.path.join(SCRATCH, "a.png"), "wb") as file:
        file.write(packed.getvalue())
    with Bundle.open(BUNDLE, mode="throughput") as bundle, bundle.session() as session:
        one = session.classify(pixels)
        assert one == session.classify(packed.getvalue()) == session.classify(os.path.join(SCRATCH, "a.png"))
        assert session.classify([pixels] * 9) == [one] * 9 == [session.submit(pixels).result() for _ in range(9)]
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(session.classify(pixels))) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert answers == [one] * 8
        refused(ImageError, lambda: session.classify(packed.getvalue()[:-400]))
        refused(ImageError, lambda: session.classify(b"none"))
        told = session.counters()
        assert (told["images"], told["errors"]) == (29, 2), told
    refused(BundleError, lambda: session.classify(pixels))


def refuses():
    for name in ("model.onnx", "golden.npz", "manifest.json"):
        copy = os.path.join(SCRATCH, "copy-" + name)
        shutil.copytree(BUNDLE, copy)
        with open(os.path.join(copy, name), "r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.truncate()
        refused(BundleError, lambda: Bundle.open(copy))  # noqa: B023  # called at once
    assert main(["verify", BUNDLE]) == 0
    assert main(["classify", BUNDLE, os.path.join(SCRATCH, "a.png")]) == 0
    assert main(["classify", BUNDLE, "none.png"]) == 2


def knows_its_signer():
    key = os.path.join(SCRATCH, "key.pub")
    if not os.path.exists(key):  # nothing was here to sign with
        return
    assert main(["verify", BUNDLE, "--key", key]) == 0
    with Bundle.open(BUNDLE, allowed_signers=key) as bundle:
        assert len(bundle.signer) == 64
    with open(key) as file:
        lines = file.read().splitlines()
    with open(os.path.join(SCRATCH, "damaged.pub"), "w") as file:
        file.write("\n".join([lines[0], lines[1][:-1] + ("A" if lines[1][-1] != "A" else "B"), *lines[2:]]))
    assert main(["verify", BUNDLE, "--key", os.path.join(SCRATCH, "damaged.pub")]) == 2
    assert main(["verify", BUNDLE, "--key", os.path.join(SCRATCH, "none")]) == 2


resizes_as_pillow()
fits_with_and_without_pillow()
classifies()
refuses()
knows_its_signer()
print(f"fine on {platform.python_version()}, numpy {np.__version__}, Pillow {__version__}")
