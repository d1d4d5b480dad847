"""The build: from a recipe to a bundle, one stage after the other.

`edgekit.build(recipe)` runs it. The package of that name is what is called, so that both the function of the Python
interface and the modules of the pipeline are found under it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.build.pipeline import Built


class _Callable(ModuleType):
    def __call__(self, *given: Any, **named: Any) -> Built:
        """See edgekit.build.pipeline.build."""
        from edgekit.build.pipeline import build

        return build(*given, **named)


sys.modules[__name__].__class__ = _Callable
