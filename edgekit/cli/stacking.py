"""Several click options put on one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


def stack(function: AnyFunction, *options: Callable[[AnyFunction], AnyFunction]) -> AnyFunction:
    """Apply click options so that --help lists them in the order given."""
    for option in reversed(options):
        function = option(function)
    return function
