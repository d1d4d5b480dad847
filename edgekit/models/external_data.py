"""The files beside an ONNX file that hold its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, TensorProto


def external_files(path: Path) -> list[Path]:
    """The files that an ONNX file keeps weights in, inside its own folder; what lies elsewhere is never read."""
    import onnx

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # it is no ONNX file: whoever reads it says so
        return []
    found = set()
    for tensor in _tensors(model.graph):
        for entry in tensor.external_data:
            if entry.key == "location" and (file := _beside(path, entry.value)) is not None:
                found.add(file)
    return sorted(found)


def _beside(path: Path, name: str) -> Path | None:
    """A regular file in the folder of an ONNX file, or below; None where there is none of that name."""
    try:
        file = path.parent / name
        inside = file.resolve().is_relative_to(path.parent.resolve())
        return file if inside and file.is_file() else None
    except (OSError, ValueError, RuntimeError):  # a name that no file can have, or links in a circle
        return None


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """All constants of a graph, those of nodes and of the graphs inside them too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _tensors(inner)


def digest_with_weights(path: Path, hash_of: Callable[[Path], str]) -> str:
    """SHA-256 of an ONNX file, and of the files beside it that hold its weights, where it has such.

    Args:
        hash_of: gives a file's own.
    """
    own = hash_of(path)
    content = path.read_bytes()
    if b"external" not in content and b"location" not in content:
        return own
    others = {each.relative_to(path.parent).as_posix(): hash_of(each) for each in external_files(path)}
    whole = "".join(f"{name} {digest}\n" for name, digest in sorted(others.items()))
    return hashlib.sha256(f"{own}\n{whole}".encode()).hexdigest() if others else own
