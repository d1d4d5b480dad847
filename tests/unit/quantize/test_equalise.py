"""Equalisation: the network computes the same, and channels that were spoilt come back into reach."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from protos import on_protos

from edgekit.quantize import equalise, observe

SIDE = 12

links, equalised, ranges = map(on_protos, (equalise.links, equalise.equalised, observe.ranges))


def network() -> ModelProto:
    """Two branches and a pool into a concat, a residual sum, a head: what can be scaled and what cannot."""
    dice = np.random.Generator(np.random.PCG64(8))

    def weight(*shape: int) -> NDArray[np.float32]:
        return dice.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)

    weights = {"w0": weight(8, 3, 3, 3), "wa": weight(6, 8, 1, 1), "wb": weight(4, 8, 3, 3), "wc": weight(10, 18, 1, 1)}
    weights |= {"wr": weight(10, 10, 3, 3), "wl": weight(5, 10), "b0": weight(8, 1)[:, 0], "ba": weight(6, 1)[:, 0]}
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], "stem", pads=[1, 1, 1, 1]),
        node("Relu", ["c0"], ["r0"], "relu0"),
        node("Conv", ["r0", "wa", "ba"], ["ca"], "left"),
        node("Relu", ["ca"], ["ra"], "relua"),
        node("Conv", ["r0", "wb"], ["cb"], "right", pads=[1, 1, 1, 1]),
        node("Relu", ["cb"], ["rb"], "relub"),
        node("MaxPool", ["r0"], ["m"], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Concat", ["ra", "m", "rb"], ["cat"], "cat", axis=1),
        node("Conv", ["cat", "wc"], ["cc"], "joined"),
        node("Relu", ["cc"], ["rc"], "reluc"),
        node("Conv", ["rc", "wr"], ["cr"], "residual", pads=[1, 1, 1, 1]),
        node("Add", ["cr", "rc"], ["sum"], "sum"),
        node("GlobalAveragePool", ["sum"], ["g"], "mean"),
        node("Flatten", ["g"], ["f"], "flat"),
        node("Gemm", ["f", "wl"], ["y"], "head", transB=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "net",
        [value("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("y", TensorProto.FLOAT, [1, 5])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def inputs() -> Iterator[NDArray[np.float32]]:
    dice = np.random.Generator(np.random.PCG64(2))
    for _ in range(4):
        yield dice.normal(0, 1, (1, 3, SIDE, SIDE)).astype(np.float32)


def outputs(model: ModelProto) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"x": each})[0] for each in inputs()])


def test_only_what_can_be_scaled_is_found() -> None:
    found = {link.node: [reader.node for reader in link.readers] for link in links(network())}
    assert sorted(found["stem"]) == ["joined", "left", "right"]
    assert found["left"] == ["joined"]
    assert {link.node: link.readers[0].first for link in links(network())}["right"] == 14
    assert "joined" not in found  # a residual sum reads it
    assert "residual" not in found


def spoilt(model: ModelProto, factors: dict[str, NDArray[np.float32]]) -> ModelProto:
    """The same function, some channels of the named convolutions scaled up, and down again where they are read."""
    out = ModelProto()
    out.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in out.graph.initializer}
    for link in links(model):
        factor = factors.get(link.node)
        if factor is None:
            continue
        for name, change in [(link.weight, factor), (link.bias, factor)]:
            if name is not None:
                value = numpy_helper.to_array(tensors[name])
                made = value * change.reshape(-1, *[1] * (value.ndim - 1))
                tensors[name].CopyFrom(numpy_helper.from_array(made.astype(np.float32), name))
        for reader in link.readers:
            value = np.array(numpy_helper.to_array(tensors[reader.weight]))
            value[:, reader.first : reader.first + len(factor)] /= factor.reshape(-1, *[1] * (value.ndim - 2))
            tensors[reader.weight].CopyFrom(numpy_helper.from_array(value, reader.weight))
    return out


@settings(deadline=None, max_examples=15)
@given(st.lists(st.floats(-2, 2), min_size=18, max_size=18))
def test_the_network_computes_the_same(powers: list[float]) -> None:
    factor = np.float32(10) ** np.array(powers, np.float32)
    model = spoilt(network(), {"stem": factor[:8], "left": factor[8:14], "right": factor[14:]})
    np.testing.assert_allclose(outputs(model), outputs(network()), rtol=2e-3, atol=2e-3)
    found = links(model)
    made = equalised(model, found, ranges(model, [link.seen for link in found], inputs))
    onnx.checker.check_model(made)
    np.testing.assert_allclose(outputs(made), outputs(network()), rtol=2e-3, atol=2e-3)


def test_channels_that_were_spoilt_come_back_into_reach() -> None:
    factor = np.ones(8, np.float32)
    factor[[2, 5]] = 100
    model = spoilt(network(), {"stem": factor})

    def spread(each: ModelProto) -> float:
        reach = np.abs(ranges(each, ["r0"], inputs)["r0"]).max(0)
        return float(reach.max() / np.median(reach))

    found = links(model)
    made = equalised(model, found, ranges(model, [link.seen for link in found], inputs))
    assert spread(model) > 50
    assert spread(made) < 4 * spread(network())
    assert spread(made) < 10
