"""What the agent does to the store: seats come and go, answers change, events are read and let go of.

Every function works on a store that is locked, and makes its changes one by one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from cni_plugin.platform import uptime_ns
from cni_plugin.quoting import quote
from ipam_plugin.leases import changes, identities, layout, log, seats
from ipam_plugin.leases.seats import Seat
from ipam_plugin.leases.store import Store

LARGEST_ANSWER: Final = layout.ANSWER_SIZE - 10


class Grant(Struct, frozen=True):
    """A new seat as ipamd grants it. Times are durations in nanoseconds."""

    number: int
    configuration: bytes
    answer: bytes
    cools_ns: int = 0
    cooldown_ns: int = 0


class Known(Struct, frozen=True):
    """A seat as the store has it."""

    place: int
    number: int
    configuration: bytes
    state: int
    is_recalled: bool
    cooled: int


class Identity(Struct, frozen=True):
    """One interface of one container on this node."""

    network: str
    container_id: str
    ifname: str


def fill(store: Store, grants: Sequence[Grant]) -> Sequence[int]:
    """Take the seats of a grant, and give the numbers of those for which there is no place.

    A seat that the store has already stays as it is: a lost answer is given again.
    """
    there = {known.number for known in overview(store)}
    empty = _empty_places(store)
    refused = []
    for grant in grants:
        if grant.number in there:
            continue
        place = next(empty, None) if len(grant.answer) <= LARGEST_ANSWER else None
        if place is None:
            refused.append(grant.number)
            continue
        _write_answer(store, place, grant.answer)
        seat = Seat(place, grant.number, grant.configuration, grant.cooldown_ns)
        seat.cooled = uptime_ns() + grant.cools_ns if grant.cools_ns else 0
        store.set(layout.HIGH, max(place + 1, store.number(layout.HIGH)))
        store.change(seat.writes())
    return refused


def refresh(store: Store, place: int, answer: bytes) -> None:
    """Replace the answer of a seat, held or free: one write inside one page."""
    _write_answer(store, place, answer)


def take_back(store: Store, place: int) -> bool:
    """Give a seat no more: one that is free is returning, one that is held will be. Whether that is new."""
    seat = seats.read(store, place)
    if seat.state == layout.FREE:
        seat.state = layout.RETURNING
    elif seat.state == layout.HELD and not seat.is_recalled:
        seat.is_recalled = True
    else:
        return False
    store.change(seat.writes())
    return True


def forget(store: Store, place: int) -> bool:
    """Drop a seat that ipamd has back. Whether it was there."""
    seat = seats.read(store, place)
    if seat.state != layout.RETURNING:
        return False
    seat.state = layout.EMPTY
    store.change(seat.writes())
    return True


def overview(store: Store) -> Sequence[Known]:
    """All seats of the store."""
    high = store.number(layout.HIGH)
    size = layout.HEAD_SIZE
    heads = store.read(high * size, layout.HEADS)
    places = [place for place in range(high) if heads[place * size] != layout.EMPTY]
    return [_known(seats.decode(heads[place * size : (place + 1) * size], place)) for place in places]


def events(store: Store, most: int, position: int = 0) -> list[log.Record]:
    """The oldest events that ipamd has not acknowledged, at most so many, none from before a position."""
    found: list[log.Record] = []
    position = max(position, store.number(layout.LOG_BEGIN))
    while len(found) < most:
        record = log.read(store, position)
        if record is None:
            break
        found.append(record)
        position = record.end
    return found


def acknowledge(store: Store, number: int) -> None:
    """Let go of the events up to this number: ipamd has them."""
    position = store.number(layout.LOG_BEGIN)
    reported = store.number(layout.REPORTED)
    while reported < number and (record := log.read(store, position)) is not None:
        reported, position = record.number, record.end
    store.set(layout.LOG_BEGIN, position)
    store.set(layout.REPORTED, reported)
    store.change([])


def renew(store: Store, *, epoch: int, grant: int, until: int) -> None:
    """Note the grant that was taken, and until when this node may give."""
    store.set(layout.EPOCH, epoch)
    store.set(layout.GRANT, grant)
    store.set(layout.UNTIL, until)
    store.change([])


def set_open(store: Store, *, is_open: bool) -> None:
    """Let the store give seats, or stop it."""
    if store.is_open != is_open:
        store.header[layout.IS_OPEN] = 1 if is_open else 0
        store.change([])


def note_central(store: Store, cluster: str, node: str, known: Mapping[Identity, int]) -> None:
    """Note the identities that ipamd has for this node, unless the store knows of them.

    To each belongs when its last ADD was issued, 0 if not in this boot.
    """
    now = uptime_ns()
    for one, asked in known.items():
        found = identities.find(store, _key(cluster, node, one))
        if found.state == identities.UNKNOWN:
            changes.note_central(store, found, asked, now)


def end(store: Store, cluster: str, node: str, one: Identity, issued: int, moment: str, ending: str) -> bool:
    """End what an identity holds, unless it was asked for again after `issued`. Whether it ended."""
    found = identities.find(store, _key(cluster, node, one))
    if found.state != identities.SEATED or found.issued > issued:
        return False
    seat = seats.read(store, found.seat)
    changes.end(store, found, seat, issued, moment, ending, uptime_ns())
    return True


def tell_again(store: Store, cluster: str, node: str, place: int, boot: str) -> bool:
    """Log the begin of what holds a seat once more, for ipamd has lost it. False if the log has no room.

    What else the first one said of the container is not known here any more.
    """
    seat = seats.read(store, place)
    found = identities.find(store, _key(cluster, node, holder(store, place)))
    if seat.state != layout.HELD or found.state != identities.SEATED or found.seat != place:
        return False
    who = seats.holder_of(store, place).decode()
    issued = f'{{"boot":{quote(boot)},"uptime_ns":{found.issued}}}'
    event = f'{{"kind":"begin","seat":{seat.number},"issued":{issued},"request":{who}}}'.encode()
    if not log.has_room(store, event, store.number(layout.TAKEN)):
        return False
    log.append(store, event, found.issued)
    store.change([])
    return True


def holder(store: Store, place: int) -> Identity:
    """Who holds a seat."""
    return Identity(**json.loads(seats.holder_of(store, place)))


def _key(cluster: str, node: str, one: Identity) -> bytes:
    return layout.digest(cluster, node, one.network, one.container_id, one.ifname)


def _known(seat: Seat) -> Known:
    return Known(seat.place, seat.number, seat.configuration, seat.state, seat.is_recalled, seat.cooled)


def _empty_places(store: Store) -> Iterator[int]:
    high = store.number(layout.HIGH)
    heads = store.read(high * layout.HEAD_SIZE, layout.HEADS)
    yield from (place for place in range(high) if heads[place * layout.HEAD_SIZE] == layout.EMPTY)
    yield from range(high, layout.SEATS)


def _write_answer(store: Store, place: int, answer: bytes) -> None:
    offset = layout.ANSWERS + place * layout.ANSWER_SIZE
    store.write_ahead(layout.framed(answer, offset), offset)
