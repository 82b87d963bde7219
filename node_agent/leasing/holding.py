"""The store as the agent holds it: found or made, read and changed as a whole, always under its lock."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from msgspec import Struct

from cni_plugin import platform
from cni_plugin.quoting import quote
from ipam_plugin.leases import changes, layout
from ipam_plugin.leases.log import Record
from ipam_plugin.leases.store import Busy, Damaged, Store, Unusable, aside, open_store
from node_agent.leasing import making, seating
from node_agent.leasing.lease_calls import ContainerTold, SeatTold, Told
from node_agent.leasing.making import Maker
from node_agent.leasing.seating import Grant, Known

_LOCK_MS: Final = 5000
_PIECE: Final = 100
"""So many changes are made while the lock is held: plugins wait for it."""
_STATES: Final = {layout.FREE: "free", layout.HELD: "taken", layout.RETURNING: "returning"}

log = structlog.get_logger()


class NoStore(Exception):
    """There is no store that can be used. `str()` says why."""


class Behind(Damaged):
    """The store lacks events that ipamd has: the machine was put back to an earlier time with its memory."""


class View(Struct, frozen=True):
    """What stands in the store now."""

    store: str
    epoch: int
    grant: int
    until: int
    is_open: bool
    reported: int
    last: int
    oldest: int | None
    """The CLOCK_BOOTTIME of the oldest event that ipamd does not have."""
    seats: Sequence[Known]

    def count(self, state: int) -> int:
        """How many seats are in a state."""
        return sum(seat.state == state for seat in self.seats)

    def free_of(self, key: bytes) -> list[Known]:
        """The free seats of a configuration, the coolest first."""
        free = [seat for seat in self.seats if seat.state == layout.FREE and seat.configuration == key]
        return sorted(free, key=lambda seat: seat.cooled)

    def document(self) -> dict[str, Any]:
        """What ipamd is told of it.

        A seat that is to go back counts as taken until all of its events are reported.
        """
        whole = self.reported == self.last
        seats = [
            {
                "seat": seat.number,
                "state": _STATES[seat.state] if whole or seat.state != layout.RETURNING else "taken",
            }
            for seat in self.seats
        ]
        return {
            "store": self.store,
            "epoch": self.epoch or None,
            "grant": self.grant,
            "reported": self.reported,
            "seats": seats,
        }


class Holding:
    """The store of this node at a path."""

    def __init__(self, path: Path, maker: Maker) -> None:
        self._path = path
        self._maker = maker
        self._lock: int | None = None

    def find(self) -> bool:
        """Whether there is a store that can be used. One that cannot is set aside. Raises NoStore."""
        try:
            with self._locked() as store:
                self._check(store)
                return True
        except FileNotFoundError:
            return False
        except Unusable as error:
            self._set_aside(str(error))
            return False
        except Busy:
            raise NoStore("the store of leases is locked by others") from None
        except OSError as error:
            raise NoStore(f"the store of leases cannot be opened: {error}") from None

    def is_ours(self) -> bool:
        """Whether no other agent of this node keeps the lease: this one does from now on. Raises NoStore."""
        if self._lock is not None:
            return True
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self._path.with_name("agent"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if platform.try_lock(file):
                self._lock = file
            else:
                os.close(file)
        except OSError as error:
            raise NoStore(f"the folder of the leases cannot be used: {error}") from None
        return self._lock is not None

    def is_of_another(self) -> bool:
        """Whether there is a store that is not this node's: nobody is to touch it. Raises NoStore."""
        try:
            with self._locked() as store:
                maker = self._maker
                return store.header[layout.NODE : layout.NODE + 16] != layout.digest(
                    maker.cluster, maker.node
                )
        except (FileNotFoundError, Unusable):
            return False
        except Busy:
            raise NoStore("the store of leases is locked by others") from None
        except OSError as error:
            raise NoStore(f"the store of leases cannot be opened: {error}") from None

    def remove(self) -> None:
        """Remove a store without seats, and what lies beside it. Raises NoStore."""
        if self._path.exists():
            with self._usable() as store:
                store.retire()
        try:
            for path in self._path.parent.iterdir():
                path.unlink()
            self._path.parent.rmdir()
        except OSError as error:
            raise NoStore(f"the folder of the leases cannot be removed: {error}") from None

    def let_go(self) -> None:
        """Leave the lease to another agent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def make(self) -> None:
        """Make a new store, closed and without seats. Raises NoStore."""
        try:
            making.make(self._path, self._maker)
        except (OSError, making.NotInMemory) as error:
            raise NoStore(f"no store of leases can be made: {error}") from None

    def view(self) -> View:
        """Read all of it. Raises NoStore."""
        with self._usable() as store:
            first = seating.events(store, 1)
            return View(
                bytes(store.header[layout.STORE_ID : layout.STORE_ID + 16]).hex(),
                store.number(layout.EPOCH),
                store.number(layout.GRANT),
                store.number(layout.UNTIL),
                store.is_open,
                store.number(layout.REPORTED),
                store.number(layout.EVENT),
                first[0].at if first else None,
                seating.overview(store),
            )

    def events(self, most: int, position: int = 0) -> list[Record]:
        """The oldest events that ipamd does not have, from a position of the log on. Raises NoStore."""
        with self._usable() as store:
            return seating.events(store, most, position)

    def acknowledge(self, number: int) -> None:
        """Let go of the events up to a number. Raises NoStore."""
        with self._usable() as store:
            _check_not_behind(store, number)
            seating.acknowledge(store, number)

    def close(self, *, is_over: bool = False) -> None:
        """Give nothing any more. If the epoch is over, forget it. Raises NoStore."""
        with self._usable() as store:
            seating.set_open(store, is_open=False)
            if is_over:
                seating.renew(store, epoch=0, grant=0, until=0)

    def take_back(self, seats: Sequence[Known]) -> None:
        """Have seats go back. Raises NoStore."""
        with self._usable() as store:
            for seat in seats:
                seating.take_back(store, seat.place)

    def take(self, told: Told, view: View, asked_at: int, *, may_open: bool) -> bool:
        """Do all that ipamd said to an asking at that CLOCK_BOOTTIME. Was it news? Raises NoStore.

        `view` is what it was told.
        """
        known = told.identities or []
        for first in range(0, len(known), _PIECE):
            with self._usable() as store:
                part = known[first : first + _PIECE]
                asked = {one.identity: self._uptime(one) for one in part}
                seating.note_central(store, self._maker.cluster, self._maker.node, asked)
        with self._usable() as store:
            _check_not_behind(store, told.reported)
            done = [self._end(store, each) for each in told.ended]
            grant = store.number(layout.GRANT)
            if told.grant == grant + 1:
                self._seat(store, told.seats)
                grant = told.grant
                done.append(True)
            places = _places(store)
            back = [places[number] for number in (*told.recall, *told.void) if number in places]
            done += [seating.take_back(store, place) for place in back]
            gone = [places[number] for number in told.returned if number in places]
            done += [seating.forget(store, place) for place in gone]
            if told.untaken and view.reported == view.last == store.number(layout.EVENT):
                done += [
                    self._tell_again(store, places[number]) for number in told.untaken if number in places
                ]
            until = asked_at + told.seconds * 1_000_000_000
            seating.renew(store, epoch=told.epoch, grant=grant, until=until)
            seating.set_open(store, is_open=may_open)
        return any(done)

    def _seat(self, store: Store, told: Sequence[SeatTold]) -> None:
        places = _places(store)
        for seat in told:
            answer = bytes(seat.result)
            if seat.seat in places and len(answer) <= seating.LARGEST_ANSWER:
                seating.refresh(store, places[seat.seat], answer)
        new = [
            Grant(each.seat, bytes.fromhex(each.key), bytes(each.result), each.cools_ns, each.cooldown_ns)
            for each in told
            if each.seat not in places
        ]
        for number in seating.fill(store, new):
            log.warning("a seat has no place in the store", seat=number)

    def _end(self, store: Store, ended: ContainerTold) -> bool:
        issued, maker = ended.issued, self._maker
        if issued.boot not in (None, maker.boot):
            return False  # nobody of this boot is meant
        moment = f'{{"boot":{quote(maker.boot)},"uptime_ns":{issued.uptime_ns}}}'
        who = ended.identity
        return seating.end(store, maker.cluster, maker.node, who, issued.uptime_ns, moment, changes.RELEASED)

    def _tell_again(self, store: Store, place: int) -> bool:
        """Report what holds a seat once more: a database that was put back lacks it."""
        maker = self._maker
        is_told = seating.tell_again(store, maker.cluster, maker.node, place, maker.boot)
        if is_told:
            who = seating.holder(store, place)
            log.warning("ipamd has lost a container of the lease", container_id=who.container_id)
        return is_told

    def _uptime(self, container: ContainerTold) -> int:
        """When its last ADD was issued, 0 if that was in another boot."""
        issued = container.issued
        return issued.uptime_ns if issued.boot == self._maker.boot else 0

    def _check(self, store: Store) -> None:
        maker = self._maker
        if store.boot != maker.boot:
            raise Unusable("it is of another boot")
        if store.header[layout.NODE : layout.NODE + 16] != layout.digest(maker.cluster, maker.node):
            raise Unusable("it is of another node")
        if store.header[layout.MACHINE : layout.MACHINE + 16] != layout.digest(maker.machine):
            raise Unusable("it is of another machine")

    def _set_aside(self, why: str) -> None:
        """Make room for another store. Raises NoStore."""
        name = aside(str(self._path))
        try:
            self._path.rename(name)
        except OSError as error:
            raise NoStore(f"{self._path} is in the way ({why}), and cannot be {name}: {error}") from None
        log.warning("the store of leases is set aside", why=why, aside=name)

    @contextmanager
    def _usable(self) -> Iterator[Store]:
        try:
            with self._locked() as store:
                yield store
        except (OSError, Unusable) as error:
            raise NoStore(f"the store of leases cannot be used: {error}") from None
        except Busy:
            raise NoStore("the store of leases is locked by others") from None

    @contextmanager
    def _locked(self) -> Iterator[Store]:
        """The store under its lock. One that is damaged is set aside. Raises OSError, Unusable, Busy."""
        store = open_store(str(self._path))
        if store is None:
            raise FileNotFoundError(2, os.strerror(2))
        try:
            store.lock(_LOCK_MS)
            yield store
        except Damaged as error:
            log.warning("the store of leases is set aside", why=str(error), aside=store.set_aside())
            raise FileNotFoundError(2, os.strerror(2)) from None
        finally:
            store.close()


def _check_not_behind(store: Store, reported: int) -> None:
    """Raise Behind if ipamd has events that the store never had: it may hold what is another's by now."""
    last = store.number(layout.EVENT)
    if reported > last:
        raise Behind(f"ipamd has {reported} events of it, and it had only {last}: this machine was put back")


def _places(store: Store) -> dict[int, int]:
    """Where each seat stands, by its number."""
    return {seat.number: seat.place for seat in seating.overview(store)}
