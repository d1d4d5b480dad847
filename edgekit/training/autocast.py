"""BF16 where it is fast, and the conditions that a run computes under: number format and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

import torch

from edgekit.targets.machine import processor
from edgekit.targets.table import TARGETS
from edgekit.training.record import NumberFormat

_FORMAT: Final[ContextVar[NumberFormat | None]] = ContextVar("number format", default=None)


def autocast(device_type: str = "cpu", wanted: bool = True) -> torch.autocast:
    """Convolutions and linear layers in BF16, all else in float32; nothing where the hardware has no BF16.

    There torch computes BF16 all the same, several times more slowly than float32.

    Args:
        device_type: "cpu" or "cuda".
        wanted: whether BF16 is asked for at all. Under `computing` the format is what was said there.
    """
    return torch.autocast(device_type, torch.bfloat16, enabled=number_format(device_type, wanted) == "bf16")


def number_format(device_type: str = "cpu", wanted: bool = True) -> NumberFormat:
    """What `autocast` computes in."""
    said = _FORMAT.get()
    if said is not None:
        return said
    return "bf16" if wanted and is_fast(device_type) else "fp32"


@contextmanager
def computing(threads: int, form: NumberFormat | None) -> Iterator[None]:
    """Computes with so many threads and in that format, fast here or not (None: as is fast); afterwards as before."""
    before, token = torch.get_num_threads(), _FORMAT.set(form)
    if before != threads:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        _FORMAT.reset(token)
        if before != threads:
            torch.set_num_threads(before)


@lru_cache(maxsize=2)
def is_fast(device_type: str) -> bool:
    """Whether this processor, or this GPU, computes in BF16 itself."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return "bf16" in TARGETS["cpu"].fast_precisions(processor()[1])
