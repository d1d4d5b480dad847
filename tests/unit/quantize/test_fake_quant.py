"""Q/DQ graphs as torch networks: the same function before and after training, the same nodes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from protos import on_protos
from torch import Tensor, nn
from torch_networks import NETWORKS, SIZE, Dense, Gated, Residual, exported, floats, graph_of, images, made

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models import onnx_graph
from edgekit.quantize import fake_quant, qdq
from edgekit.quantize import signed as signed_form
from edgekit.quantize.fake_quant import Simulated
from edgekit.quantize.learned_step import FakeQuantize
from edgekit.quantize.ptq import Pictures, quantize

with_fixed_input, to_signed = map(on_protos, (onnx_graph.with_fixed_input, signed_form.to_signed))
operators, restored = map(on_protos, (qdq.operators, qdq.restored))
simulated, written = map(on_protos, (fake_quant.simulated, fake_quant.written))

Graphs = tuple[onnx.ModelProto, onnx.ModelProto]


def quantized(core: onnx.ModelProto, folder: Path, signed: bool = False) -> Graphs:
    """NNCF's Q/DQ form of a float graph, and the float graph with its shapes."""
    fixed = with_fixed_input(core, (SIZE, SIZE))
    onnx.save(fixed, str(folder / "core.onnx"))
    pictures = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (4, 1, SIZE, SIZE, 3), np.uint8)
    told = Preprocessing(SIZE)
    given = Pictures(lambda: iter(pictures), len(pictures))
    quantize(folder / "core.onnx", folder / "q.onnx", given, told, signed=signed)
    made_ = onnx.load(str(folder / "q.onnx"))
    return (to_signed(made_) if signed else made_), fixed


def computed(model: onnx.ModelProto, x: Tensor) -> Tensor:
    """By ONNX Runtime with every operator as it is written."""
    how = onnxruntime.SessionOptions()
    how.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), how, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return torch.from_numpy(np.concatenate([session.run(None, {name: one[None].numpy()})[0] for one in x]))


def same(model: onnx.ModelProto, network: nn.Module) -> bool:
    """Equal but for values that lie between two levels within a float32's precision."""
    x = images(8)
    turned = model.graph.input[0].type.tensor_type.shape.dim[3].dim_value == 3
    wanted = computed(model, x.permute(0, 2, 3, 1) if turned else x)
    with torch.no_grad():
        apart = (network(x) - wanted).abs()
    most = wanted.abs().max()
    return bool(apart.median() < 1e-5 * most and apart.max() < 0.02 * most)


def trained(network: nn.Module, steps: int = 5) -> nn.Module:
    """A few steps that move everything that can be learned."""
    network.train()
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 3e-3)
    for step in range(steps):
        x = torch.randn(4, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(step))
        nn.functional.cross_entropy(network(x), torch.tensor([0, 1, 2, 3])).backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval()


def kinds(model: onnx.ModelProto) -> list[tuple[str, str, list[str], list[str]]]:
    return [(node.op_type, node.name, list(node.input), list(node.output)) for node in model.graph.node]


def arrays(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_function_before_and_after_training(
    kind: Callable[[], nn.Module], signed: bool, tmp_path: Path
) -> None:
    graph, core = quantized(exported(made(kind)), tmp_path, signed)
    learned = simulated(graph, core)
    assert same(graph, learned.network)
    again = arrays(written(graph, learned, learned.network))
    assert all(np.array_equal(value, again[name]) for name, value in arrays(graph).items())

    after = written(graph, learned, trained(learned.network))
    onnx.checker.check_model(after)
    assert kinds(after) == kinds(graph)
    assert same(after, learned.network)
    moved = {name for name, value in arrays(after).items() if not np.array_equal(value, arrays(graph)[name])}
    for layer in learned.layers:
        assert {layer.weight, layer.scale, layer.bias} - {None} <= moved
    assert set(learned.scales) <= moved
    assert {name: value.dtype for name, value in arrays(after).items()} == {
        name: value.dtype for name, value in arrays(graph).items()
    }


def test_the_same_for_a_graph_some_of_whose_operators_are_in_floating_point(tmp_path: Path) -> None:
    graph, core = quantized(exported(made(Residual)), tmp_path)
    told = operators(graph, core)
    adds, convolutions = ([each.name for each in told if each.kind == kind] for kind in ("Add", "Conv"))
    mixed = restored(graph, core, [*adds, convolutions[1]])
    learned = simulated(mixed, core)
    assert len(learned.layers) == 5
    assert sum(layer.scale is None for layer in learned.layers) == 1
    assert same(mixed, learned.network)
    after = written(mixed, learned, trained(learned.network))
    assert kinds(after) == kinds(mixed)
    assert same(after, learned.network)


def test_quantizers_of_one_scale_stay_of_one_scale(tmp_path: Path) -> None:
    """What a concat joins has one scale, so that it moves INT8 as it is."""
    graph, core = quantized(exported(made(Dense)), tmp_path)
    before = [float(arrays(graph)[name]) for name in simulated(graph, core).scales]
    learned = simulated(graph, core)
    after = arrays(written(graph, learned, trained(learned.network)))
    assert len(set(before)) < len(before)
    assert len({(old, float(after[name])) for old, name in zip(before, learned.scales, strict=True)}) == len(
        set(before)
    )


def test_half_of_the_range_stays_free_where_it_was(tmp_path: Path) -> None:
    graph, core = quantized(exported(made(Residual)), tmp_path)
    learned = simulated(graph, core)
    after = arrays(written(graph, learned, trained(learned.network, 20)))
    half = [layer.weight for layer in learned.layers if np.abs(arrays(graph)[layer.weight].astype(int)).max() <= 64]
    assert half
    assert all(np.abs(after[name].astype(int)).max() <= 64 for name in half)


def test_statistics_and_what_has_no_place_to_be_written_to_stay(tmp_path: Path) -> None:
    graph, core = quantized(exported(made(Dense)), tmp_path)
    learned = simulated(graph, core)
    fixed = {name: value.clone() for name, value in learned.network.state_dict().items() if "running" in name}
    frozen = {name: value.clone() for name, value in learned.network.named_parameters() if not value.requires_grad}
    assert fixed
    assert frozen
    trained(learned.network)
    state = learned.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in {**fixed, **frozen}.items())


def by_hand(layout: str) -> onnx.ModelProto:
    """A MatMul, a Gemm that is not turned, and a depthwise convolution."""
    first = [] if layout == "NCHW" else [helper.make_node("Transpose", ["image"], ["t"], "turn", perm=[0, 3, 1, 2])]
    nodes = [
        *first,
        helper.make_node("Conv", ["t" if first else "image", "w1"], ["a"], "conv", strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2", "b2"], ["c"], "depthwise", group=8),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "pool"),
        helper.make_node("Flatten", ["d"], ["e"], "flat"),
        helper.make_node("Gemm", ["e", "w3", "b3"], ["f"], "gemm"),
        helper.make_node("Relu", ["f"], ["g"], "relu2"),
        helper.make_node("MatMul", ["g", "w4"], ["h"], "matmul"),
        helper.make_node("Add", ["h", "b4"], ["out"], "add"),
    ]
    constants = {"w1": floats(8, 3, 3, 3), "w2": floats(8, 1, 3, 3), "b2": floats(8), "w3": floats(8, 7),
                 "b3": floats(7), "w4": floats(7, 5), "b4": floats(5)}  # fmt: skip
    return graph_of(nodes, constants, (1, 3, SIZE, SIZE) if layout == "NCHW" else (1, SIZE, SIZE, 3))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_matrices_either_way_round_and_images_either_way_round(layout: str, tmp_path: Path) -> None:
    graph, core = quantized(by_hand(layout), tmp_path)
    learned = simulated(graph, core)
    assert [layer.turned for layer in learned.layers] == [False, False, True, True]
    assert all(layer.scale is not None for layer in learned.layers)
    assert same(graph, learned.network)
    after = written(graph, learned, trained(learned.network))
    assert same(after, learned.network)


def refusal(graph: onnx.ModelProto, core: onnx.ModelProto) -> str:
    with pytest.raises(InputError) as caught:
        simulated(graph, core)
    return str(caught.value)


def changed(graph: onnx.ModelProto, name: str, value: np.ndarray) -> onnx.ModelProto:
    out = onnx.ModelProto()
    out.CopyFrom(graph)
    next(t for t in out.graph.initializer if t.name == name).CopyFrom(numpy_helper.from_array(value, name))
    return out


def test_what_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    graph, core = quantized(by_hand("NCHW"), tmp_path)
    pair = next(node for node in graph.graph.node if node.op_type == "QuantizeLinear")
    wide = changed(graph, pair.input[2], np.array(0, np.uint16))
    assert "is not INT8" in refusal(wide, core)
    makers = {node.output[0]: node for node in graph.graph.node}
    weight = makers[next(node for node in graph.graph.node if node.name == "gemm").input[1]]
    shifted = changed(graph, weight.input[2], np.ones(7, np.int8))
    assert "the weight of gemm" in refusal(shifted, core)
    other = changed(core, "w3", floats(8, 9))
    assert "the weight of gemm" in refusal(graph, other)
    strange = onnx.ModelProto()
    strange.CopyFrom(graph)
    next(node for node in strange.graph.node if node.name == "relu2").op_type = "Softplus"
    assert "operator Softplus (node relu2)" in refusal(strange, core)


@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize(("zero", "low", "high"), [(0, -127, 127), (0, 0, 255), (31, 0, 255)])
def test_gradients_are_those_of_torch(channels: bool, zero: int, low: int, high: int) -> None:
    x = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    g = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    scale = np.array([0.011, 0.02, 0.005, 0.013], np.float32) if channels else np.array(0.011, np.float32)
    ours = FakeQuantize(scale, np.full(scale.shape, zero), low, high, axis=1)
    ours(x).backward(g)
    step = torch.tensor(scale.reshape(-1), requires_grad=True)
    other = x.detach().clone().requires_grad_()
    part = (x.numel() / scale.size * high) ** -0.5
    told: Any = (other, step, torch.full_like(step, zero).detach())
    if channels:
        y = torch._fake_quantize_learnable_per_channel_affine(*told, 1, low, high, part)
    else:
        y = torch._fake_quantize_learnable_per_tensor_affine(*told, low, high, part)
    y.backward(g)
    assert torch.allclose(ours(x), y, atol=1e-6)
    assert torch.allclose(x.grad, other.grad)
    assert torch.allclose(ours.stretch.grad, step.grad * step.detach(), rtol=1e-3, atol=1e-5)


def test_rounding_is_as_exact_under_autocast_as_bf16_allows() -> None:
    x = torch.rand(1, 8, 16, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    ours = FakeQuantize(np.array(0.0041, np.float32), np.array(0), 0, 255, axis=1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        made_ = ours(x)
    assert made_.dtype == torch.bfloat16
    exact = (x.float() / 0.0041).round() * 0.0041
    assert ((made_.float() - exact).abs() <= exact * 2**-8).all()


def test_a_depthwise_input_may_have_a_scale_for_each_channel(tmp_path: Path) -> None:
    graph, core = quantized(exported(made(Gated)), tmp_path)
    learned: Simulated = simulated(graph, core)
    sizes = {arrays(graph)[name].size for name in learned.scales}
    assert sizes == {1, 8}


def test_a_quantized_bias_is_refused(tmp_path: Path) -> None:
    graph, core = quantized(by_hand("NCHW"), tmp_path)
    out = onnx.ModelProto()
    out.CopyFrom(graph)
    gemm = next(node for node in out.graph.node if node.name == "gemm")
    bias = helper.make_node("DequantizeLinear", ["qb", "sb", "zb"], ["dqb"], "bias_dq")
    gemm.input[2] = "dqb"
    out.graph.node.insert(0, bias)
    out.graph.initializer.extend([
        numpy_helper.from_array(np.zeros(7, np.int32), "qb"),
        numpy_helper.from_array(np.array(0.1, np.float32), "sb"),
        helper.make_tensor("zb", TensorProto.INT32, [], [0]),
    ])  # fmt: skip
    assert "bias_dq makes something else than the weight" in refusal(out, core)
