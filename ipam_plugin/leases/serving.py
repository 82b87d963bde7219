"""The verbs out of the store: what it can serve it serves, and nobody is asked.

Each function opens the store, and closes it before anything is written to stdout. A store that cannot be used
serves nothing: the call goes the way that it goes without leases.
"""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.clock import Moment
from cni_plugin.failure import TRY_AGAIN, Failure, reason
from cni_plugin.quoting import quote
from cni_plugin.reply import note
from ipam_plugin import leases
from ipam_plugin.leases import changes, identities, layout, seats
from ipam_plugin.leases.identities import CENTRAL, ENDED, SEATED
from ipam_plugin.leases.store import Busy, Damaged, Unusable, open_store
from ipam_plugin.request import members_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ipam_plugin.execution import Execution
    from ipam_plugin.leases.identities import Found
    from ipam_plugin.leases.seats import Seat
    from ipam_plugin.leases.store import Store

    R = TypeVar("R")

UNAVAILABLE, OVERTAKEN = 102, 104
# Whoever has the lock stands still while other processes have the processor.
_CALL_WAITS_MS = 2000
_RELEASE_WAITS_MS = 100  # then the spool takes it


class Holder:
    """An identity, whose node and cluster are those of the call."""

    def __init__(self, cluster: str, node: str, network: str, container_id: str, ifname: str) -> None:
        self.cluster = cluster
        self.node = node
        self.network = network
        self.container_id = container_id
        self.ifname = ifname

    def key(self) -> bytes:
        return layout.digest(self.cluster, self.node, self.network, self.container_id, self.ifname)


def add(execution: Execution) -> bytes | None:
    """Give the answer to an ADD, None if ipamd is to be asked. Failure 11, 102 or 104."""
    who = holder_of(execution)
    call = _Prepared(execution, who)
    return _within(who, execution.issued.boot, lambda store: _add(store, call), _wait_ms(execution))


def delete(execution: Execution, *, undo: bool = False) -> bool:
    """Carry out a DEL, or the undo of this very ADD; False if ipamd is to be asked. Failure 11."""
    issued = execution.issued
    return release(holder_of(execution), issued.boot, issued.uptime_ns, issued.encode(), undo)


def release(who: Holder, boot: str, issued: int, moment: str, undo: bool) -> bool:
    """Carry out a release; False if ipamd is to be asked. `moment` is its `issued` as JSON. Failure 11."""
    held = _within(who, boot, lambda store: _release(store, who, issued, moment, undo), _RELEASE_WAITS_MS)
    return held is True


def check(execution: Execution) -> bool:
    """Compare what a seat gave with prevResult; False if ipamd is to be asked. Failure 7, 11 or 102."""
    who = holder_of(execution)
    boot, wait_ms = execution.issued.boot, _wait_ms(execution)
    answer = _within(who, boot, lambda store: _answer_held(store, who), wait_ms)
    if answer is None:
        return False
    from ipam_plugin.leases import checking

    checking.compare(answer, execution.configuration.values)
    return True


def collect(execution: Execution) -> None:
    """End what a network's containers hold that the runtime does not know any more. Failure 11."""
    from ipam_plugin.leases import collecting

    who, boot = holder_of(execution), execution.issued.boot
    _within(who, boot, lambda store: collecting.collect(store, execution), _wait_ms(execution))


def holder_of(execution: Execution) -> Holder:
    """Give the identity of a call."""
    settings, invocation = execution.settings, execution.invocation
    return Holder(
        settings.cluster, settings.node, execution.network, invocation.container_id, invocation.ifname
    )


def _wait_ms(execution: Execution) -> int:
    """Give how long a call waits for the lock. It leaves half of its time for asking ipamd."""
    return min(_CALL_WAITS_MS, execution.deadline.left_ms() // 2)


def _within(who: Holder, boot: str, act: Callable[[Store], R], wait_ms: int) -> R | None:
    """Act under the store's lock; None if there is no store for this node and boot. Failure 11."""
    try:
        store = open_store(leases.PATH)
        if store is None:
            return None
        try:
            store.lock(wait_ms)
            if store.boot != boot:
                raise Unusable("it is of another boot")
            if store.header[layout.NODE : layout.NODE + 16] != layout.digest(who.cluster, who.node):
                return None  # another node of this machine
            return act(store)
        except Damaged as damage:
            _set_aside(store, str(damage))
            return None
        finally:
            store.close()
    except Unusable as error:
        note(f"the store of leases is not used: {error}")
        return None
    except Busy as busy:
        raise Failure(TRY_AGAIN, "other calls use this node's leases; try again later") from busy
    except OSError as error:
        raise Failure(TRY_AGAIN, f"the store of leases cannot be used: {reason(error)}") from error


def _set_aside(store: Store, why: str) -> None:
    name = store.set_aside()
    note(f"the store of leases is damaged: {why}; it is {name} now, and ipamd serves all calls")


class _Prepared:
    """What an ADD needs of itself, worked out before others wait for the lock."""

    def __init__(self, execution: Execution, who: Holder) -> None:
        from ipam_plugin.leases import asked

        given, invocation = execution.configuration, execution.invocation
        self.execution = execution
        self.key = who.key()
        self.holder = changes.holder(who.network, who.container_id, who.ifname)
        self.network = who.network
        self.request = _request(execution)
        self.asks = asked.bears_on_the_address(given.values, invocation.args)
        version = given.values.get("cniVersion")
        self.configuration = layout.configuration_key(who.network, str(version), given.text_of("ipam"))


def _add(store: Store, call: _Prepared) -> bytes | None:
    execution = call.execution
    now, issued = platform.uptime_ns(), execution.issued.uptime_ns
    found = identities.find(store, call.key)
    if found.state == SEATED:
        return _again(store, found, call, now)
    if found.state == CENTRAL:
        execution.ended = _unreported_end(store, found, execution.issued)
        if issued > found.asked:
            changes.note_central(store, found, issued, now)
        return None
    if found.state == ENDED and issued < found.issued:
        raise Failure(OVERTAKEN, "a later DEL has overtaken this ADD; nothing was taken")
    if issued < store.number(layout.FORGOTTEN):
        raise Failure(TRY_AGAIN, "this ADD is older than a DEL that this node has forgotten; try again")
    if execution.deadline.left_ms() == 0:
        raise Failure(TRY_AGAIN, "the time of this ADD is over; nothing was taken")
    answer = _first(store, found, call, now)
    if answer is not None:
        return answer
    execution.ended = _unreported_end(store, found, execution.issued)
    changes.note_central(store, found, issued, now)
    return None


def _unreported_end(store: Store, found: Found, now: Moment) -> Moment | None:
    """Give the DEL that ended this container here, if ipamd may not have heard of it yet."""
    if found.event <= store.number(layout.REPORTED):
        return None
    return Moment(now.boot, found.issued, now.wall_ns - now.uptime_ns + found.issued)


def _first(store: Store, found: Found, call: _Prepared, now: int) -> bytes | None:
    """Give a free seat; None if there is none for what is asked."""
    if call.asks or not store.is_open or now >= store.number(layout.UNTIL):
        return None
    seat = seats.choose(store, call.configuration, now)
    if seat is None:
        return None
    issued = call.execution.issued.uptime_ns
    return changes.give(store, found, seat, call.holder, call.network, issued, call.request, now)


def _again(store: Store, found: Found, call: _Prepared, now: int) -> bytes:
    seat = _held(store, found)
    answer = seats.answer_of(store, seat.place)
    execution = call.execution
    given, invocation = execution.configuration.values, execution.invocation
    if call.asks:
        from ipam_plugin.leases import asked, checking

        wanted = asked.addresses(given, invocation.args, call.network, invocation.ifname)
        held = checking.addresses(answer)
        other = asked.beyond(wanted, held)
        if other:
            holds = ", ".join(held)
            raise Failure(UNAVAILABLE, f"{other}: this container holds {holds}; it asks for others too late")
    issued = execution.issued.uptime_ns
    if issued > found.issued and not changes.repeat(store, found, seat, issued, call.request, now):
        raise Failure(TRY_AGAIN, "the log of leases is full until ipamd is reached; try again later")
    return answer


def _release(store: Store, who: Holder, issued: int, moment: str, undo: bool) -> bool:
    now = platform.uptime_ns()
    found = identities.find(store, who.key())
    if found.state == SEATED:
        if issued != found.issued if undo else issued < found.issued:
            return False
        seat = _held(store, found)
        changes.end(store, found, seat, issued, moment, changes.UNDONE if undo else changes.RELEASED, now)
        return True
    if not undo:
        changes.note_end(store, found, issued, now)
    return False


def _answer_held(store: Store, who: Holder) -> bytes | None:
    found = identities.find(store, who.key())
    return seats.answer_of(store, _held(store, found).place) if found.state == SEATED else None


def _held(store: Store, found: Found) -> Seat:
    seat = seats.read(store, found.seat)
    if seat.state != layout.HELD:
        raise Damaged(f"seat {found.seat} is not held as its holder's entry says")
    return seat


def _request(execution: Execution) -> bytes:
    members = ",".join([f'"network":{quote(execution.network)}'] + members_of(execution.invocation))
    return f'"issued":{execution.issued.encode()},"request":{{{members}}}}}'.encode()
