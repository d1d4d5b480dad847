"""`--runtime auto` with real runtimes: all are timed, those that compute otherwise are never taken."""

from __future__ import annotations

import pytest

from edgekit.build.pipeline import Built, build
from edgekit.recipe import Recipe
from edgekit.runtime.bundle import Bundle
from edgekit.store import Store

RECIPE = Recipe(
    model="inception_resnet_v1.signs", prune="none", images=48, runtime="auto", max_drop=50.0,
    latency={"runs": 20, "max_seconds": 1.0}, calibration={"images": 16},  # type: ignore[arg-type]
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("auto")
    return build(RECIPE, folder / "bundle", Store(folder / "store"))


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
    assert (found.exact, found.images, found.ok) == ("onnxruntime", 48, True)
    assert found.cosine > 0.999


def test_what_was_decided_and_where_the_time_goes_is_told(built: Built) -> None:
    report = built.report
    assert report.locked is not None
    assert (report.locked.chosen, report.locked.seed) == (report.chosen, 0)
    assert report.calibration is not None
    assert report.calibration.coverage is not None
    assert report.calibration.coverage.covered == 16
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
