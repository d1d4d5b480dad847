"""Sessions: one image or many, without waiting, from several threads, counted, and closed when all is done."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import LABELS, logits_of, make_bundle
from PIL import Image

from edgekit.runtime import Bundle, BundleError, ImageError, Session
from edgekit.runtime.decoding import picture
from edgekit.runtime.engines import Network
from edgekit.runtime.manifest import Contract
from edgekit.runtime.session import WINDOW, Limits

CONTRACT = Contract((32, 32), 0.875, "bicubic")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it", crop_fraction=0.875)


@pytest.fixture(params=["openvino", "onnxruntime"])
def session(request: pytest.FixtureRequest, directory: Path) -> Iterator[Session]:
    with Bundle.open(directory, runtime=request.param) as bundle, bundle.session() as made:
        yield made


def images(count: int) -> list[Any]:
    """Of several sizes."""
    dice = np.random.Generator(np.random.PCG64(7))
    return [dice.integers(0, 256, (*dice.integers(8, 90, 2), 3), dtype=np.uint8) for _ in range(count)]


def expected(directory: Path, given: list[Any]) -> Any:
    return logits_of(directory / "model.onnx", np.stack([picture(each, CONTRACT) for each in given]))


def png(pixels: Any) -> bytes:
    into = io.BytesIO()
    Image.fromarray(pixels).save(into, "PNG")
    return into.getvalue()


def test_one_image_many_bytes_and_a_path_give_the_same(session: Session, directory: Path, tmp_path: Path) -> None:
    given = images(9)
    wanted = expected(directory, given)
    np.testing.assert_allclose(session.logits(given), wanted, atol=1e-4)
    answers = session.classify(given)
    assert len(answers) == 9
    assert [answer[0][0] for answer in answers] == [LABELS[i] for i in wanted.argmax(1)]
    one = session.classify(given[0], top=2)
    assert [label for label, _ in one] == [label for label, _ in answers[0][:2]]
    assert len(answers[0]) == len(LABELS)
    assert sum(share for _, share in answers[0]) == pytest.approx(1)
    (tmp_path / "a.png").write_bytes(png(given[0]))
    for same in (png(given[0]), tmp_path / "a.png", str(tmp_path / "a.png")):
        assert session.classify(same, top=2) == one
    assert session.classify([given[0]], top=2) == [one]
    assert session.logits(given[0]).shape == (1, 4)
    assert session.classify([]) == []


def test_a_batch_of_one_array(session: Session) -> None:
    batch = np.stack([each[:8, :8] for each in images(5)])
    np.testing.assert_array_equal(session.logits(batch), session.logits(list(batch)))


def test_ready_arrays_go_in_as_they_are(session: Session, directory: Path) -> None:
    ready = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(session.logits(ready, ready=True), logits_of(directory / "model.onnx", ready), atol=1e-4)
    # Without `ready`, even an image of the right size is cropped, as in evaluation.
    assert np.abs(session.logits(ready) - session.logits(ready, ready=True)).max() > 1e-3
    for wrong in (ready[:, :16], ready.astype(np.float32), "a.png"):
        with pytest.raises(ImageError, match="must be uint8"):
            session.logits(wrong, ready=True)


def test_the_bundles_own_shortcuts(directory: Path) -> None:
    ready = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    with Bundle.open(directory) as bundle:
        assert bundle.logits(ready[0]).shape == (1, 4)
        assert [len(answer) for answer in bundle.classify(ready, top=3)] == [3, 3]
        assert len(bundle.classify(ready[0])) == 1
        with pytest.raises(BundleError, match="uint8"):
            bundle.logits(ready.astype(np.float32))


def test_without_waiting(session: Session) -> None:
    given = images(40)
    futures = [session.submit(each, top=1) for each in given]
    assert [each.result(10) for each in futures] == [session.classify(each, top=1) for each in given]
    broken = session.submit(b"no image")
    with pytest.raises(ImageError):
        broken.result(10)


@pytest.mark.parametrize("mode", ["latency", "throughput"])
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_eight_threads_on_one_session_and_no_wrong_answer(directory: Path, runtime: str, mode: str) -> None:
    given = images(16)
    wanted = expected(directory, given)
    wrong: list[int] = []
    with Bundle.open(directory, runtime=runtime, mode=mode) as bundle, bundle.session() as session:

        def work(first: int) -> None:
            for step in range(40):
                place = (first + step) % len(given)
                row = session.logits(given[place])[0]
                if np.abs(row - wanted[place]).max() > 1e-4:
                    wrong.append(place)

        threads = [threading.Thread(target=work, args=(first,)) for first in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert wrong == []
        assert session.counters()["images"] == 8 * 40


def test_other_threads_and_modes_load_the_network_once_more(directory: Path) -> None:
    with Bundle.open(directory) as bundle:
        assert bundle.session()._network is bundle.session(warmup=3)._network
        assert bundle.session(mode="throughput")._network is not bundle._network
        assert bundle.session(runtime="onnxruntime", threads=1).runtime == "onnxruntime"
        with pytest.raises(BundleError, match="there is no mode 'fast'"):
            bundle.session(mode="fast")


def test_counters_count_and_stay_bounded() -> None:
    session = stub(lambda pixels: np.zeros((1, 4), np.float32))
    assert session.counters() == {
        "images": 0, "errors": 0, "mean_ms": None, "p50_ms": None, "p90_ms": None, "p99_ms": None,
    }  # fmt: skip
    picture = np.zeros((32, 32, 3), np.uint8)
    for _ in range(WINDOW + 100):
        session.logits(picture, ready=True)
    for _ in range(3):
        with pytest.raises(ImageError):
            session.classify(b"")
    told = session.counters()
    assert (told["images"], told["errors"]) == (WINDOW + 100, 3)
    assert 0 < told["p50_ms"] <= told["p90_ms"] <= told["p99_ms"]
    assert told["mean_ms"] > 0
    assert len(session._latencies) == WINDOW


def test_percentiles_are_of_the_times() -> None:
    session = stub(lambda pixels: np.zeros((1, 4), np.float32))
    session._latencies.extend(float(i) for i in range(1, 101))
    told = session.counters()
    assert (told["p50_ms"], told["p90_ms"], told["p99_ms"], told["mean_ms"]) == (50, 90, 99, 50.5)


def stub(infer: Any, parallel: int = 1, labels: tuple[str, ...] = ()) -> Session:
    return Session(Network("none", infer, parallel), CONTRACT._replace(crop_fraction=1.0), labels, Limits())


def test_closing_waits_for_what_runs_and_takes_nothing_more() -> None:
    began, done = threading.Event(), []

    def slow(pixels: Any) -> Any:
        began.set()
        time.sleep(0.2)
        done.append(1)
        return np.zeros((1, 4), np.float32)

    session = stub(slow)
    image = np.zeros((32, 32, 3), np.uint8)
    futures = [session.submit(image) for _ in range(3)]
    direct = threading.Thread(target=session.classify, args=(image,))
    direct.start()
    began.wait()
    time.sleep(0.05)
    session.close()
    assert len(done) == 4
    assert all(each.done() for each in futures)
    for use in (lambda: session.classify(image), lambda: session.submit(image), lambda: session.logits([image] * 2)):
        with pytest.raises(BundleError, match="closed"):
            use()
    session.close()


def test_submitting_waits_when_many_are_taken_and_cancelling_makes_room() -> None:
    go = threading.Event()

    def held(pixels: Any) -> Any:
        go.wait()
        return np.zeros((1, 4), np.float32)

    session = stub(held)
    image = np.zeros((32, 32, 3), np.uint8)
    taken: list[Future[Any]] = []

    def flood() -> None:
        for _ in range(30):
            taken.append(session.submit(image))

    flooding = threading.Thread(target=flood)
    flooding.start()
    time.sleep(0.2)
    full = len(taken)
    assert full < 30
    assert taken[-1].cancel()
    time.sleep(0.1)
    assert len(taken) == full + 1
    go.set()
    flooding.join(10)
    assert len(taken) == 30
    session.close()


def test_a_network_that_fails_or_gives_no_numbers() -> None:
    image = np.zeros((32, 32, 3), np.uint8)

    def fails(pixels: Any) -> Any:
        raise RuntimeError("no\nmemory")

    with pytest.raises(BundleError, match="none cannot run the network: no memory"):
        stub(fails).classify(image)
    with pytest.raises(BundleError, match="no numbers"):
        stub(lambda pixels: np.full((1, 4), np.nan, np.float32)).classify(image)
    with pytest.raises(BundleError, match="gives 4 classes, the manifest names 2"):
        stub(lambda pixels: np.zeros((1, 4), np.float32), labels=("a", "b")).classify(image)
    assert stub(lambda pixels: np.zeros((1, 4), np.float32)).classify(image, top=1)[0][0] == 0


def test_limits_of_images_are_the_sessions(directory: Path) -> None:
    with Bundle.open(directory) as bundle, bundle.session(max_bytes=50, max_pixels=100) as session:
        with pytest.raises(ImageError, match="the limit is 50"):
            session.classify(png(images(1)[0]))
        with pytest.raises(ImageError, match="the limit is 100"):
            session.classify(np.zeros((11, 10, 3), np.uint8))


@pytest.mark.parametrize("batches", [(1, 4), (4,), (1,)])
def test_a_network_that_takes_several_images_is_given_them_together(batches: tuple[int, ...]) -> None:
    called: list[int] = []

    def infer(pixels: Any) -> Any:
        called.append(len(pixels))
        return pixels.astype(np.float32).mean((1, 2))

    network = Network("none", infer, 1, batches)
    whole = CONTRACT._replace(crop_fraction=1.0)
    given = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    with Session(network, whole, ["r", "g", "b"], Limits()) as session:
        np.testing.assert_allclose(session.logits(given, ready=True), given.astype(np.float32).mean((1, 2)))
        assert sorted(called) == ([1] * 9 if batches == (1,) else [1, 4, 4])
        assert session.counters()["images"] == 9
        if batches != (1,):
            with pytest.raises(ImageError):
                session.logits([given[0], given[1][:5]], ready=True)
            assert session.counters()["errors"] == 2
