"""How host and device talk over a pipe: frames of a length, a JSON header and raw bytes."""

import json
import struct
from typing import Any, BinaryIO, Dict, Optional, Tuple

from .contract import is_whole_number

MAX_HEADER_BYTES = 1 << 24
MAX_PAYLOAD_BYTES = 1 << 34
Header = Dict[str, Any]


def send(stream: BinaryIO, header: Header, payload: bytes = b"") -> None:
    """Writes one frame; the header gets "bytes", the payload's length."""
    told = json.dumps(dict(header, bytes=len(payload))).encode("utf-8")
    stream.write(struct.pack(">I", len(told)) + told + payload)
    stream.flush()


def receive(stream: BinaryIO) -> Optional[Tuple[Header, bytes]]:
    """Reads one frame; None when the other side is gone, even in the middle of a frame.

    Raises:
        ValueError: what came is no frame.
    """
    start = _exactly(stream, 4)
    if start is None:
        return None
    (length,) = struct.unpack(">I", start)
    if length > MAX_HEADER_BYTES:
        raise ValueError("no frame: a header of %d bytes" % length)
    told = _exactly(stream, length)
    if told is None:
        return None
    try:
        header = json.loads(told.decode("utf-8"))
    except RecursionError:
        raise ValueError("no frame: its header is nested too deeply")
    count: Any = header.get("bytes", 0) if isinstance(header, dict) else None
    if not is_whole_number(count) or count > MAX_PAYLOAD_BYTES:
        raise ValueError("no frame: its header tells of no number of bytes")
    payload = _exactly(stream, count)
    return None if payload is None else (header, payload)


def _exactly(stream: BinaryIO, count: int) -> Optional[bytes]:
    pieces = []
    while count:
        piece = stream.read(count)
        if not piece:
            return None
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
