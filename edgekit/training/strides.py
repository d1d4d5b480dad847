"""Convolutions of one pixel that leave pixels out, computed without the kernel of torch 2.13 that ends the process.

On processors with AVX2 (and newer ones) its backward pass over channels-last memory writes where it must not: seen with
1x1 kernels, a stride of 2, and channels that are no multiple of 16, which pruned networks have everywhere. To leave the
pixels out first and convolve with stride 1 is the same function, and about as fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def pixels_left_out_first(*networks: nn.Module) -> Iterator[None]:
    """Within it, 1x1 convolutions with a stride leave out the pixels before they run; afterwards they are as before."""
    modules: list[Any] = [module for network in networks for module in network.modules() if _is_meant(module)]
    found = [(module, module.stride) for module in modules]
    hooks = []
    try:
        for module, stride in found:
            hooks.append(module.register_forward_pre_hook(_leaving_out(*stride)))
            module.stride = (1, 1)
        yield
    finally:
        for (module, stride), hook in zip(found, hooks, strict=False):
            hook.remove()
            module.stride = stride


def _is_meant(module: Any) -> bool:
    plain = isinstance(module, nn.Conv2d) and type(module).forward is nn.Conv2d.forward
    return plain and module.kernel_size == (1, 1) and module.padding in ((0, 0), "valid") and module.stride != (1, 1)


def _leaving_out(rows: int, columns: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
    def leave_out(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (given[0][..., ::rows, ::columns], *given[1:])

    return leave_out
