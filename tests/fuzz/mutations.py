"""Files as an enemy would write them: valid ones, changed in a few places, by their bytes or by their structure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from hypothesis import strategies as st

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


class Raw(str):
    """Text that stands in a file as it is."""


class Pairs(list[tuple[Any, Any]]):
    """An object whose keys may be there twice."""


def deep(opening: str, closing: str, count: int) -> Raw:
    """Brackets inside each other."""
    return Raw(opening * count + closing * count)


CONTROLS: Final = (
    "\x1b[2J\x1b[1;1H",
    "\x9b2J",
    "\x1b]8;;http://e\x07x",
    "\x1b]52;c;AAAA\x07",
    "\u202egnp.exe",
    "\u2066x",
)
TEXTS: Final = (
    *("", " ", "\0", "a\0b", "../x", "../../etc/passwd", "/etc/passwd", "a/../../b", "..", ".", "-rf", "~", "CON"),
    *CONTROLS,
    *("\r\nedgekit: error: no", "a\nb", "\ud800", "\udcff", "é" * 300, "x" * 100_000, "\U0001f600", "%s%n{0}{x!r}"),
    *("=cmd|' /C calc'!A0", "+1", "@x", "<script>alert(1)</script>", "]]>", "&#27;", "'\"><b>", "${7*7}{{7*7}}"),
    *("nan", "inf", "-inf", "1e400", "0x10", "1_0", "true", "null", "١٢", "9" * 5000, "1" * 400, "-1"),
)
VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 2, 255, 65_536, 2**31, 2**32, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(0.1, -0.0, 1e308, 5e-324),
    *(Raw("1e999"), Raw("-1e999"), Raw("NaN"), Raw("9" * 5000), deep("[", "]", 50), deep("[", "]", 3000)),
    *(deep('{"a":', "}", 3000), Raw('{"a":' * 40 + "1" + "}" * 40)),
    *([], {}, [[]], {"a": 1}, [None], ["x"] * 1000, [1, "a", None, {}], list(range(5000))),
)
IN_YAML: Final = (
    *("&a [*a]", "*a", "&a {<<: *a}", "!!python/object/apply:os.system [id]", "!!binary x", "!!timestamp never"),
    *("!!int ''", "!!bool maybe", "!!float x", "!!set {a}", "!!omap [a: 1]", "2026-99-99", "0x" + "f" * 5000, "190:20"),
    *(
        "? [a]\n: b",
        "--- a\n--- b",
        "%YAML 9.9\n---",
        "|\n  x",
        "\t",
        "- " * 3000,
        "{a: " * 200,
        "=: 1",
        "<<: 1",
        ".nan",
    ),
    "\n" + "\n".join(f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9 if n else ["x"] * 9) + "]" for n in range(12)),
)
IN_BYTES: Final = (
    *(
        b"",
        b"\0" * 8,
        b"\xff" * 8,
        b"\x7f\xff\xff\xff",
        b"\x80\0\0\0",
        b"\xff\xff\xff\x7f",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
    ),
    *(
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\x1a",
        b"PK\x03\x04",
        b"\x80\x04c",
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x89PNG\r\n\x1a\n",
    ),
    *(b",", b'"', b"'", b"#", b"=", b"[" * 2000, b"{" * 2000, b"9" * 5000, b" " * 5000, b"-----BEGIN PUBLIC KEY-----"),
)


def changed_bytes(seeds: Sequence[bytes], tokens: Sequence[bytes] = IN_BYTES) -> st.SearchStrategy[bytes]:
    """One of the seeds with up to six changes: bytes turned, overwritten, cut out, doubled, repeated, put in."""

    @st.composite
    def made(draw: st.DrawFn) -> bytes:
        content = bytearray(draw(st.sampled_from(seeds)))
        for _ in range(draw(st.integers(0, 6))):
            at = draw(st.integers(0, len(content)))
            size = draw(st.sampled_from((1, 1, 2, 4, 8, 16, 64, 1024)))
            match draw(st.integers(0, 7)):
                case 0:
                    content[at : at + 1] = bytes(each ^ (1 << draw(st.integers(0, 7))) for each in content[at : at + 1])
                case 1:
                    content[at : at + size] = draw(st.binary(min_size=size, max_size=size))
                case 2:
                    del content[at : at + size]
                case 3:
                    content[at:at] = content[at : at + size]
                case 4:
                    content[at:at] = bytes(content[at : at + size]) * draw(st.sampled_from((2, 30, 1000)))
                case 5:
                    content[at:at] = draw(st.sampled_from(tokens))
                case 6:
                    del content[at:]
                case _:
                    number = draw(
                        st.sampled_from((0, 1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**60))
                    )
                    width, order = draw(st.sampled_from((2, 4, 8))), draw(st.sampled_from(("little", "big")))
                    content[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, order)
            content = content[: 1 << 20]
        return bytes(content)

    return made()


def changed_trees(seeds: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """One of the seeds, values as JSON has them, with up to four changes of its structure, written as JSON."""

    @st.composite
    def made(draw: st.DrawFn) -> bytes:
        tree = as_pairs(draw(st.sampled_from(seeds)))
        for _ in range(draw(st.integers(1, 4))):
            place = draw(st.sampled_from(list(places(tree))))
            tree = changed(tree, place, _change(draw))
        return written(tree).encode("utf-8", "surrogatepass")

    return made()


def _change(draw: st.DrawFn) -> Callable[[Any], list[Any]]:
    """What takes the place of a value: nothing, it twice, or something else."""
    match draw(st.integers(0, 7)):
        case 0:
            return lambda value: []
        case 1:
            return lambda value: [value, value]
        case 2 | 3:
            value = draw(st.sampled_from(VALUES))
            return lambda _: [value]
        case 4 | 5:
            text = draw(st.sampled_from(TEXTS))
            return lambda value: [text]
        case 6:
            depth = draw(st.sampled_from((1, 2, 20, 70)))
            return lambda value: [Raw("[" * depth + written(value) + "]" * depth)]
        case _:
            text, key = draw(st.sampled_from(TEXTS)), draw(st.booleans())
            return lambda value: [Pairs([*value, (text, 1)]) if isinstance(value, Pairs) else (value if key else text)]


def as_pairs(value: Any) -> Any:
    """A value whose objects are Pairs."""
    if isinstance(value, dict):
        return Pairs((key, as_pairs(each)) for key, each in value.items())
    return [as_pairs(each) for each in value] if isinstance(value, list | tuple) else value


def places(tree: Any, here: Place = ()) -> Iterator[Place]:
    """Every value's place, the whole last; of long lists the first few."""
    inside = [each for _, each in tree] if isinstance(tree, Pairs) else tree if isinstance(tree, list) else []
    for at, each in enumerate(inside[:40]):
        yield from places(each, (*here, at))
    yield here


def changed(tree: Any, place: Place, change: Callable[[Any], list[Any]]) -> Any:
    """The tree with something else at a place."""
    if not place:
        return next(iter(change(tree)), None)
    at, rest = int(place[0]), place[1:]
    if isinstance(tree, Pairs):
        key, inner = tree[at]
        new = [(key, changed(inner, rest, change))] if rest else [(key, each) for each in change(inner)]
        return Pairs([*tree[:at], *new, *tree[at + 1 :]])
    new_items = [changed(tree[at], rest, change)] if rest else change(tree[at])
    return [*tree[:at], *new_items, *tree[at + 1 :]]


def written(value: Any) -> str:
    """A tree as JSON."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {written(each)}" for key, each in value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return written(as_pairs(value))
    return json.dumps(value)
