"""Pages from templates: whatever a template shows is escaped unless it is markup of this package's own."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from edgekit.report.escaping import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: object) -> str:
    """A page from one of the templates beside this file; a value that it names and does not get is an error."""
    return _environment().get_template(template).render(**values)


def markup(drawn: str) -> object:
    """SVG that this package drew, its texts escaped, as templates take it."""
    from markupsafe import Markup

    return Markup(drawn)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here, so that reading reports needs none

    return Environment(
        loader=PackageLoader("edgekit.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finished,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _finished(value: object) -> object:
    """What a template writes for a value, before it is escaped."""
    return value if hasattr(value, "__html__") else printable(value)
