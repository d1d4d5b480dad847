"""A Q/DQ graph as a torch network that can be trained: its quantizers are fake ones, at the same places.

Before training the network computes what the graph computes; what it has learned is written into a copy of the graph,
which keeps every node. Scales are learned beside weights and biases: see learned_step.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgekit.errors import InputError
from edgekit.models.from_onnx import to_torch
from edgekit.models.onnx_graph import (
    add_constant,
    array_of,
    constant,
    drop_unused,
    image_input,
    layout_of,
    name_of,
    set_constant,
)
from edgekit.quantize.learned_step import FakeQuantize
from edgekit.quantize.qdq import WEIGHTED, is_turned, operators

LEVELS: Final = {np.dtype(np.int8): (-128, 127), np.dtype(np.uint8): (0, 255)}
STAND_IN: Final = "edgekit_quantizer_"
"""How the Dropout nodes are called that hold the places of quantizers while the network is made."""


@dataclass(frozen=True)
class Layer:
    """A Conv, Gemm or MatMul of the graph, and where its constants are.

    Attributes:
        path: of its module in the network.
        weight, bias: names of its constants in the graph, the weight INT8 where it is quantized.
        scale: name of its weight's scale; None where the weight is in floating point.
        turned: whether the graph has the weight as (inputs, outputs).
    """

    path: str
    weight: str
    bias: str | None
    scale: str | None
    turned: bool


@dataclass(frozen=True)
class Simulated:
    """A network that computes what a Q/DQ graph computes, and what in it belongs to what in the graph.

    Attributes:
        network: takes float32 (N, 3, H, W), gives (N, classes); its batch norms never take statistics.
        layers: those whose weights and biases are learned.
        scales: paths of the activations' quantizers, by the names of the scales in the graph.
    """

    network: nn.Module
    layers: tuple[Layer, ...]
    scales: Mapping[str, str]


def simulated(quantized: ir.Model, core: ir.Model) -> Simulated:
    """A Q/DQ graph as a network with fake quantization, in evaluation mode, ready to be trained.

    Args:
        quantized: NNCF's Q/DQ form of `core`, some operators perhaps given back to floating point.
        core: the float32 graph; weights start from its own values, of which the INT8 ones are the roundings.
    Raises:
        InputError: something in the graph is not known here; it is named.
    """
    form = _Form(quantized, core)
    network: Any = to_torch(form.model)
    for path, module in list(network.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            network.set_submodule(path, _frozen(module))
        elif isinstance(module, nn.Dropout):  # the float network's answers are learned: nothing to guard against
            network.set_submodule(path, form.activations.get(path, nn.Identity()))
    for node in network.graph.nodes:
        if node.op == "call_module":
            node.target = form.places.get(node.target, node.target)
    network.recompile()
    paths = {constant: path for path, constant in network.constant_names.items()}
    for name, quantizer in form.weights.items():
        parametrize.register_parametrization(network.get_submodule(paths[name]), "weight", quantizer)
    layers = form.layers(paths)
    network.requires_grad_(False)
    for path in [*(layer.path for layer in layers), *form.scales.values()]:
        network.get_submodule(path).requires_grad_(True)
    return Simulated(network, layers, form.scales)


def written(quantized: ir.Model, learned: Simulated, network: nn.Module) -> ir.Model:
    """A copy of the Q/DQ graph with what a network has learned: weights, biases, scales; its nodes are the same.

    Args:
        quantized: what `learned` was made of.
        network: `learned.network`, or a copy of it with other values.
    """
    out = quantized.clone()

    def put(name: str, value: Tensor | NDArray[Any]) -> None:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        place = out.graph.initializers[name]
        old = array_of(place)
        shape = old.shape if old.size == array.size else array.shape  # a Gemm may have one bias for all channels
        set_constant(place, np.ascontiguousarray(array.astype(old.dtype)).reshape(shape))

    for name, path in learned.scales.items():
        put(name, cast(FakeQuantize, network.get_submodule(path)).step())
    for layer in learned.layers:
        module: Any = network.get_submodule(layer.path)
        weight = module.weight.detach().cpu().numpy()
        if layer.scale is not None:
            step = module.parametrizations.weight[0].step().detach().cpu().numpy()
            put(layer.scale, step)
            weight = np.rint(weight / step.reshape(-1, *[1] * (weight.ndim - 1)))
        put(layer.weight, weight.T if layer.turned else weight)
        if layer.bias is not None:
            put(layer.bias, module.bias)
    return out


def learned_weights(learned: Simulated, network: nn.Module) -> dict[str, NDArray[Any]]:
    """The float weights of a network that are rounded, as the graph has them, by the names of its INT8 constants."""
    found = {}
    for layer in learned.layers:
        if layer.scale is not None:
            module: Any = network.get_submodule(layer.path)
            weight = module.parametrizations.weight.original.detach().cpu().numpy()
            found[layer.weight] = weight.T if layer.turned else weight
    return found


class _Frozen(nn.BatchNorm2d):
    """A batch norm that always uses the statistics that it has, as the graph does."""

    def train(self, mode: bool = True) -> _Frozen:
        super().train(False)
        return self


def _frozen(norm: nn.BatchNorm2d) -> _Frozen:
    made = _Frozen(norm.num_features, norm.eps, norm.momentum)
    made.load_state_dict(norm.state_dict())
    return made.eval()


def _refused(why: str) -> InputError:
    return InputError(f"the Q/DQ graph cannot be trained: {why}", "Leave quantization-aware training out.")


class _Form:
    """A Q/DQ graph in float, a Dropout in the place of each pair of an activation: those become modules by their names.

    Attributes:
        model: the float graph.
        weights: the quantizers of weights, by the name of the float weight.
        activations: the quantizers of activations, by path; those of the same scale are one, as for a concat.
        places: which of them a stand-in stands for; scales: see Simulated.
    """

    def __init__(self, quantized: ir.Model, core: ir.Model) -> None:
        self._quantized, self._floats = quantized.graph, core.graph.initializers
        self._origins = {each.name: each.weight for each in operators(quantized, core)}
        self.weights, self.activations = dict[str, FakeQuantize](), dict[str, FakeQuantize]()
        self.places, self.scales = dict[str, str](), dict[str, str]()
        self._same = dict[tuple[Any, ...], str]()
        self._names = dict[str, str]()  # of float weights, by the tensors that the graph dequantizes them to
        self.model = quantized.clone()
        image = image_input(self.model)
        self._nhwc = image if layout_of(image) == "NHWC" else None
        self._turns = dict[ir.Node, ir.Node]()  # what turns an NHWC image, and the quantizer before it
        for node in tuple(self.model.graph):
            self._replace(node)
        drop_unused(self.model)

    def _replace(self, node: ir.Node) -> None:
        """Puts what stands for a Q/DQ pair in its place; the pair is read by nobody then."""
        if node in self._turns:
            turned = node.outputs[0]
            self.model.graph.insert_after(node, self._stand_in(self._turns[node], turned, turned))
        source = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        if source is None:
            return
        old = node.outputs[0]
        if source.is_initializer():
            weight = self._weight(node)
            self._names[name_of(old)] = name_of(weight)
            old.replace_all_uses_with(weight)
            return
        pair = source.producer()
        before = pair.inputs[0] if pair is not None and pair.op_type == "QuantizeLinear" else None
        if pair is None or before is None or before.is_initializer():
            raise _refused(f"{node.name} does not end a pair of an activation")
        if any(self._values(pair, at).tobytes() != self._values(node, at).tobytes() for at in (1, 2)):
            raise _refused(f"{pair.name} and {node.name} differ")
        if before is self._nhwc:  # the image in NHWC is turned first; a pair with one scale does not mind
            self._turns |= dict.fromkeys(old.consumers(), node)
            old.replace_all_uses_with(before)
        else:
            self.model.graph.insert_before(node, self._stand_in(node, before, old))

    def _values(self, node: ir.Node, place: int) -> NDArray[Any]:
        value = constant(node.inputs[place]) if len(node.inputs) > place else None
        if value is None:
            raise _refused(f"{node.name} has no constant scale and zero point")
        return value

    def _stand_in(self, node: ir.Node, source: ir.Value, old: ir.Value) -> ir.Node:
        """A Dropout of `source` for a pair that ends with `node`: what read `old` reads that."""
        scale, zero = self._values(node, 1), self._values(node, 2)
        if zero.dtype not in LEVELS or (scale.size > 1 and _axis(node) != 1):
            raise _refused(f"{node.name} is not INT8 with one scale, or one for each channel")
        name = f"{STAND_IN}{len(self.places)}"
        place = self._same.setdefault((scale.tobytes(), zero.tobytes(), zero.dtype), name)
        if place == name:
            self.activations[name] = FakeQuantize(scale, zero, *LEVELS[zero.dtype], axis=1)
        factor = node.inputs[1]
        assert factor is not None, node
        self.places[name] = self.scales[name_of(factor)] = place
        readers = old.uses()
        dropout = ir.node("Dropout", [source], outputs=[ir.Value(name=f"{name}_out")], name=name)
        for reader, index in readers:
            reader.replace_input_with(index, dropout.outputs[0])
        return dropout

    def _weight(self, node: ir.Node) -> ir.Value:
        """Puts the float form of an INT8 weight into the graph."""
        reader = next((each for each, at in node.outputs[0].uses() if each.op_type in WEIGHTED and at == 1), None)
        name = None if reader is None else self._origins.get(reader.name or "")
        if reader is None or name is None or len(node.outputs[0].uses()) > 1:
            raise _refused(f"{node.name} makes something else than the weight of one layer")
        rounded, scale, zero = array_of(node.inputs[0]), self._values(node, 1), self._values(node, 2)
        channels = 1 if is_turned(reader) else 0
        own = constant(self._floats.get(name))
        if zero.any() or rounded.dtype != np.int8 or own is None or own.shape != rounded.shape:
            raise _refused(f"the weight of {reader.name} is not the symmetric INT8 form of {name}")
        if scale.size > 1 and _axis(node) % rounded.ndim != channels:
            raise _refused(f"the scales of {node.name} are not those of output channels")
        # NNCF leaves half of the range free where older processors would overflow.
        half = np.abs(rounded.astype(np.int16)).max() <= 64
        low, high = (-64, 64) if half else (min(-127, int(rounded.min())), 127)
        quantizer = FakeQuantize(scale, zero, low, high, channels)
        steps = scale.reshape([-1 if place == channels else 1 for place in range(own.ndim)] if scale.size > 1 else ())
        with torch.no_grad():
            same = np.rint(quantizer(torch.tensor(own)).numpy() / steps) == rounded
        quantizer.axis = 0  # where torch has the output channels
        self.weights[name] = quantizer
        return add_constant(self.model.graph, name, np.where(same, own, rounded * steps).astype(np.float32))

    def layers(self, paths: Mapping[str, str]) -> tuple[Layer, ...]:
        """What has constants of its own to write back; `paths` of modules by the names of their float weights."""
        found = []
        for node in self._quantized:
            weight = node.inputs[1] if node.op_type in WEIGHTED else None
            maker = None if weight is None else weight.producer()
            path = None if weight is None else paths.get(self._names.get(name_of(weight), name_of(weight)))
            if maker is not None:
                weight = maker.inputs[0] if maker.op_type == "DequantizeLinear" else None
            bias = node.inputs[2] if len(node.inputs) > 2 else None
            own = [value for value in (weight, bias) if value is not None]
            if path is None or weight is None or any(not v.is_initializer() or len(v.uses()) > 1 for v in own):
                continue
            scale = None if maker is None or maker.inputs[1] is None else name_of(maker.inputs[1])
            found.append(Layer(path, name_of(weight), None if bias is None else name_of(bias), scale, is_turned(node)))
        return tuple(found)


def _axis(node: ir.Node) -> int:
    return node.attributes.get_int("axis", 1)
