"""A Q/DQ graph as a torch network that can be trained: its quantizers are fake ones, at the same places.

Before training the network computes what the graph computes; what it has learned is written into a copy of the graph,
which keeps every node. Scales are learned beside weights and biases: see learned_step.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgekit.errors import InputError
from edgekit.models.from_onnx import to_torch
from edgekit.models.onnx_graph import image_input, integer_of, layout_of
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


def simulated(quantized: ModelProto, core: ModelProto) -> Simulated:
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


def written(quantized: ModelProto, learned: Simulated, network: nn.Module) -> ModelProto:
    """A copy of the Q/DQ graph with what a network has learned: weights, biases, scales; its nodes are the same.

    Args:
        quantized: what `learned` was made of.
        network: `learned.network`, or a copy of it with other values.
    """
    out = ModelProto()
    out.CopyFrom(quantized)
    tensors = {tensor.name: tensor for tensor in out.graph.initializer}

    def put(name: str, value: Tensor | NDArray[Any]) -> None:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        old = numpy_helper.to_array(tensors[name])
        shape = old.shape if old.size == array.size else array.shape  # the bias of a Gemm may be told once for all
        made = np.ascontiguousarray(array.astype(old.dtype)).reshape(shape)
        tensors[name].CopyFrom(numpy_helper.from_array(made, name))

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

    def __init__(self, quantized: ModelProto, core: ModelProto) -> None:
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
        self._plain = {tensor.name: numpy_helper.to_array(tensor) for tensor in core.graph.initializer}
        self._makers = {output: node for node in quantized.graph.node for output in node.output}
        self._readers = Counter(name for node in quantized.graph.node for name in node.input)
        self._weighted = [node for node in quantized.graph.node if node.op_type in WEIGHTED]
        self._origins = {each.name: each.weight for each in operators(quantized, core)}
        image = image_input(quantized)
        self._nhwc = image.name if layout_of(image) == "NHWC" else None
        self.weights, self.activations = dict[str, FakeQuantize](), dict[str, FakeQuantize]()
        self.places, self.scales = dict[str, str](), dict[str, str]()
        self._same = dict[tuple[Any, ...], str]()
        self._names = dict[str, str]()
        self._nodes = list[NodeProto]()
        self.model = ModelProto()
        self.model.CopyFrom(quantized)
        for node in quantized.graph.node:
            self._add(node)
        del self.model.graph.node[:], self.model.graph.value_info[:]
        self.model.graph.node.extend(self._nodes)

    def _add(self, node: NodeProto) -> None:
        """Adds a node of the Q/DQ graph, or what stands for it."""
        if node.op_type == "DequantizeLinear" and node.input[0] in self._constants:
            self._names[node.output[0]] = self._weight(node)
        elif node.op_type == "DequantizeLinear":
            pair = self._makers.get(node.input[0])
            if pair is None or pair.op_type != "QuantizeLinear" or pair.input[0] in self._constants:
                raise _refused(f"{node.name} does not end a pair of an activation")
            if any(self._values(pair, at).tobytes() != self._values(node, at).tobytes() for at in (1, 2)):
                raise _refused(f"{pair.name} and {node.name} differ")
            source = self._names.get(pair.input[0], pair.input[0])
            # The image in NHWC is turned first; a pair with one scale does not mind.
            self._names[node.output[0]] = source if source == self._nhwc else self._stand_in(node, source)
        elif node.op_type != "QuantizeLinear":
            plain = NodeProto()
            plain.CopyFrom(node)
            plain.input[:] = [self._names.get(name, name) for name in node.input]
            self._nodes.append(plain)
            before = self._makers.get(node.input[0]) if self._nhwc in plain.input else None
            if before is not None:
                self._names[node.output[0]] = self._stand_in(before, node.output[0])

    def _values(self, node: NodeProto, place: int) -> NDArray[Any]:
        if len(node.input) <= place or node.input[place] not in self._constants:
            raise _refused(f"{node.name} has no constant scale and zero point")
        value: NDArray[Any] = self._constants[node.input[place]]
        return value

    def _stand_in(self, node: NodeProto, source: str) -> str:
        """Puts a Dropout in the place of a pair that ends with `node`; the tensor that it makes."""
        scale, zero = self._values(node, 1), self._values(node, 2)
        if zero.dtype not in LEVELS or (scale.size > 1 and _axis(node) != 1):
            raise _refused(f"{node.name} is not INT8 with one scale, or one for each channel")
        name = f"{STAND_IN}{len(self.places)}"
        place = self._same.setdefault((scale.tobytes(), zero.tobytes(), zero.dtype), name)
        if place == name:
            self.activations[name] = FakeQuantize(scale, zero, *LEVELS[zero.dtype], axis=1)
        self.places[name] = self.scales[node.input[1]] = place
        self._nodes.append(helper.make_node("Dropout", [source], [f"{name}_out"], name))
        return f"{name}_out"

    def _weight(self, node: NodeProto) -> str:
        """Puts the float form of an INT8 weight into the graph; its name there."""
        reader = next((each for each in self._weighted if each.input[1] == node.output[0]), None)
        name = None if reader is None else self._origins.get(reader.name)
        if reader is None or name is None or self._readers[node.output[0]] > 1:
            raise _refused(f"{node.name} makes something else than the weight of one layer")
        rounded, scale, zero = self._constants[node.input[0]], self._values(node, 1), self._values(node, 2)
        channels = 1 if is_turned(reader) else 0
        own = self._plain.get(name)
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
        weight = np.where(same, own, rounded * steps).astype(np.float32)
        self.model.graph.initializer.append(numpy_helper.from_array(weight, name))
        return name

    def layers(self, paths: Mapping[str, str]) -> tuple[Layer, ...]:
        """What has constants of its own to write back; `paths` of modules by the names of their float weights."""
        found = []
        for node in self._weighted:
            maker = self._makers.get(node.input[1])
            weight, scale = (node.input[1], None) if maker is None else (maker.input[0], maker.input[1])
            path = paths.get(self._names.get(node.input[1], weight))
            bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
            own = [name for name in (weight, bias) if name is not None]
            if path is not None and all(name in self._constants and self._readers[name] == 1 for name in own):
                found.append(Layer(path, weight, bias, scale, is_turned(node)))
        return tuple(found)


def _axis(node: NodeProto) -> int:
    return integer_of(node, "axis", 1)
