"""A real browser for tests: Chromium without a window, driven by Playwright; skipped where either is not here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS: Final = ("chromium", "google-chrome", "chromium-browser")
QUIET: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium, for several pages."""
    driver = pytest.importorskip("playwright.sync_api", reason="there is no Playwright here")
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("there is no browser here")
    with driver.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path, **look: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page, and what went wrong on it so far: errors, warnings of the console, dialogs, and requests but its own.

    Args:
        look: of Playwright's contexts, such as viewport or color_scheme.
    """
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **look})
    context.set_default_timeout(10_000)
    page, wrong = context.new_page(), list[str]()

    def dismiss(dialog: Any) -> None:
        wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", dismiss)
    page.on("request", lambda asked: wrong.append(asked.url) if asked.url not in (file.as_uri(), "data:,") else None)
    page.goto(file.as_uri())
    yield page, wrong
    context.close()
