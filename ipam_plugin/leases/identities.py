"""Who was given what: a table of identities, in buckets of 16 slots. Each stands only in its own bucket.

A slot says that the identity holds a seat, that ipamd knows of it, or that it ended. Ends make room
for others: those first that are reported and 15 minutes old, then the oldest. FORGOTTEN keeps the latest
`issued` of an end that made room, so that an ADD from before it takes nothing.
"""

from __future__ import annotations

from struct import pack, unpack_from

from ipam_plugin.leases import layout
from ipam_plugin.leases.layout import SUMMED
from ipam_plugin.leases.store import Damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.leases.store import Store

UNKNOWN, SEATED, CENTRAL, ENDED = 0, 1, 2, 3
REMEMBERED_NS = 15 * 60 * 1_000_000_000
_SIZE = layout.SLOT_SIZE
_KEY = 32  # where a slot has the identity's key
# State, place of the seat, `issued`, when it ended, the event that tells of it.
_SLOT = "<BxH4xQQQ"
_NOTHING = bytes(SUMMED - _KEY - 16)


class Found:
    """What the table knows of an identity."""

    def __init__(self, key: bytes, bucket: bytes, slot: int) -> None:
        self.key = key
        self.bucket = bucket
        self.slot = slot  # in its bucket, -1 if the identity is not known
        self.state = UNKNOWN
        self.seat = 0  # its place in the tables
        self.issued = 0  # of the ADD that holds, or of the DEL that ended, also if ipamd knows of it since
        self.ended_at = 0
        self.asked = 0  # `issued` of the last ADD for which ipamd was asked, as far as it is known
        self.event = 0  # the number of the end in the log, 0 if it is not there
        if slot >= 0:
            self._read(bucket[slot * _SIZE : slot * _SIZE + _SIZE])

    def _read(self, data: bytes) -> None:
        if data[SUMMED:] != layout.sum_of(data[:SUMMED], offset_of(self.key, self.slot)):
            raise Damaged("the sum of an identity is wrong")
        self.state, self.seat, self.issued, self.ended_at, self.event = unpack_from(_SLOT, data)
        if self.state == CENTRAL:
            self.asked, self.ended_at = self.ended_at, 0


def find(store: Store, key: bytes) -> Found:
    """Look an identity up."""
    bucket = store.read(layout.SLOTS * _SIZE, offset_of(key, 0))
    at = bucket.find(key)
    while at >= 0 and at % _SIZE != _KEY:
        at = bucket.find(key, at + 1)
    return Found(key, bucket, at // _SIZE if at >= 0 else -1)


def seated(store: Store, found: Found, seat: int, issued: int, now: int) -> tuple[int, bytes] | None:
    """Give the write that says that an identity holds a seat; None if its bucket is full of living ones."""
    return _write(store, found, now, _encode(SEATED, seat, issued, 0, 0, found.key))


def central(store: Store, found: Found, asked: int, now: int) -> tuple[int, bytes] | None:
    """Give the write that says that ipamd knows of it; None as above. Its last end is remembered."""
    return _write(store, found, now, _encode(CENTRAL, 0, found.issued, asked, found.event, found.key))


def ended(store: Store, found: Found, issued: int, event: int, now: int) -> tuple[int, bytes] | None:
    """Give the write that says that it ended; None as above. `event` is 0 if no event tells of it."""
    return _write(store, found, now, _encode(ENDED, 0, issued, now, event, found.key))


def offset_of(key: bytes, slot: int) -> int:
    """Give where a slot of a key's bucket stands."""
    return layout.IDENTITIES + (key[0] * layout.SLOTS + slot) * _SIZE


def _write(store: Store, found: Found, now: int, data: bytes) -> tuple[int, bytes] | None:
    slot = found.slot if found.slot >= 0 else _room(store, found, now)
    if slot < 0:
        return None
    offset = offset_of(found.key, slot)
    return offset, data + layout.sum_of(data, offset)


def _room(store: Store, found: Found, now: int) -> int:
    """Choose the slot for a new identity, -1 if the living have all of them."""
    oldest, oldest_at = None, -1
    reported = store.number(layout.REPORTED)
    for slot in range(layout.SLOTS):
        state = found.bucket[slot * _SIZE]
        if state == UNKNOWN:
            return slot
        if state != ENDED:
            continue
        other = Found(found.key, found.bucket, slot)
        is_needed = other.event > reported or other.ended_at + REMEMBERED_NS > now
        age = (is_needed, other.ended_at)
        if oldest is None or age < oldest:
            oldest, oldest_at = age, slot
    if oldest_at >= 0:
        issued = Found(found.key, found.bucket, oldest_at).issued
        store.set(layout.FORGOTTEN, max(issued, store.number(layout.FORGOTTEN)))
    return oldest_at


def _encode(state: int, seat: int, issued: int, ended_at: int, event: int, key: bytes) -> bytes:
    return pack(_SLOT, state, seat, issued, ended_at, event) + key + _NOTHING
