"""Who makes which entry, where several machines share a store: claims that end unless they are renewed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgekit.store.shared import Claimed

CLAIM_S: Final = 30.0
"""How long a claim holds after it was last renewed: a holder that was killed stops the others for so long."""

MOST: Final = 10_000


@dataclass(frozen=True)
class _Claim:
    who: str
    what: str
    until: float


class Claims:
    """Claims to keys, in memory; threads may ask at once."""

    def __init__(self, seconds: float = CLAIM_S, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock_s = seconds, clock_s
        self._held: dict[str, _Claim] = {}
        self._lock = threading.Lock()

    def claim(self, key: str, who: str, what: str) -> Claimed:
        """Gives a key to whoever asks first, and renews a claim of theirs."""
        with self._lock:
            now = self._clock_s()
            self._held = {each: claim for each, claim in self._held.items() if claim.until > now}
            held = self._held.get(key)
            if held is not None and held.who != who:
                return Claimed(False, held.what)
            if len(self._held) < MOST:
                self._held[key] = _Claim(who, what, now + self._seconds)
            return Claimed(True)

    def let_go(self, key: str, who: str) -> None:
        """Ends a claim of theirs."""
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.who == who:
                del self._held[key]
