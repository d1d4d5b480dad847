"""The operators of an ONNX file and the types of its constants, read without the onnx package, which devices lack.

An ONNX file is a protobuf message (onnx.proto): ModelProto has the graph as field 7; GraphProto nodes as field 1 and
constants as field 5; NodeProto inputs, outputs, name, operator and domain as fields 1, 2, 3, 4 and 7; TensorProto its
type and name as fields 2 and 8. What else there is, weights above all, is passed over.
"""

import mmap
from typing import Dict, Iterator, List, NamedTuple, Tuple, Union

FLOAT16 = 10
"""TensorProto.DataType."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""

Span = Tuple[int, int]
"""Begin and end of a message in the file."""


class Node(NamedTuple):
    """An operator: its kind such as "Conv", name, domain ("" for ONNX's own), and the names of its tensors."""

    kind: str
    name: str
    domain: str
    inputs: List[str]
    outputs: List[str]


def read_graph(path: str) -> Tuple[List[Node], Dict[str, int]]:
    """The operators of a file in the order of the graph, and the type of each constant by its name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no ONNX file.
    """
    with open(path, "rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            nodes: List[Node] = []
            types: Dict[str, int] = {}
            for field, graph in _fields(data, (0, len(data))):
                if field != 7 or isinstance(graph, int):
                    continue
                for part, span in _fields(data, graph):
                    if part == 1 and not isinstance(span, int):
                        nodes.append(_node(data, span))
                    elif part == 5 and not isinstance(span, int):
                        name, kind = _constant(data, span)
                        types[name] = kind
            return nodes, types


def _node(data: mmap.mmap, span: Span) -> Node:
    told: Dict[int, List[str]] = {1: [], 2: [], 3: [], 4: [], 7: []}
    for field, value in _fields(data, span):
        if field in told and not isinstance(value, int):
            told[field].append(data[value[0] : value[1]].decode("utf-8", "replace"))
    return Node("".join(told[4]), "".join(told[3]), "".join(told[7]), told[1], told[2])


def _constant(data: mmap.mmap, span: Span) -> Tuple[str, int]:
    name, kind = "", 0
    for field, value in _fields(data, span):
        if field == 2 and isinstance(value, int):
            kind = value
        elif field == 8 and not isinstance(value, int):
            name = data[value[0] : value[1]].decode("utf-8", "replace")
    return name, kind


def _fields(data: mmap.mmap, span: Span) -> Iterator[Tuple[int, Union[int, Span]]]:
    """Each field of a message: its number, and its value where that is a number, else where its bytes are."""
    at, end = span
    while at < end:
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at, end)
            yield number, value
            continue
        if wire == BYTES:
            size, at = _varint(data, at, end)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
        else:
            raise ValueError("no protobuf message: wire type %d" % wire)
        if at + size > end:
            raise ValueError("the message is cut off")
        yield number, (at, at + size)
        at += size


def _varint(data: mmap.mmap, at: int, end: int) -> Tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("a number is cut off")
