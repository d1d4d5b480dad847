"""The unpruned network as a teacher: its answers and some layers' outputs, by OpenVINO where that computes the same.

It needs no gradients, so that an inference runtime can run it. Of quarter-width Inception-v4 OpenVINO computes 2.3
times as many images a second as torch with BF16, 1.4 times as many without, one core each.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.runtime.quiet import no_telemetry
from edgekit.training.autocast import autocast, number_format
from edgekit.training.distillation import Taught

GROUP: Final = 8
"""Pictures that go through OpenVINO together, whatever the batch: one compiled network a size."""

AGREEING: Final = 0.05
"""How far OpenVINO's logits may be from torch's, as a part of their norm; BF16 differs by about 0.01."""


class Teacher(Protocol):
    """Runs the unpruned network."""

    name: str

    def __call__(self, inputs: Tensor) -> Taught:
        """Logits (N, classes) in float32, and the rows of layers that are compared, in BF16 to save memory."""
        ...


class Teaching(nn.Module):
    """A network that gives its logits and the outputs of some of its layers, some channels of each."""

    def __init__(self, network: nn.Module, rows: Mapping[str, Tensor]) -> None:
        """Hooks are put on the network, until `close`.

        Args:
            rows: layers by name, and positions of the channels (K,).
        """
        super().__init__()
        self.network, self._rows = network, dict(rows)
        self._seen: dict[str, Tensor] = {}
        self._hooks = [network.get_submodule(name).register_forward_hook(self._noting(name)) for name in rows]

    def forward(self, inputs: Tensor) -> Taught:
        """Logits, and the channels of each layer in order; a layer that did not run is an error."""
        logits = self.network(inputs)
        return (logits, *(self._seen.pop(name)[:, rows] for name, rows in self._rows.items()))

    def close(self) -> None:
        """Takes the hooks off the network."""
        for hook in self._hooks:
            hook.remove()

    def _noting(self, name: str) -> Any:
        def note(module: nn.Module, given: Any, made: Tensor) -> None:
            self._seen[name] = made

        return note


class TorchTeacher:
    """The network as torch runs it."""

    name = "torch"

    def __init__(self, teaching: Teaching) -> None:
        self._teaching = teaching

    def __call__(self, inputs: Tensor) -> Taught:
        with torch.no_grad(), autocast(inputs.device.type):
            logits, *layers = self._teaching.to(inputs.device)(inputs)
        return (logits.float(), *(each.to(torch.bfloat16) for each in layers))


class OpenVinoTeacher:
    """The network as OpenVINO runs it on the processor; torch does for sizes at which the two differ.

    A trace holds what the network did with the pictures that it was traced with. So the two are compared with the first
    pictures of every size.
    """

    name = "openvino"

    def __init__(self, teaching: Teaching, inputs: Tensor, threads: int) -> None:
        """Converts the network.

        Args:
            inputs: some pictures, to trace it with; threads: that it computes with.
        Raises:
            Exception: whatever a network does that cannot be traced or converted.
        """
        no_telemetry()
        import openvino

        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns of every shape that the network looks at
            self._model = openvino.convert_model(teaching, example_input=inputs)
        self._settings = {
            "INFERENCE_NUM_THREADS": str(threads),
            "INFERENCE_PRECISION_HINT": "bf16" if number_format() == "bf16" else "f32",
            "ENABLE_CPU_PINNING": "NO",  # processes that draw pictures run on the same cores
        }
        self._core, self._plain = openvino.Core(), TorchTeacher(teaching)
        self._requests: dict[tuple[int, ...], Any] = {}

    def __call__(self, inputs: Tensor) -> Taught:
        shape = tuple(inputs.shape[1:])
        if shape not in self._requests:
            self._requests[shape] = self._trusted(shape, inputs[:GROUP])
        request = self._requests[shape]
        return self._plain(inputs) if request is None else self._asked(request, inputs)

    def agrees(self, inputs: Tensor) -> bool:
        """Whether what it gives for pictures is what torch gives."""
        pairs = zip(self(inputs), self._plain(inputs), strict=True)
        return self._requests[tuple(inputs.shape[1:])] is not None and all(_is_near(*pair) for pair in pairs)

    def _trusted(self, shape: tuple[int, ...], inputs: Tensor) -> Any:
        """A request for pictures of a size; None where it has other answers than torch, or none."""
        try:
            model = self._model.clone()
            model.reshape({0: [GROUP, *shape]})
            request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
            made = self._asked(request, inputs)
        except RuntimeError:  # shapes that the trace has as constants
            return None
        return request if all(_is_near(*pair) for pair in zip(made, self._plain(inputs), strict=True)) else None

    def _asked(self, request: Any, inputs: Tensor) -> Taught:
        made = []
        for group in torch.split(inputs, GROUP):
            pictures = group.contiguous().numpy()
            missing = GROUP - len(pictures)
            if missing:
                pictures = np.concatenate([pictures, np.repeat(pictures[-1:], missing, 0)])
            told = request.infer([np.ascontiguousarray(pictures)])
            made.append([torch.from_numpy(each[: len(group)]) for each in told.values()])
        logits, *layers = (torch.cat(each) for each in zip(*made, strict=True))
        return (logits, *(each.to(torch.bfloat16) for each in layers))


def teacher_for(teaching: Teaching, inputs: Tensor, threads: int, wanted: str | None = None) -> Teacher:
    """The teacher by OpenVINO, or by torch where OpenVINO has not the same answers, or there is a GPU.

    Args:
        inputs: normalised pictures that the answers are compared for.
        wanted: the name of the one that a run was made with, which is done again; None: whichever fits.
    """
    if wanted == TorchTeacher.name or torch.cuda.is_available():
        return TorchTeacher(teaching)
    try:
        fast = OpenVinoTeacher(teaching, inputs, threads)
        # answers that depend on values by a branch differ for pictures that are not those of the trace
        if all(fast.agrees(each) for each in (inputs, -inputs, torch.zeros_like(inputs))):
            return fast
    except Exception:  # whatever tracing and conversion do with a network of others: torch runs it
        pass
    return TorchTeacher(teaching)


def _is_near(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    apart, size = (one.float() - other.float()).norm(), other.float().norm()
    return bool(apart <= AGREEING * size + 1e-6)
