"""docs/tutorial.md as steps: files to write, Python to run, and commands, in their order."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from doc_commands import TOP

TUTORIAL = TOP / "docs" / "tutorial.md"


@dataclass(frozen=True)
class Step:
    """One block, or one command of one.

    Attributes:
        kind: `file` has its name in `words` and its text in `text`; `command` has words; `python` has text; `output` is
            what the steps before it said, shortened.
    """

    kind: Literal["file", "python", "command", "output"]
    text: str
    words: tuple[str, ...] = ()


def steps() -> list[Step]:
    """All steps of the tutorial."""
    found = list[Step]()
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", TUTORIAL.read_text(encoding="utf-8"), re.M | re.S):
        if language == "python":
            found.append(Step("python", text))
        elif language == "yaml":
            found.append(Step("file", text, (text.split("\n")[0].removeprefix("# "),)))
        elif language == "text":
            found.append(Step("output", text))
        else:
            found += [Step("command", line, tuple(shlex.split(line))) for line in text.splitlines()]
    return found
