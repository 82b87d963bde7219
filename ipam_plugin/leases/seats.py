"""Seats: each is one ready answer, free or held by an identity."""

from __future__ import annotations

from struct import pack, unpack_from

from ipam_plugin.leases import layout
from ipam_plugin.leases.layout import SUMMED
from ipam_plugin.leases.store import Damaged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.leases.store import Store

_SIZE = layout.HEAD_SIZE
# State, whether it is recalled, ipamd's number, when it is cool, cooldown, configuration, holder's network.
_HEAD = "<BB6xQQQ16s8s"
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
        recalled = 1 if self.is_recalled else 0
        times = self.cooled, self.cooldown_ns
        data = pack(_HEAD, self.state, recalled, self.number, *times, self.configuration, self.network)
        is_free = self.state == layout.FREE
        writes = [
            (offset, data + layout.sum_of(data, offset)),
            (layout.MARKS + self.place, layout.mark_of(self.configuration) if is_free else _NO_MARK),
        ]
        if is_free:
            writes.append((layout.COOLED + 8 * self.place, pack("<Q", self.cooled)))
        return writes


def read(store: Store, place: int) -> Seat:
    """Read the head of a seat."""
    return decode(store.read(_SIZE, layout.HEADS + place * _SIZE), place)


def decode(data: bytes, place: int) -> Seat:
    """Give the seat of a head's bytes; Damaged."""
    if data[SUMMED:] != layout.sum_of(data[:SUMMED], layout.HEADS + place * _SIZE):
        raise Damaged(f"the sum of seat {place} is wrong")
    state, recalled, number, cooled, cooldown_ns, configuration, network = unpack_from(_HEAD, data)
    seat = Seat(place, number, configuration, cooldown_ns)
    seat.state = state
    seat.is_recalled = recalled == 1
    seat.cooled = cooled
    seat.network = network
    return seat


def choose(store: Store, configuration: bytes, now: int) -> Seat | None:
    """Give the free seat of a configuration that has been cool longest, None if none is cool."""
    high = store.number(layout.HIGH)
    marks = store.read(high, layout.MARKS)
    mark = layout.mark_of(configuration)
    if marks.find(mark) < 0:
        return None
    times = unpack_from(f"<{high}Q", store.read(8 * high, layout.COOLED))
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


def _coolest(marks: bytes, times: tuple[int, ...], mark: bytes, now: int, others: list[int]) -> int:
    best, earliest = -1, now + 1
    find = marks.find
    at = find(mark)
    while at >= 0 and earliest > 0:
        if times[at] < earliest and at not in others:
            best, earliest = at, times[at]
        at = find(mark, at + 1)
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
