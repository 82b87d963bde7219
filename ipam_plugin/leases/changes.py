"""What happens to a seat and its holder: given, asked for again, ended. Each is one change of the store."""

from __future__ import annotations

from cni_plugin.quoting import quote
from ipam_plugin.leases import identities, layout, log, seats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.leases.identities import Found
    from ipam_plugin.leases.seats import Seat
    from ipam_plugin.leases.store import Store

RELEASED, UNDONE, COLLECTED = "released", "undone", "collected"
_LONGEST_HOLDER = layout.HOLDER_SIZE - 10
_LONGEST_EVENT = 16 << 10


def holder(network: str, container_id: str, ifname: str) -> bytes:
    """Write the names of a holder as a JSON object."""
    names = f'"container_id":{quote(container_id)},"ifname":{quote(ifname)}'
    return f'{{"network":{quote(network)},{names}}}'.encode()


def give(
    store: Store, found: Found, seat: Seat, who: bytes, network: str, issued: int, request: bytes, now: int
) -> bytes | None:
    """Give a free seat to an identity, and give its answer. None if the store has no room to note it.

    `who` is the holder's JSON object, `request` what the event says beside kind and seat.
    """
    event = f'{{"kind":"begin","seat":{seat.number},'.encode() + request
    taken = store.number(layout.TAKEN) + 1
    if len(who) > _LONGEST_HOLDER or len(event) > _LONGEST_EVENT or not log.has_room(store, event, taken):
        return None
    entry = identities.seated(store, found, seat.place, issued, now)
    if entry is None:
        return None
    answer = seats.answer_of(store, seat.place)
    seats.write_holder(store, seat.place, who)
    log.append(store, event, now)
    store.set(layout.TAKEN, taken)
    seat.state = layout.HELD
    seat.network = layout.digest(network)[:8]
    store.change(seat.writes() + [entry])
    return answer


def repeat(store: Store, found: Found, seat: Seat, issued: int, request: bytes, now: int) -> bool:
    """Note that the holder asked again; False if the log has no room."""
    event = f'{{"kind":"repeat","seat":{seat.number},'.encode() + request
    if not log.has_room(store, event, store.number(layout.TAKEN)):
        return False
    log.append(store, event, now)
    entry = identities.seated(store, found, seat.place, issued, now)
    assert entry is not None  # it has its slot
    store.change([entry])
    return True


def end(store: Store, found: Found, seat: Seat, issued: int, moment: str, ending: str, now: int) -> None:
    """End what an identity holds. Its seat is free again and cools, or goes back if it was recalled."""
    who = seats.holder_of(store, seat.place).decode()
    event = f'{{"kind":"end","seat":{seat.number},"issued":{moment},"ending":"{ending}","request":{who}}}'
    number = log.append(store, event.encode(), now)
    store.set(layout.TAKEN, store.number(layout.TAKEN) - 1)
    seat.state = layout.RETURNING if seat.is_recalled else layout.FREE
    seat.cooled = now + seat.cooldown_ns
    entry = identities.ended(store, found, issued, number, now)
    assert entry is not None  # it has its slot
    store.change(seat.writes() + [entry])


def note_central(store: Store, found: Found, asked: int, now: int) -> None:
    """Note that ipamd is asked for an identity, by an ADD that was issued at `asked`.

    A store that cannot note it gives nothing any more.
    """
    _note(store, identities.central(store, found, asked, now))


def note_end(store: Store, found: Found, issued: int, now: int) -> None:
    """Note the end of what holds no seat, so that an ADD from before it takes none."""
    if found.state == identities.ENDED and found.issued >= issued:
        return  # noted already
    if found.state == identities.CENTRAL and found.asked > issued:
        return  # it waited in the spool, and ipamd was asked again meanwhile
    _note(store, identities.ended(store, found, issued, found.event, now))


def _note(store: Store, entry: tuple[int, bytes] | None) -> None:
    if entry is None:
        store.header[layout.IS_OPEN] = 0
        store.change([])
    else:
        store.change([entry])
