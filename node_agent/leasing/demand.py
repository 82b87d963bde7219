"""How many seats this node wants, by configuration: as many as it had ADDs of late."""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec
from msgspec import Raw, Struct

LEAST: Final = 4
"""How many free seats a node wants if it has any configuration."""
_RECENT_SECONDS: Final = 600.0
_MOST_CONFIGURATIONS: Final = 16
"""Of more than these the node wants seats for the last ones: configurations may come from tenants."""


class Wanted(Struct, frozen=True):
    """A configuration, and how many free seats of it the node wants."""

    key: bytes
    configuration: bytes
    free: int


class _Kept(Struct, frozen=True):
    key: str
    config: Raw


_KEPT: Final = msgspec.json.Decoder(list[_Kept])


class Demand:
    """The configurations and ADDs that were seen. `most` is how many free seats there may be over all."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._configurations: dict[bytes, bytes] = {}
        self._adds: deque[tuple[float, bytes]] = deque()

    def know(self, key: bytes, configuration: bytes) -> bool:
        """Remember a configuration. Whether it is new."""
        is_new = self._configurations.pop(key, None) is None
        self._configurations[key] = configuration
        if len(self._configurations) > _MOST_CONFIGURATIONS:
            del self._configurations[next(iter(self._configurations))]
        return is_new

    def encode(self) -> bytes:
        """The configurations, for an agent that comes after this one."""
        kept = [_Kept(key.hex(), Raw(config)) for key, config in self._configurations.items()]
        return msgspec.json.encode(kept)

    def read(self, data: bytes) -> None:
        """Know the configurations that another agent knew. Raises ValueError."""
        for each in _KEPT.decode(data):
            self.know(bytes.fromhex(each.key), bytes(each.config))

    def count(self, key: bytes, now: float) -> None:
        """Count an ADD."""
        self._adds.append((now, key))

    def wanted(self, now: float) -> list[Wanted]:
        """What the node wants now, the busiest configuration first."""
        while self._adds and self._adds[0][0] < now - _RECENT_SECONDS:
            self._adds.popleft()
        counts = dict.fromkeys(self._configurations, 0)
        for _, key in self._adds:
            if key in counts:
                counts[key] += 1
        total = sum(counts.values())
        left = min(max(total, LEAST), self._most)
        found = []
        for at, (key, count) in enumerate(sorted(counts.items(), key=lambda each: -each[1])):
            others = len(counts) - at
            share = -(-left * max(count, 1) // max(total, others))
            free = min(max(share, 1), left)
            total -= count
            left -= free
            found.append(Wanted(key, self._configurations[key], free))
        return found
