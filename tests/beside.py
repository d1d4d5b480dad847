"""A shared store in the tests' own process, honest or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from edgekit.store import Store
from edgekit.store.claims import Claims
from edgekit.store.entries import ENTRY_FILE
from edgekit.store.intake import Intake, one_line
from edgekit.store.shared import Claimed


@dataclass
class Beside:
    """A shared store in this process: another Store, as it is or with something changed on the way."""

    store: Store
    change: Callable[[dict[str, Any]], object] = lambda record: None
    bytes_of: Callable[[bytes], Iterator[bytes]] = lambda content: iter([content])
    takes: bool = True
    claims: Claims = field(default_factory=Claims)
    place: str = "beside"
    asked: int = 0

    def record(self, key: str) -> bytes | None:
        self.asked += 1
        folder = self.store.get(key)
        if folder is None:
            return None
        told = json.loads((folder / ENTRY_FILE).read_bytes())
        self.change(told)
        return json.dumps(told).encode()

    def content(self, key: str, name: str, size_bytes: int) -> Iterator[bytes]:
        folder = self.store.root / "entries" / key
        there = [each for each in sorted(folder.rglob("*")) if each.is_file() and each.name != ENTRY_FILE]
        path = folder / name if folder / name in there else there[0]
        yield from self.bytes_of(path.read_bytes())

    def offer(self, key: str, record: bytes, contents: Iterator[bytes], size_bytes: int) -> None:
        line = one_line(record)
        intake = Intake(self.store, key, len(line) + size_bytes)
        intake.add(line)
        for piece in contents:
            intake.add(piece)
        intake.finish()
        intake.close()

    def claim(self, key: str, who: str, what: str) -> Claimed:
        return self.claims.claim(key, who, what) if self.takes else Claimed(True, takes=False)

    def let_go(self, key: str, who: str) -> None:
        self.claims.let_go(key, who)
