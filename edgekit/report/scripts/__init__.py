"""Scripts of the report page: each is allowed by its hash, and data reaches them as JSON that ends no element."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from edgekit.report.page import markup

if TYPE_CHECKING:
    from edgekit.report.island import ChartData

UNSAFE: Final = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""What could end a script element or a line in it, as JSON writes it otherwise."""


@dataclass(frozen=True)
class Script:
    """A script as it stands in the page, and its source expression of a content security policy."""

    text: object
    source: str


@cache
def _script(*names: str) -> Script:
    """Files of this folder as one script; several share a scope of their own.

    Raises:
        ValueError: it cannot stand inside an element.
    """
    texts = [resources.files(__name__).joinpath(name).read_text(encoding="utf-8") for name in names]
    text = texts[0] if len(texts) == 1 else "(() => {\n" + "\n".join(texts) + "})();\n"
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"{', '.join(names)} would end its element")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(markup(text), f"'sha256-{digest}'")


def scripts() -> tuple[Script, ...]:
    """The scripts of the page in their order: the plotting library, what draws with it, and tables."""
    charts = _script("marks.js", "front.js", "steps.js", "distribution.js", "charts.js")
    return _script("plot.min.js"), charts, tables_script()


def tables_script() -> Script:
    """What makes tables sorted and searched, alone."""
    return _script("tables.js")


def as_json(data: ChartData) -> object:
    """Data for a `<script type="application/json">`: nothing in it is markup, whatever it holds."""
    return markup(json.dumps(asdict(data), ensure_ascii=False, separators=(",", ":")).translate(UNSAFE))
