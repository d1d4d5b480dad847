"""The C++ library, built once for all tests that use it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cpp_library import Programs, build, programs_in
from once import once


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The library as it is used; a warning of the compiler is an error."""
    return built(tmp_path_factory, sanitize=False)


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The library with AddressSanitizer and UndefinedBehaviorSanitizer, which end the program at the first mistake."""
    return built(tmp_path_factory, sanitize=True)


def built(tmp_path_factory: pytest.TempPathFactory, sanitize: bool) -> Programs:
    """The programs, or a skip that says what is missing here."""

    def make(folder: Path) -> None:
        made = build(folder, sanitize=sanitize)
        if isinstance(made, str):
            (folder / "missing").write_text(made)

    folder = once(tmp_path_factory, "cpp-sanitized" if sanitize else "cpp", make)
    if (folder / "missing").exists():
        pytest.skip((folder / "missing").read_text())
    return programs_in(folder)
