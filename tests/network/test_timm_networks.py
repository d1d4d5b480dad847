"""Networks of timm's by name, with random weights: exported, quantized and pruned right, or refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from build_answer import Build

pytestmark = [pytest.mark.network, pytest.mark.slow]

NAMES = (
    "mobilenetv3_small_100",
    "efficientnet_b0",
    "convnext_atto",
    "convnext_femto",
    "vit_tiny_patch16_224",
    "regnety_002",
    "repvgg_a0",
    "resnext26ts",
    "resnext50_32x4d",
)
WHOLE = ("vit_tiny_patch16_224",)
"""Those that take pictures of their own size alone."""

WAYS: dict[str, tuple[object, ...]] = {
    "here": ("--prune", "none"),
    "for a Jetson": ("--prune", "none", "--target", "jetson"),
    "pruned": ("--prune", 0.3, "--recovery-minutes", 0.05),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_timm(name: str, way: str, build: Build, few: Path, timm_path: str) -> None:
    size = () if name in WHOLE else ("--size", 64)
    told = ("--model", f"timm:{name}", "--weights", "random", "--data", few, *size)
    answer = build(*told, *WAYS[way], path=timm_path)
    if way == "pruned":
        answer.check_or_refused()
    else:
        answer.check()
