"""The log of what happened in the store, a ring of records that the agent reports in their order.

A record is a JSON object, in the words in which ipamd hears of it, after its length, its number, its time and
a sum. Positions only grow; the ring has them modulo its size. There is always room for the end of each seat
that is held.
"""

from __future__ import annotations

from struct import pack, unpack_from

from ipam_plugin.leases import layout
from ipam_plugin.leases.layout import LOG_SIZE
from ipam_plugin.leases.store import Damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.leases.store import Store

_HEAD = "<IQQ"  # length, number, time
_SUM = 4 + 8 + 8
_FRAME = _SUM + layout.SUM_SIZE


class Record:
    """An event: its number, its CLOCK_BOOTTIME, and its JSON object. `end` is the position after it."""

    def __init__(self, number: int, at: int, event: bytes, end: int) -> None:
        self.number = number
        self.at = at
        self.event = event
        self.end = end


def has_room(store: Store, event: bytes, ends: int) -> bool:
    """Tell whether a record fits in, and after it the ends of so many seats."""
    used = store.number(layout.LOG_END) - store.number(layout.LOG_BEGIN)
    return used + _FRAME + len(event) + ends * layout.END_ROOM <= LOG_SIZE


def append(store: Store, event: bytes, now: int) -> int:
    """Write a record behind the others and give its number. The next change makes it count."""
    number = store.number(layout.EVENT) + 1
    position = store.number(layout.LOG_END)
    head = pack(_HEAD, len(event), number, now)
    record = head + layout.sum_of(head + event, position) + event
    at = position % LOG_SIZE
    store.write_ahead(record[: LOG_SIZE - at], layout.LOG + at)
    if len(record) > LOG_SIZE - at:
        store.write_ahead(record[LOG_SIZE - at :], layout.LOG)
    store.set(layout.EVENT, number)
    store.set(layout.LOG_END, position + len(record))
    return number


def read(store: Store, position: int) -> Record | None:
    """Read the record at a position, None behind the last."""
    if position >= store.number(layout.LOG_END):
        return None
    frame = _ring(store, position, _FRAME)
    size, number, at = unpack_from(_HEAD, frame)
    end = position + _FRAME + size
    if end > store.number(layout.LOG_END):
        raise Damaged(f"the log's record at {position} is too long")
    event = _ring(store, position + _FRAME, size)
    if frame[_SUM:] != layout.sum_of(frame[:_SUM] + event, position):
        raise Damaged(f"the sum of the log's record at {position} is wrong")
    return Record(number, at, event, end)


def _ring(store: Store, position: int, size: int) -> bytes:
    at = position % LOG_SIZE
    first = min(size, LOG_SIZE - at)
    data = store.read(first, layout.LOG + at)
    return data if first == size else data + store.read(size - first, layout.LOG)
