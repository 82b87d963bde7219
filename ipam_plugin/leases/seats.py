"""Seats: each is one ready answer, free or held by an identity."""

from __future__ import annotations

from ipam_plugin.leases import layout
from ipam_plugin.leases.layout import number_in
from ipam_plugin.leases.store import Damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.leases.store import Store

_SIZE = layout.HEAD_SIZE
_SUMMED = 56
_NO_MARK = b"\0"


class Seat:
    """The head of a seat. `place` says where it stands in the tables."""

    def __init__(self, place: int, number: int, configuration: bytes, cooldown_ns: int) -> None:
        self.place = place
        self.number = number  # ipamd's
        self.configuration = configuration  # its key
        self.cooldown_ns = cooldown_ns
        self.state = layout.FREE
        self.cooled = 0  # from when on it may be given again
        self.is_recalled = False  # whether it goes back to ipamd once it is free
        self.network = bytes(8)  # the beginning of the digest of the holder's network

    def writes(self) -> list[tuple[int, bytes]]:
        """Give what a change of it writes."""
        offset = layout.HEADS + self.place * _SIZE
        data = b"".join([
            bytes([self.state, 1 if self.is_recalled else 0]),
            bytes(6),
            self.number.to_bytes(8, "little"),
            self.cooled.to_bytes(8, "little"),
            self.cooldown_ns.to_bytes(8, "little"),
            self.configuration,
            self.network,
        ])  # fmt: skip
        is_free = self.state == layout.FREE
        writes = [
            (offset, data + layout.sum_of(data, offset)),
            (layout.MARKS + self.place, layout.mark_of(self.configuration) if is_free else _NO_MARK),
        ]
        if is_free:
            writes.append((layout.COOLED + 8 * self.place, self.cooled.to_bytes(8, "little")))
        return writes


def read(store: Store, place: int) -> Seat:
    """Read the head of a seat."""
    return decode(store.read(_SIZE, layout.HEADS + place * _SIZE), place)


def decode(data: bytes, place: int) -> Seat:
    """Give the seat of a head's bytes; Damaged."""
    if data[_SUMMED:] != layout.sum_of(data[:_SUMMED], layout.HEADS + place * _SIZE):
        raise Damaged(f"the sum of seat {place} is wrong")
    seat = Seat(place, number_in(data, 8), data[32:48], number_in(data, 24))
    seat.state = data[0]
    seat.is_recalled = data[1] == 1
    seat.cooled = number_in(data, 16)
    seat.network = data[48:56]
    return seat


def choose(store: Store, configuration: bytes, now: int) -> Seat | None:
    """Give the free seat of a configuration that has been cool longest, None if none is cool."""
    high = store.number(layout.HIGH)
    marks = store.read(high, layout.MARKS)
    mark = layout.mark_of(configuration)
    if marks.find(mark) < 0:
        return None
    times = store.read(8 * high, layout.COOLED)
    others: list[int] = []
    while True:
        place = _coolest(marks, times, mark, now, others)
        if place < 0:
            return None
        seat = read(store, place)
        if seat.state != layout.FREE:
            raise Damaged(f"seat {place} is not free as its mark says")
        if seat.configuration == configuration:
            return seat
        others.append(place)  # of another configuration with the same mark


def _coolest(marks: bytes, times: bytes, mark: bytes, now: int, others: list[int]) -> int:
    best, earliest = -1, now + 1
    at = marks.find(mark)
    while at >= 0:
        cooled = int.from_bytes(times[8 * at : 8 * at + 8], "little")
        if cooled < earliest and at not in others:
            best, earliest = at, cooled
        at = marks.find(mark, at + 1)
    return best


def answer_of(store: Store, place: int) -> bytes:
    """Give the answer of a seat."""
    return store.framed(layout.ANSWERS + place * layout.ANSWER_SIZE, layout.ANSWER_SIZE)


def holder_of(store: Store, place: int) -> bytes:
    """Give the JSON object that names the holder of a seat."""
    return store.framed(layout.HOLDERS + place * layout.HOLDER_SIZE, layout.HOLDER_SIZE)


def write_holder(store: Store, place: int, holder: bytes) -> None:
    """Write the holder of a seat that is free still."""
    offset = layout.HOLDERS + place * layout.HOLDER_SIZE
    store.write_ahead(layout.framed(holder, offset), offset)


def held(store: Store) -> list[Seat]:
    """Give all seats that are held."""
    high = store.number(layout.HIGH)
    heads = store.read(high * _SIZE, layout.HEADS)
    places = [place for place in range(high) if heads[place * _SIZE] == layout.HELD]
    return [decode(heads[place * _SIZE : place * _SIZE + _SIZE], place) for place in places]
