"""BF16 is used where the processor has it, and only there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from edgekit.training import autocast as module
from edgekit.training.autocast import autocast, is_fast


@pytest.fixture(autouse=True)
def looked_at_anew() -> Iterator[None]:
    is_fast.cache_clear()
    yield
    is_fast.cache_clear()


@pytest.mark.parametrize(
    ("features", "wanted", "made"),
    [
        (("avx2",), True, torch.float32),
        (("avx2", "avx512f", "avx512_vnni"), True, torch.float32),
        (("avx2", "avx512f", "avx512_bf16"), True, torch.bfloat16),
        (("asimd", "bf16"), True, torch.bfloat16),
        (("avx2", "avx512f", "avx512_bf16"), False, torch.float32),
    ],
)
def test_what_a_layer_gives(
    monkeypatch: pytest.MonkeyPatch, features: tuple[str, ...], wanted: bool, made: torch.dtype
) -> None:
    monkeypatch.setattr(module, "processor", lambda: ("a processor", features))
    with autocast("cpu", wanted):
        assert torch.nn.Linear(4, 2)(torch.zeros(1, 4)).dtype == made
