"""Undoes a unit of work."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, MutableMapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

RoomEntry = tuple[int, int]
"""Since when a block has had an address free, and the block's number: sorts as a search wants them."""


class Journal:
    """Changes tables, and remembers their state before until the unit of work ends."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def put(self, table: MutableMapping[K, V], key: K, value: V) -> None:
        """Set an entry of a table."""
        if key in table:
            before = table[key]
            self._undo.append(lambda: table.__setitem__(key, before))
        else:
            self._undo.append(lambda: table.__delitem__(key))
        table[key] = value

    def drop(self, table: MutableMapping[K, V], key: K) -> None:
        """Remove an entry of a table, if it is there."""
        if key in table:
            before = table.pop(key)
            self._undo.append(lambda: table.__setitem__(key, before))

    def insert(self, room: list[RoomEntry], entry: RoomEntry) -> None:
        """Add to a sorted list."""
        insort(room, entry)
        self._undo.append(lambda: room.pop(bisect_left(room, entry)))

    def delete(self, room: list[RoomEntry], entry: RoomEntry) -> None:
        """Remove from a sorted list."""
        room.pop(bisect_left(room, entry))
        self._undo.append(lambda: insort(room, entry))

    def undo(self) -> None:
        """Undo everything, the last change first."""
        while self._undo:
            self._undo.pop()()

    def keep(self) -> None:
        """Forget the state before: the unit of work is kept."""
        self._undo.clear()
