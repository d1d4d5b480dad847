"""What a build keeps of its evaluation, image by image, is what was judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import fit, make_bundle
from numpy.typing import NDArray

from edgekit.build.answers import answers_beside
from edgekit.build.evaluate import EvaluateInput, EvaluationResult
from edgekit.build.plan import Plan, planned
from edgekit.build.stage import File
from edgekit.bundle.answers import Answers, read_answers
from edgekit.data.signs_set import SignsSet
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.validate.evaluation import Views, evaluate
from edgekit.validate.question import Question
from edgekit.validate.sequential import Stopping

TOTAL = 1_200


class Given:
    """A network whose answers are given beforehand, in the order of the pictures."""

    def __init__(self, answers: NDArray[np.int64], classes: int) -> None:
        self._answers, self._classes, self._shown = answers, classes, 0

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of the next pictures."""
        given = self._answers[self._shown : self._shown + len(pictures)]
        self._shown += len(pictures)
        return np.eye(self._classes, dtype=np.float32)[given]

    infer = infer_many


def judged(plan: Plan, folder: Path, labelled: bool = True) -> tuple[EvaluateInput, EvaluationResult]:
    """FP32, which is always right, and INT8, which is wrong on every tenth image and stops early."""
    images = SignsSet("validation", TOTAL)
    assert images.labels is not None
    order = np.random.Generator(np.random.PCG64(3)).permutation(TOTAL)
    truth, classes = images.labels[order], len(images.classes)
    int8 = np.where(np.arange(TOTAL) % 10 == 0, (truth + 1) % classes, truth)
    sessions = {"fp32": Given(truth, classes), "int8": Given(int8, classes)}
    how, indices = plan.source.preprocessing, tuple(int(each) for each in order)
    views = Views(images, indices, type(how)(size=(8, 8)), labelled, Question())
    found, arrays = evaluate(sessions, views, 4, stopping=Stopping(1.0) if labelled else None)
    np.savez(folder / "golden.npz", **arrays)
    shown = EvaluateInput((), plan.executor, images, indices, how, labelled, Question(), 4)
    return shown, EvaluationResult(found, File(folder / "golden.npz", "1"))


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return planned(Recipe(images=24, prune="none"), Store(tmp_path_factory.mktemp("store")))


def kept(files: dict[str, bytes], folder: Path) -> Answers:
    bundle = make_bundle(folder / "bundle", runtime="onnxruntime")
    fit(bundle, files)
    found = read_answers(bundle)
    assert found is not None
    return found


def test_the_bits_are_those_that_were_judged(plan: Plan, tmp_path: Path) -> None:
    shown, found = judged(plan, tmp_path)
    answers = kept(answers_beside(plan, shown, found, "int8"), tmp_path)
    of_int8 = found.evaluated.variants["int8"].accuracy
    assert of_int8 is not None
    assert len(answers.chosen) == of_int8.images < TOTAL
    assert 100 * answers.chosen.mean() == pytest.approx(of_int8.top1)
    assert (~answers.chosen).nonzero()[0].tolist() == list(range(0, of_int8.images, 10))
    assert answers.baseline.all()
    first = shown.images.content_hash(shown.indices[0])
    assert answers.images[0].tobytes().hex() == first[:16]
    assert shown.images.labels is not None
    assert answers.labels.tolist() == shown.images.labels[list(shown.indices[: len(answers.labels)])].tolist()


def test_nothing_is_kept_where_it_is_not_wanted_or_nothing_is_right(plan: Plan, tmp_path: Path) -> None:
    shown, found = judged(plan, tmp_path, labelled=False)
    assert answers_beside(plan, shown, found, "int8") == {}
    shown, found = judged(plan, tmp_path)
    small = planned(Recipe(images=24, prune="none", keep_answers=False), Store(tmp_path / "store"))
    assert answers_beside(small, shown, found, "int8") == {}
