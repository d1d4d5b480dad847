"""Modules run by this Python in a process of their own."""

from __future__ import annotations

import sys

ELSEWHERE = "import sys; sys.path[:] = filter(None, sys.path); "
"""What begins code for `-c`, which would look for modules in the folder that the user stands in before all others."""


def module_command(module: str, *arguments: str) -> list[str]:
    """The command that runs a module as `python -m` does, and imports nothing from the folder that it is started in."""
    run = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return [sys.executable, "-c", ELSEWHERE + run, *arguments]
