"""Hears what becomes of host sides, and has them repaired."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from cni_plugin import platform
from cni_plugin.failure import Failure
from netlink import address, events, link, route
from netlink.attribute import Malformed
from netlink.connection import ROUTE, Connection, Interrupted
from netlink.events import Events, Lost
from netlink.message import Message
from node_agent.host_sides import reading
from node_agent.host_sides.reading import HostSide, Prefix
from node_agent.host_sides.repair import Lack, Part, at_once, lacks, put_back
from veth_plugin.kernel import naming, uplink
from veth_plugin.kernel.asking import connect

log = structlog.get_logger()

_GROUPS: Final = (
    events.LINKS,
    events.ADDRESSES_IPV4,
    events.ADDRESSES_IPV6,
    events.ROUTES_IPV4,
    events.ROUTES_IPV6,
)
_GATHERED_SECONDS: Final = 0.05
"""What happens within this time is looked at together: an ADD tells of its pair several times."""
_SETTLED_SECONDS: Final = 1.0
"""What is still missing after this time no ADD is about to write."""
_LOOK_AT_ALL_SECONDS: Final = 300.0
_REST_SECONDS: Final = 5.0
"""Between two looks at all, if the kernel tells more than can be heard."""


class HostSides:
    """The host sides of the network namespace in which the agent runs."""

    def __init__(self) -> None:
        self._gateways: dict[int, tuple[bytes, ...]] = {}
        """Those that were seen at each, by its index."""
        self._lacking: dict[int, float] = {}
        """Since when a host side lacks what may not be written at once."""

    def look(self, indexes: Iterable[int] | None) -> set[int]:
        """Look at these host sides, or all, and repair them; those to look at again. Raises Failure 5."""
        node = connect(ROUTE)
        try:
            if indexes is None:
                sides = reading.all_of_them(node)
                self._forget_all_but({side.index for side in sides})
            else:
                sides = reading.named(node, indexes)
            if not sides:
                return set()
            routed = reading.routed_prefixes(node)
            sources = uplink.find(node).sources
            return {
                side.index for side in sides if self._repair(node, side, routed.get(side.index, {}), sources)
            }
        finally:
            node.close()

    def _repair(
        self,
        node: Connection,
        side: HostSide,
        routed: Mapping[Prefix, bytes | None],
        sources: Mapping[int, bytes],
    ) -> bool:
        """Put back what a host side lacks; whether something waits, for an ADD may be about to write it."""
        there = reading.standing(node, side, routed)
        lacking = lacks(side, there, sources, self._gateways.get(side.index, ()))
        if not any(one.part is Part.GATEWAY for one in lacking):
            self._gateways[side.index] = there.gateways
        waits = not all(at_once(one) for one in lacking) and not self._is_settled(side)
        ready = [one for one in lacking if at_once(one) or not waits]
        if not waits:
            self._lacking.pop(side.index, None)
        if ready:
            _tell(side, ready, put_back(node, side, there, sources, ready))
        return waits

    def _is_settled(self, side: HostSide) -> bool:
        now = time.monotonic()
        return now - self._lacking.setdefault(side.index, now) >= _SETTLED_SECONDS

    def _forget_all_but(self, living: set[int]) -> None:
        for known in (self._gateways, self._lacking):
            for index in known.keys() - living:
                del known[index]


class _Ear:
    """Gathers the links that the kernel tells of."""

    def __init__(self) -> None:
        self.indexes: set[int] = set()
        self.lost = False
        self.has_way_out = False
        """There is a new route to what is beyond the node, and so a source for routes that have none."""
        self.heard = asyncio.Event()
        self._listeners: list[Events] = []

    def listen(self, groups: tuple[int, ...], *, everywhere: bool) -> None:
        """Hear of more. Raises OSError if the kernel refuses."""
        socket = platform.netlink_socket(ROUTE)
        try:
            socket.bind((0, 0))  # else it has the kernel's own number, to whom the kernel tells nothing
            listener = Events(socket, groups, everywhere)
        except OSError:
            socket.close()
            raise
        self._listeners.append(listener)
        asyncio.get_running_loop().add_reader(socket.fileno(), self._read, listener)

    def take(self, again: set[int]) -> set[int] | None:
        """What was heard of since, with what is to be looked at again; None for all."""
        found = None if self.lost or self.has_way_out else self.indexes | again
        self.indexes, self.lost, self.has_way_out = set(), False, False
        self.heard.clear()
        return found

    def _read(self, listener: Events) -> None:
        try:
            for told in listener.read():
                self.indexes.update(_concerned(told))
                self.has_way_out |= told.kind == route.NEW and route.decode(told).length == 0
        except (Lost, Malformed, OSError):
            self.lost = True
        if self.indexes or self.lost or self.has_way_out:
            self.heard.set()


async def keep_host_sides() -> None:
    """Keep all host sides as the main plugin made them, for ever."""
    sides = HostSides()
    ear = _Ear()
    try:
        ear.listen(_GROUPS, everywhere=False)
        # A container's end may get another MAC without a word to the node's.
        ear.listen((events.LINKS,), everywhere=True)
    except OSError as error:
        log.warning("some changes of containers' links are seen late", why=str(error))
    looked_at_all = 0.0
    heard: set[int] | None = None
    while True:
        if heard is None or time.monotonic() - looked_at_all >= _LOOK_AT_ALL_SECONDS:
            looked_at_all = time.monotonic()
            heard = None
        again = await _look(sides, heard)
        if again is None:
            heard = None
            await asyncio.sleep(_REST_SECONDS)
            continue
        try:
            await asyncio.wait_for(ear.heard.wait(), _SETTLED_SECONDS if again else _LOOK_AT_ALL_SECONDS)
        except TimeoutError:
            heard = again or None
            continue
        await asyncio.sleep(_REST_SECONDS if ear.lost else _GATHERED_SECONDS)
        heard = ear.take(again)


async def _look(sides: HostSides, indexes: set[int] | None) -> set[int] | None:
    """Have them looked at; those to look at again, None if the kernel could not be asked."""
    try:
        return await asyncio.to_thread(sides.look, indexes)
    except (Failure, OSError, Interrupted, Malformed) as error:
        log.warning("host sides cannot be looked at", why=str(error))
        return None


def _concerned(told: Message) -> list[int]:
    """The links that may be host sides to which something was done."""
    found: int | None = None
    if told.kind == link.NEW:
        one = link.decode(told)
        # A container's end, of another namespace, names its host side by the number of its peer.
        found = one.index if (one.name or "").startswith(naming.PREFIX) else one.peer_index
    elif told.kind == address.DELETE:
        found = address.decode(told).index
    elif told.kind == route.DELETE:
        gone = route.decode(told)
        found = gone.index if gone.protocol == naming.ROUTE_PROTOCOL else None
    return [found] if found else []


def _tell(side: HostSide, done: list[Lack], refused: list[str]) -> None:
    if refused:
        log.warning("a host side cannot be repaired", interface=side.name, refused=refused)
    else:
        log.info("repaired a host side", interface=side.name, put_back=[str(one) for one in done])
