"""The report of a build: the contract of report.json, and what people read of it.

A format is one module with a function from a report to text, and its line in RENDERERS.
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.report.html import html
from edgekit.report.markdown import markdown
from edgekit.report.model import Report
from edgekit.report.schema import read, schema, validate

RENDERERS: dict[str, Callable[[Report], str]] = {"md": markdown, "html": html}
"""Format, which is also the suffix of its files: renderer."""

__all__ = ["RENDERERS", "Report", "html", "markdown", "read", "schema", "validate"]
