"""`--runtime auto` with real runtimes: all are timed, those that compute otherwise are never taken."""

from __future__ import annotations

import pytest
from classifiers import Graph, balanced, labelled_by, patches

from edgekit.build.pipeline import Built, build
from edgekit.recipe import Recipe
from edgekit.runtime.bundle import Bundle
from edgekit.store import Store

SIZE = (64, 64)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("auto")
    graph, pictures = Graph(SIZE, seed=3), patches(48, SIZE)
    stem = graph.convolution("x", 3, 32, strides=[2, 2])
    graph.head(graph.convolution(graph.convolution(stem, 32, 48, strides=[2, 2]), 48, 64), 64)
    network = balanced(graph.save(folder / "net.onnx"), pictures)
    recipe = Recipe.model_validate(
        {
            "model": str(network),
            "data": str(labelled_by(network, pictures, folder / "photos")),
            "prune": "none",
            "runtime": "auto",
            "max_drop": 50.0,
            "preprocessing": {"mean": 0, "std": 1, "crop_fraction": 1},
            "latency": {"runs": 20, "max_seconds": 0.3},
            "calibration": {"images": 16},
        }
    )
    return build(recipe, folder / "bundle", Store(folder / "store"))


def test_both_runtimes_are_in_the_report(built: Built) -> None:
    timed = {each.name: each.runtime for each in built.report.variants if each.name != "torch-eager"}
    assert {"fp32", "fp32@onnxruntime", "int8", "int8@onnxruntime"} <= set(timed)
    assert all(runtime == ("onnxruntime" if "@" in name else "openvino") for name, runtime in timed.items())
    assert all(each.latency.p50 is not None for each in built.report.variants)


def test_the_bundle_is_for_the_runtime_of_the_chosen_one(built: Built) -> None:
    chosen = next(each for each in built.report.variants if each.name == built.report.chosen)
    assert built.report.target.runtime == chosen.runtime
    assert (built.directory / "model.xml").exists() == (chosen.runtime == "openvino")
    with Bundle.open(str(built.directory)) as bundle:  # its golden outputs are compared
        assert bundle.runtime == chosen.runtime


def test_int8_of_openvino_was_held_against_exact_arithmetic(built: Built) -> None:
    told = {each.name: each.arithmetic for each in built.report.variants}
    assert told["int8@onnxruntime"] is None  # it is the exact arithmetic itself
    found = told["int8"]
    assert found is not None
    assert (found.exact, found.images, found.ok) == ("onnxruntime", 32, True)
    assert found.cosine > 0.999


def test_what_was_decided_and_where_the_time_goes_is_told(built: Built) -> None:
    report = built.report
    assert report.locked is not None
    assert (report.locked.chosen, report.locked.seed) == (report.chosen, 0)
    assert report.calibration is not None
    assert report.calibration.coverage is not None
    assert (report.calibration.images, report.calibration.coverage.covered) == (16, 5)
    looked_at = {each.name for each in report.variants if each.layer_times is not None}
    assert looked_at == {"fp32", report.chosen}
    for each in report.variants:
        assert each.latency.quantiles is not None
        assert each.latency.quantiles.ms[each.latency.quantiles.percent.index(50.0)] == each.latency.p50
        if each.layer_times is not None:
            assert each.layer_times.layers
            assert any("onv" in layer.operator for layer in each.layer_times.layers)
    page = (built.directory / "report.html").read_text(encoding="utf-8")
    assert "Where the time goes" in page
    assert "int8@onnxruntime" in page
