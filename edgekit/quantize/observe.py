"""What INT8 does inside a network: ranges of its tensors, the noise of every operator, what each costs at the output.

Everything is computed inside graphs that OpenVINO runs, so that only a few numbers an image leave them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.divergence import divergence
from edgekit.errors import InputError
from edgekit.models.onnx_graph import add_constant, dims_of, give_only, infer_shapes, opset_of, to_proto
from edgekit.quantize.merged import measuring_graphs
from edgekit.quantize.qdq import Quantized, named_as, operators, restored
from edgekit.runtime import openvino_core

Inputs = Callable[[], Iterator[NDArray[np.float32]]]
"""A fresh pass over float32 network inputs of batch 1."""

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

CLEAN_DB: Final = 200.0
"""Stands for a tensor without any noise: beyond what float32 resolves, and a number in JSON."""


@dataclass(frozen=True)
class Noise:
    """The noise of one operator's output, as ratios of signal to noise in dB: less is worse.

    Attributes:
        own_db: if this operator alone were in INT8; total_db: in the whole INT8 graph.
    """

    operator: Quantized
    own_db: float
    total_db: float


@dataclass(frozen=True)
class Observed:
    """One pass over inputs through a network in float32 and in INT8.

    Attributes:
        noise: of every quantized operator, in the order of the graph.
        kl: mean Kullback-Leibler divergence of the INT8 softmax from that of float32, nats.
        agreement: share of inputs with the same top-1 answer, percent; images: how many inputs.
    """

    noise: tuple[Noise, ...]
    kl: float
    agreement: float
    images: int


def _silent(done: int, total: int) -> None:
    """Nobody listens."""


def ranges(core: ir.Model, tensors: Sequence[str], inputs: Inputs) -> dict[str, NDArray[np.float32]]:
    """The lowest and the highest value of every channel over all inputs, (2, C) for each of the tensors, in float32.

    Channels are axis 1 of tensors of rank 2 and 4, and the last axis of others.

    Raises:
        InputError: the graph has no such tensor, or its rank is not known, or there are no inputs.
    """
    wanted = list(dict.fromkeys(tensors))
    if not wanted:
        return {}
    model = core.clone()
    infer_shapes(model)
    values = ir.convenience.create_value_mapping(model.graph)
    reduced = []
    for number, name in enumerate(wanted):
        rank = len(dims_of(values.get(name)))
        if rank == 0:
            raise InputError(f"the graph does not tell the shape of {name}", "Export it with its shapes.")
        channel = 1 if rank in (2, 4) else rank - 1
        axes = [axis for axis in range(rank) if axis != channel]
        for kind in ("Min", "Max"):
            reduced.append(append_reduction(model, f"Reduce{kind}", values[name], f"edgekit_{kind}_{number}", axes))
    give_only(model, reduced)
    found: list[NDArray[np.float32]] | None = None
    for computed in answers(model, inputs):
        lows, highs = computed[::2], computed[1::2]
        seen = [np.stack(pair) for pair in zip(lows, highs, strict=True)]
        if found is not None:
            seen = [
                np.stack([np.minimum(a[0], b[0]), np.maximum(a[1], b[1])]) for a, b in zip(found, seen, strict=True)
            ]
        found = seen
    if found is None:
        raise InputError("there are no images to look at", "Give calibration images.")
    return dict(zip(wanted, found, strict=True))


def append_reduction(model: ir.Model, kind: str, tensor: ir.Value, out: str, axes: Sequence[int]) -> ir.Value:
    """Appends a reduction over axes to a graph; its output.

    ReduceMin, ReduceMax and ReduceMean take their axes as an attribute before opset 18, then as an input.
    """
    inputs, attributes = [tensor], dict[str, int | Sequence[int]](keepdims=0)
    if opset_of(model) < 18:
        attributes["axes"] = axes
    else:
        inputs.append(add_constant(model.graph, f"{out}_axes", np.array(axes, np.int64)))
    node = ir.node(kind, inputs, attributes, outputs=[ir.Value(name=out)], name=out)
    model.graph.append(node)
    return node.outputs[0]


def observe(core: ir.Model, quantized: ir.Model, inputs: Inputs, on_progress: Progress = _silent) -> Observed:
    """One pass over the inputs, or a few for a large network: the noise of each quantized operator.

    Args:
        core: the float32 graph; quantized: NNCF's Q/DQ form of it.
        on_progress: called for each input of each pass.
    Raises:
        InputError: nothing in the graph is quantized, there are no inputs, or an output is not finite.
    """
    core = named_as(core, quantized)
    found = operators(quantized, core)
    if not found:
        raise InputError("nothing in the graph is quantized", "Quantize it to INT8 first.")
    count = sum(1 for _ in inputs())
    if count == 0:
        raise InputError("there are no images to look at", "Give calibration images.")
    layers: list[Noise] = []
    divergences: list[float] = []
    agreed = 0
    graphs = measuring_graphs(core, quantized, found)
    for number, (group, make) in enumerate(graphs):
        powers = np.zeros((len(group), 3))
        for done, values in enumerate(answers(make(), inputs), 1):
            plain, int8 = (np.asarray(each).reshape(1, -1) for each in values[:2])
            powers += np.asarray(values[2], np.float64).reshape(-1, 3)
            if number == 0:
                if not (np.isfinite(plain).all() and np.isfinite(int8).all()):
                    raise InputError(f"the outputs for image {done} of {count} are not finite", "Leave it out.")
                divergences.append(float(divergence(plain, int8)[0]))
                agreed += int(plain.argmax() == int8.argmax())
            on_progress(number * count + done, len(graphs) * count)
        for operator, (signal, own, total) in zip(group, powers, strict=True):
            layers.append(Noise(operator, decibels(signal, own), decibels(signal, total)))
    return Observed(tuple(layers), float(np.mean(divergences)), 100 * agreed / count, count)


def confirm(
    core: ir.Model, quantized: ir.Model, names: Sequence[str], inputs: Inputs, on_progress: Progress = _silent
) -> dict[str, float]:
    """The mean divergence that is left at the output when one operator is given back to float32, nats, by its name.

    Args:
        core, quantized: as for `observe`; names: of operators, each restored alone.
        on_progress: called after each operator.
    Raises:
        InputError: there are no inputs.
    """
    left = remaining(core, quantized, [[name] for name in names], inputs, on_progress)
    return dict(zip(names, left, strict=True))


def remaining(
    core: ir.Model,
    quantized: ir.Model,
    groups: Sequence[Sequence[str]],
    inputs: Inputs,
    on_progress: Progress = _silent,
) -> list[float]:
    """The mean divergence that is left at the output, nats, when each group of operators is restored by itself.

    Raises:
        InputError: there are no inputs.
    """
    core = named_as(core, quantized)
    plain = _logits(core, inputs)
    if not len(plain):
        raise InputError("there are no images to look at", "Give calibration images.")
    left = []
    for done, names in enumerate(groups, 1):
        left.append(float(np.mean(divergence(plain, _logits(restored(quantized, core, names), inputs)))))
        on_progress(done, len(groups))
    return left


def decibels(signal: float, noise: float) -> float:
    """The ratio of two powers in dB, between plus and minus CLEAN_DB."""
    if noise <= 0:
        return CLEAN_DB
    if signal <= 0:
        return -CLEAN_DB
    return float(np.clip(10 * (np.log10(signal) - np.log10(noise)), -CLEAN_DB, CLEAN_DB))


def _logits(model: ir.Model, inputs: Inputs) -> NDArray[Any]:
    """(N, classes) of a graph for every input."""
    return np.array([np.asarray(values[0]).reshape(-1) for values in answers(model, inputs)])


def answers(model: ir.Model, inputs: Inputs) -> Iterator[list[NDArray[Any]]]:
    """The outputs of a graph for each input, run by OpenVINO: what is float is in true float32."""
    run = runner(model)
    for value in inputs():
        yield run(value)


def runner(model: ir.Model) -> Callable[[NDArray[np.float32]], list[NDArray[Any]]]:
    """A function from an input to the outputs of a graph, run by OpenVINO: what is float is in true float32."""
    known = openvino_core.core()
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = known.compile_model(known.read_model(to_proto(model).SerializeToString()), "CPU", settings)
    request, outputs = compiled.create_infer_request(), list(compiled.outputs)

    def run(value: NDArray[np.float32]) -> list[NDArray[Any]]:
        results = request.infer([value])
        return [np.array(results[output]) for output in outputs]

    return run
