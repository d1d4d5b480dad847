"""Which output of a network holds its answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.answer import Answer
from edgekit.models.onnx_graph import dims_of

NAMES: Final[dict[str, tuple[frozenset[str], ...]]] = {
    "classify": (
        frozenset({"logits", "logit"}),
        frozenset({"output", "outputs", "out", "y", "prediction", "predictions", "pred", "preds", "score", "scores"}),
        frozenset({"probabilities", "probability", "probs", "prob", "softmax", "sigmoid", "classes", "classifier"}),
    ),
    "embed": (
        frozenset({"embedding", "embeddings", "embed"}),
        frozenset({"feature", "features", "descriptor", "descriptors", "vector", "output"}),
    ),
}
"""Names that plainly say it, the plainest first, by task; those of multilabel are those of classify."""


@dataclass(frozen=True)
class FileOutput:
    """An output as the file has it: its name, and the tensor that it is now."""

    name: str
    value: ir.Value

    def __str__(self) -> str:
        if self.value.shape is None:
            return f"{self.name} of unknown shape"
        return f"{self.name} [{', '.join(str(dim) for dim in self.value.shape)}]"


def choose(outputs: list[FileOutput], answer: Answer) -> FileOutput:
    """The output that was asked for, or that is plainly the answers; `outputs` are of a batch of 1.

    Raises:
        InputError: there is none, or it is not plain which; all are named.
    """
    if answer.output is not None:
        named = [each for each in outputs if each.name == answer.output]
        if not named:
            raise InputError(f"the network has no output {answer.output!r}", f"It has: {_all(outputs)}.")
        return named[0]
    if len(outputs) == 1:
        return outputs[0]
    candidates = [each for each in outputs if numbers_of(each.value) is not None]
    by_name = _by_name(candidates, answer.task)
    if by_name is not None:
        return by_name
    last = [each for each in candidates if all(o is each or _depends(each.value, o.value) for o in candidates)]
    if len(last) == 1:
        return last[0]
    raise InputError(
        f"the network has {len(outputs)} outputs, and which holds the answers cannot be told: {_all(outputs)}",
        "Name it with --output.",
    )


def _all(outputs: list[FileOutput]) -> str:
    return ", ".join(map(str, outputs))


def unused(outputs: list[FileOutput], chosen: FileOutput, more: Sequence[str] = ()) -> str | None:
    """A line that names the outputs that are not used, some by name alone; None where there are none."""
    others = [*(str(each) for each in outputs if each is not chosen), *more]
    if not others:
        return None
    return f"the answers are read from the output {chosen}; not used: {', '.join(others)}"


def numbers_of(value: ir.Value) -> int | None:
    """How many numbers an output gives for one image, in whatever shape; None where it is no vector of floats."""
    dims = dims_of(value)
    is_float = value.dtype in (ir.DataType.FLOAT, None) and not isinstance(
        value.type, ir.SequenceType | ir.OptionalType
    )
    if not is_float or value.shape is None or min(dims, default=1) < 1:
        return None
    large = [dim for dim in dims if dim > 1]
    return (large or [1])[0] if len(large) <= 1 else None


def _by_name(candidates: list[FileOutput], task: str) -> FileOutput | None:
    for names in NAMES["embed" if task == "embed" else "classify"]:
        found = [each for each in candidates if _plain(each.name) in names]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _plain(name: str) -> str:
    """The last word of a path, in small letters, without the number of an output that frameworks add."""
    return re.split(r"[/.]", re.sub(r":\d+$", "", name))[-1].lower()


def _depends(value: ir.Value, on: ir.Value) -> bool:
    """Whether a tensor is computed from another one."""
    seen, ahead = set[ir.Value](), [value]
    while ahead:
        producer = ahead.pop().producer()
        for source in producer.inputs if producer is not None else ():
            if source is on:
                return True
            if source is not None and source not in seen:
                seen.add(source)
                ahead.append(source)
    return False
