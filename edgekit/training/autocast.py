"""BF16 where it is fast."""

from __future__ import annotations

from functools import lru_cache

import torch

from edgekit.targets.machine import processor
from edgekit.targets.table import TARGETS


def autocast(device_type: str = "cpu", wanted: bool = True) -> torch.autocast:
    """Convolutions and linear layers in BF16, all else in float32; nothing where the hardware has no BF16.

    There torch computes BF16 all the same, several times more slowly than float32.

    Args:
        device_type: "cpu" or "cuda".
        wanted: whether BF16 is asked for at all.
    """
    return torch.autocast(device_type, torch.bfloat16, enabled=wanted and is_fast(device_type))


@lru_cache(maxsize=2)
def is_fast(device_type: str) -> bool:
    """Whether this processor, or this GPU, computes in BF16 itself."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return "bf16" in TARGETS["cpu"].fast_precisions(processor()[1])
