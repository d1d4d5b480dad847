"""Noise of INT8 inside a small real network, against numbers computed with numpy and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper
from protos import on_protos

from edgekit.divergence import divergence
from edgekit.errors import InputError
from edgekit.quantize import merged, qdq
from edgekit.quantize import observe as observing
from edgekit.quantize.observe import CLEAN_DB, decibels

confirm, observe, ranges = map(on_protos, (observing.confirm, observing.observe, observing.ranges))
named_as, operators, restored = map(on_protos, (qdq.named_as, qdq.operators, qdq.restored))

Pair = tuple[ModelProto, ModelProto]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The network in float32 and in INT8."""
    core = networks.branching()
    return core, networks.quantized_by_nncf(core, tmp_path_factory.mktemp("pair"))


def _ratio(plain: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.square(plain).mean() / np.square(plain - other).mean()))


def _constant(model: ModelProto, name: str) -> NDArray[np.float64]:
    return np.asarray(numpy_helper.to_array(_named(model, name)), np.float64)


def _through_quantizer(quantized: ModelProto, tensor: str, value: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left of values of a float tensor behind its quantizer."""
    node = next(each for each in quantized.graph.node if each.op_type == "QuantizeLinear" and each.input[0] == tensor)
    scale = _constant(quantized, node.input[1])
    limits = np.iinfo(numpy_helper.to_array(_named(quantized, node.input[2])).dtype)
    zero = _constant(quantized, node.input[2])
    return np.asarray((np.clip(np.rint(value / scale) + zero, limits.min, limits.max) - zero) * scale)


def _named(model: ModelProto, name: str) -> TensorProto:
    return next(each for each in model.graph.initializer if each.name == name)


def _weight(quantized: ModelProto, node: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An operator's dequantized weight, output channels first, and its bias in the INT8 network."""
    makers = {out: each for each in quantized.graph.node for out in each.output}
    found = next(each for each in quantized.graph.node if each.name == node)
    dequantize = makers[found.input[1]]
    levels, scale, zero = (_constant(quantized, name) for name in dequantize.input)
    shape = [-1, *[1] * (levels.ndim - 1)]
    return (levels - zero.reshape(shape)) * scale.reshape(shape), _constant(quantized, found.input[2])


def test_noise_is_what_numpy_computes(pair: Pair) -> None:
    core, quantized = pair
    noise = {each.operator.name: each for each in observe(core, quantized, networks.inputs).noise}
    plain = networks.values(core, ["left_relu", "right_relu", "stem_relu", "pool", "mix", "pooled", "linear"])
    int8 = networks.values(quantized, ["mix", "linear"])

    # a 1x1 convolution that reads a Concat of two quantized tensors and of a pool of a third
    parts = [_through_quantizer(quantized, name, plain[name]) for name in ("left_relu", "right_relu")]
    joined = np.concatenate([*parts, _through_quantizer(quantized, "stem_relu", plain["pool"])], 1)
    weight, bias = _weight(quantized, "mix")
    twin = np.einsum("nchw,oc->nohw", joined, weight[:, :, 0, 0]) + bias.reshape(1, -1, 1, 1)
    assert noise["mix"].own_db == pytest.approx(_ratio(plain["mix"], twin), abs=0.2)
    # kernels differ between processors: without VNNI this one was 0.9 dB noisier than the reference
    assert noise["mix"].total_db == pytest.approx(_ratio(plain["mix"], int8["mix"]), abs=1.5)

    weight, bias = _weight(quantized, "linear")
    read = _through_quantizer(quantized, "pooled", plain["pooled"])[:, :, 0, 0]
    assert noise["linear"].own_db == pytest.approx(_ratio(plain["linear"], read @ weight.T + bias), abs=0.2)
    assert noise["linear"].total_db == pytest.approx(_ratio(plain["linear"], int8["linear"]), abs=1.5)


def test_what_is_told_of_the_whole_network(pair: Pair) -> None:
    core, quantized = pair
    heard: list[tuple[int, int]] = []
    seen = observe(core, quantized, networks.inputs, lambda done, total: heard.append((done, total)))
    plain, int8 = (networks.values(model, ["linear"])["linear"] for model in pair)
    assert seen.images == networks.PICTURES
    assert seen.kl == pytest.approx(np.mean(divergence(plain, int8)), rel=0.1)
    assert seen.agreement == pytest.approx(100 * np.mean(plain.argmax(1) == int8.argmax(1)), abs=10)
    assert [each.operator for each in seen.noise] == operators(quantized, core)
    assert heard == [(done, networks.PICTURES) for done in range(1, networks.PICTURES + 1)]


def test_a_large_network_is_seen_in_parts_with_the_same_numbers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    core, quantized = pair
    whole = observe(core, quantized, networks.inputs)
    monkeypatch.setattr(merged, "TWIN_WEIGHTS", 700)
    assert len(on_protos(merged.measuring_graphs)(core, quantized, operators(quantized, core))) > 1
    parted = observe(core, quantized, networks.inputs)
    assert [each.operator.name for each in parted.noise] == [each.operator.name for each in whole.noise]
    for one, other in zip(parted.noise, whole.noise, strict=True):
        assert (one.own_db, one.total_db) == pytest.approx((other.own_db, other.total_db), abs=0.1)
    assert parted.kl == pytest.approx(whole.kl, rel=0.01)


def test_nothing_is_left_where_everything_was_restored(pair: Pair) -> None:
    core, quantized = pair
    floats = restored(quantized, core, [each.name for each in operators(quantized, core)])
    with pytest.raises(InputError, match="nothing in the graph is quantized"):
        observe(core, floats, networks.inputs)
    only = restored(quantized, core, [each.name for each in operators(quantized, core) if each.name != "last"])
    seen = observe(core, only, networks.inputs)
    assert [each.operator.name for each in seen.noise] == ["last"]
    assert seen.noise[0].own_db == pytest.approx(seen.noise[0].total_db, abs=0.1)  # all noise there is its own
    assert confirm(core, only, ["last"], networks.inputs)["last"] == pytest.approx(0, abs=1e-9)


def test_confirm_tells_the_divergence_of_the_restored_network(pair: Pair) -> None:
    core, quantized = pair
    heard: list[tuple[int, int]] = []
    left = confirm(core, quantized, ["linear", "stem"], networks.inputs, lambda *step: heard.append(step))
    plain = networks.values(core, ["linear"])["linear"]
    other = networks.values(restored(quantized, core, ["linear"]), ["linear"])["linear"]
    assert left["linear"] == pytest.approx(np.mean(divergence(plain, other)), rel=0.1)
    assert heard == [(1, 2), (2, 2)]
    assert list(left) == ["linear", "stem"]


def test_ranges_by_channel(pair: Pair) -> None:
    core = pair[0]
    names = ["input", "cat", "pooled", "linear"]
    found = ranges(core, [*names, "cat"], networks.inputs)
    assert list(found) == names
    for name, value in networks.values(core, names).items():
        rows = value.reshape(*value.shape[:2], -1).transpose(1, 0, 2).reshape(value.shape[1], -1)
        assert found[name].shape == (2, value.shape[1])
        np.testing.assert_allclose(found[name], [rows.min(1), rows.max(1)], rtol=1e-4, atol=1e-5)


def test_ranges_of_newer_and_older_opsets(pair: Pair) -> None:
    older, newer = networks.branching(opset=13), networks.branching(opset=20)
    one, other = (ranges(model, ["mix"], networks.inputs)["mix"] for model in (older, newer))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_nodes_without_names_are_found(pair: Pair, tmp_path: Path) -> None:
    core = networks.branching(names=False)
    quantized = networks.quantized_by_nncf(networks.branching(names=False), tmp_path)
    seen = observe(core, quantized, networks.inputs)
    assert len(seen.noise) == len(observe(*pair, networks.inputs).noise)
    name = seen.noise[0].operator.name
    assert name
    assert confirm(core, quantized, [name], networks.inputs)[name] >= 0
    assert all(node.name for node in named_as(core, quantized).graph.node)
    assert not any(node.name for node in core.graph.node)


def test_what_is_missing_is_told(pair: Pair) -> None:
    core, quantized = pair
    assert ranges(core, [], networks.inputs) == {}
    with pytest.raises(InputError, match="does not tell the shape of nothing"):
        ranges(core, ["nothing"], networks.inputs)
    for look in (lambda: ranges(core, ["mix"], lambda: iter(())), lambda: observe(core, quantized, lambda: iter(()))):
        with pytest.raises(InputError, match="no images"):
            look()
    with pytest.raises(InputError, match="no images"):
        confirm(core, quantized, ["mix"], lambda: iter(()))


def test_decibels_are_always_numbers() -> None:
    assert decibels(1.0, 0.01) == pytest.approx(20)
    assert (decibels(1.0, 0.0), decibels(0.0, 0.0), decibels(0.0, 1.0)) == (CLEAN_DB, CLEAN_DB, -CLEAN_DB)
    assert decibels(1e-300, 1e300) == -CLEAN_DB
