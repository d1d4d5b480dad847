"""YAML from outside as plain values: small, shallow, every key once, and nothing in it run.

A file of a few lines can stand for billions of values by aliases, be nested deeper than a program can follow, or hold a
number that cannot even be printed. What is given out here is none of that, so that whoever takes it apart need not ask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from edgekit.json_files import DEEPEST, TOO_DEEP, read_bounded

LONGEST: Final = 1 << 20
"""Bytes of a file: a lock, the largest there is, has some ten thousand. PyYAML reads 60 kB in a second."""

LARGEST_INTEGER: Final = 1 << 64
"""Numbers may be written with other bases, so that digits say little."""

MOST_VALUES: Final = 1_000_000
"""Values of a file, those that stand in it by an alias counted each time."""


def yaml_file(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large, no text, no YAML, or holds what is refused here.
    """
    return yaml_of(read_bounded(path, LONGEST).decode("utf-8"))


def yaml_of(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        ValueError: it is no YAML, or holds what is refused here.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has more than {LONGEST >> 20} MiB")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    except (TypeError, KeyError, AttributeError, IndexError, OverflowError) as error:
        # what PyYAML's own constructors make of `!!bool maybe` or `!!timestamp never`
        raise ValueError(f"a value in it is not of the type that it is said to be ({error})") from error


class _Loader(yaml.SafeLoader):
    """Refuses, before values are made, what would be too many or too deep, a key that is there twice, and NUL."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._sizes: dict[int, tuple[int, int]] = {}  # of each node that is whole: values in it, and how deep

    def fetch_flow_collection_start(self, kind: Any) -> None:
        if self.flow_level >= DEEPEST:  # the scanner looks far ahead, and ever more slowly
            raise yaml.composer.ComposerError(None, None, TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(kind)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        node = super().compose_node(parent, index)
        if node is None:
            return node
        if is_alias:  # of a node that is whole, unless it stands inside it
            if id(node) not in self._sizes:
                raise yaml.composer.ComposerError(None, None, "a value holds itself", node.start_mark)
            return node
        inner = [self._sizes[id(each)] for each in _nodes_in(node)]  # they live as long as the loader
        size, depth = 1 + sum(each for each, _ in inner), 1 + max((each for _, each in inner), default=0)
        if size > MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_VALUES} values", node.start_mark)
        if depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, TOO_DEEP, node.start_mark)
        self._sizes[id(node)] = size, depth
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
        return node

    def construct_scalar(self, node: Any) -> Any:
        told: object = super().construct_scalar(node)
        if isinstance(told, str) and "\0" in told:  # no path can hold it, and no name should
            raise yaml.constructor.ConstructorError(None, None, "a text with a NUL", node.start_mark)
        return told

    def construct_yaml_int(self, node: Any) -> int:
        number: int = super().construct_yaml_int(node)
        if abs(number) >= LARGEST_INTEGER:
            raise yaml.constructor.ConstructorError(None, None, "a number of more than 64 bits", node.start_mark)
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _nodes_in(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _check_keys(node: yaml.MappingNode) -> None:
    """YAML forbids a key that is there twice; PyYAML takes the last one, and says nothing."""
    seen = set[tuple[str, str]]()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if (key.tag, key.value) in seen:
            raise yaml.composer.ComposerError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
        seen.add((key.tag, key.value))
