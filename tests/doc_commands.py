"""The commands and snippets that the documentation shows: found, and parsed by the real command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click

from edgekit.cli import group

TOP: Final = Path(__file__).resolve().parents[1]
STARTS: Final = re.compile(r"(?:^|[|&;]\s*|^- run: |^\$ )(?P<command>edgekit\s+\S.*)$")
INLINE: Final = re.compile(r"(?<!`)`(edgekit\s+[^`]+)`(?!`)")
ENDS: Final = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>"})
"""Words at which a shell's command is over."""


@dataclass(frozen=True)
class Shown:
    """A command that a page shows.

    Attributes:
        page: its path from the top of the project; line: where it begins, from 1.
        words: what comes after `edgekit`; piped: what is written into it, as the page has it.
        inline: whether it stands in a sentence, where a verb may be named without what it needs.
    """

    page: str
    line: int
    words: tuple[str, ...]
    inline: bool = False
    piped: str = ""

    @property
    def text(self) -> str:
        """The command as one line."""
        return " ".join(("edgekit", *self.words))


def pages() -> list[Path]:
    """The README, everything in docs/, and the recipes, whose comments have commands."""
    recipes = [*(TOP / "recipes").glob("*.yaml"), *(TOP / "recipes").glob("*.md")]
    return [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md")), *sorted(recipes)]


def of_page(path: Path) -> list[Shown]:
    """Every command of a page: in blocks, in sentences, and in a recipe's comments."""
    page, text = str(path.relative_to(TOP)), path.read_text(encoding="utf-8")
    if path.suffix == ".yaml":
        blocks, prose = (
            [(number, re.sub(r"^#\s*(Command\s+)?", "", line)) for number, line in enumerate(text.splitlines(), 1)],
            "",
        )
    else:
        blocks, prose = split(text)
    found = [each for number, line in blocks if (each := _in_block(page, number, line)) is not None]
    for each in INLINE.finditer(prose):
        words = _words(" ".join(each[1].split()))
        if words is not None:
            found.append(Shown(page, prose.count("\n", 0, each.start()) + 1, words, inline=True))
    return found


def split(text: str) -> tuple[list[tuple[int, str]], str]:
    """The lines of a page's code blocks, fenced or indented, continued ones joined; and the page without them."""
    code, prose, fenced, before = list[tuple[int, str]](), list[str](), False, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = line.lstrip().startswith("```")
        fenced ^= fence
        within = not fence and (fenced or line.startswith("    "))
        prose.append("" if within or fence else line)
        if within and before.endswith("\\"):
            start, begun = code[-1]
            code[-1] = (start, f"{begun[:-1].rstrip()} {line.strip()}")
        elif within:
            code.append((number, line.strip()))
        before = line.rstrip() if within else ""
    return code, "\n".join(prose)


def _in_block(page: str, number: int, line: str) -> Shown | None:
    found = STARTS.search(line)
    words = _words(found["command"]) if found is not None else None
    if found is None or words is None:
        return None
    return Shown(page, number, words, piped=line[: found.start("command")].rstrip("| ").strip())


def _words(command: str) -> tuple[str, ...] | None:
    """The words after `edgekit`, up to a comment or the end of the command; None where no verb follows."""
    reader = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    reader.whitespace_split, reader.commenters = True, "#"
    words = list(reader)[1:]
    end = next((place for place, word in enumerate(words) if word in ENDS), len(words))
    known = words and (words[0].startswith("-") or words[0].replace("-", "").isalpha())
    return tuple(words[:end]) if known and words[0] != "..." else None


def commands() -> list[Shown]:
    """Every command of the documentation, in the order of the pages."""
    return [each for path in pages() for each in of_page(path)]


Kind = Literal["command", "mention"]
ALONE: Final = frozenset({"doctor", "models", "targets", "cache ls", "cache prune", "init"})
"""Verbs that do something whole with nothing after them; others are only named by a sentence that gives no more."""


def parsed(shown: Shown) -> Kind:
    """Lets the real verb parse a command.

    Returns:
        `mention` where a sentence names a verb or an option without what they need, else `command`.
    Raises:
        click.ClickException: there is no such verb, option or choice.
    """
    verb: click.Command = group
    context = click.Context(group, info_name="edgekit")
    words = list(shown.words)
    while isinstance(verb, click.Group) and words and not words[0].startswith("-"):
        found = verb.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"{verb.name} has no verb {words[0]!r}")
        verb, context = found, click.Context(found, parent=context, info_name=words[0])
        del words[0]
    known = {name for each in verb.params for name in (*each.opts, *each.secondary_opts)} | {"--help", "--version"}
    unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in known]
    if unknown:
        raise click.NoSuchOption(unknown[0])
    if not words and (isinstance(verb, click.Group) or (shown.inline and " ".join(shown.words) not in ALONE)):
        return "mention"
    try:
        verb.make_context(shown.words[0], words, parent=context.parent)
    except click.exceptions.Exit:  # --help, --version
        return "command"
    except (click.MissingParameter, click.BadOptionUsage):
        if not shown.inline:
            raise
        return "mention"
    except click.BadParameter as error:  # that a file is not here is for those to see who run it
        if not error.message.endswith("does not exist."):
            raise
    return "command"


def snippets(language: str) -> Iterator[tuple[str, int, str]]:
    """Blocks of a language: page, line, text. Those that are fenced say it; indented Python begins with an import."""
    for path in pages():
        if path.suffix != ".md":
            continue
        page, lines = str(path.relative_to(TOP)), path.read_text(encoding="utf-8").splitlines()
        yield from ((page, number, text) for number, told, text in _blocks(lines) if told == language)


def _blocks(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    fence, kept, start = None, list[str](), 0
    for number, line in enumerate([*lines, ""], 1):
        if line.lstrip().startswith("```"):
            if fence is not None:
                yield start, fence, "\n".join(kept) + "\n"
            fence = None if fence is not None else line.strip().strip("`")
            kept, start = [], number + 1
        elif fence is not None:
            kept.append(line)
        elif line.startswith("    ") or (
            kept and not line.strip() and number < len(lines) and lines[number].startswith("    ")
        ):
            start = start if kept else number
            kept.append(line[4:])
        elif kept:
            python = re.match(r"(from [\w.]+ import|import \w)", kept[0])
            yield start, "python" if python else "", "\n".join(kept) + "\n"
            kept = []
