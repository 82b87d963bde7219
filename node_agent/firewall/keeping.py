"""Keeps the accept if an admin allowed it: after each change of nftables, and every ten seconds."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from cni_plugin import platform
from cni_plugin.failure import Failure
from netlink import events
from netlink.attribute import Malformed
from netlink.connection import NETFILTER
from netlink.events import Events, Lost
from node_agent.firewall import accepting, firewalld, legacy, permission
from node_agent.firewall.command import Failed
from veth_plugin.kernel import dropping
from veth_plugin.kernel.asking import connect

_LOOK_SECONDS: Final = 10.0
"""The older iptables says nothing of its changes."""
_GATHERED_SECONDS: Final = 0.5
"""A firewall that is loaded anew writes several times."""
_REST_FOR_EACH_SECOND: Final = 20.0
"""So much rest after a look that looks take a small part of a core, however many rules there are."""

log = structlog.get_logger()


class Firewalls:
    """The firewalls of the network namespace in which the agent runs."""

    def __init__(self, file: Path, tunnel_port: Callable[[], int | None]) -> None:
        self._file = file
        self._tunnel_port = tunnel_port
        self._told: list[str] = []
        self._accepted: tuple[Sequence[str], int | None] | None = None
        """What was accepted last: by these interfaces, and at this port."""
        self.dropping: list[str] = []
        """What dropped packets of containers when they were looked at last."""

    async def keep(self) -> None:
        """Look at them, for ever, and keep the accept while the file of `install` allows it."""
        changed = asyncio.Event()
        _listen(changed)
        while True:
            is_changed = changed.is_set()
            changed.clear()
            begun = time.monotonic()
            await asyncio.to_thread(self._look, is_changed)
            rest = max(_GATHERED_SECONDS, _REST_FOR_EACH_SECOND * (time.monotonic() - begun))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), max(_LOOK_SECONDS, rest))
                await asyncio.sleep(rest)

    def _look(self, is_changed: bool) -> None:
        faults: list[str] = []
        try:
            interfaces = permission.read(self._file)
        except OSError as error:
            faults, interfaces = [f"{self._file} cannot be read: {error.strerror}"], ()
        port = self._tunnel_port()
        self.dropping = what_drops(port)
        # If nobody has changed anything and nothing drops, what was accepted stands.
        if interfaces and (self.dropping or is_changed or self._accepted != (interfaces, port)):
            done, faults = put(interfaces, port)
            for one in done:
                log.info("put an accept into a firewall", what=one)
            self._accepted = interfaces, port
            self.dropping = what_drops(port)
        for one in faults if faults != self._told else ():
            log.warning("a firewall drops packets of containers", why=one)
        self._told = faults


def allow(interfaces: Sequence[str]) -> list[str]:
    """Accept what these interfaces send and get, as `install` does; what was done and what could not be."""
    told: list[str] = []
    try:
        told += firewalld.put(interfaces)
    except Failed as error:
        told.append(str(error))
    done, faults = put(interfaces)
    return [f"firewall: {one}" for one in [*told, *done, *faults]]


def put(interfaces: Sequence[str], tunnel_port: int | None = None) -> tuple[list[str], list[str]]:
    """Accept what these interfaces send and get, and the tunnel's packets, in each firewall that drops them.

    Gives what was written, and what could not be.
    """
    done: list[str] = []
    faults: list[str] = []
    accepts = [(accepting.of_containers(interfaces), legacy.of_containers(interfaces))]
    if tunnel_port is not None:
        accepts.append((accepting.of_tunnel(tunnel_port), legacy.of_tunnel(tunnel_port)))
    try:
        filters = connect(NETFILTER)
        try:
            for accept, _ in accepts:
                written, refused = accepting.put(filters, accept)
                done += written
                faults += refused
        finally:
            filters.close()
    except Failure as failure:
        faults.append(failure.msg)
    try:
        for accept, matches in accepts:
            done += legacy.put(accept.hook, matches, accept.text)
    except Failed as error:
        faults.append(str(error))
    return done, faults


def take_back() -> list[str]:
    """Take it away again, as `uninstall` does; what was done, and what could not be, in words."""
    count = 0
    faults: list[str] = []
    try:
        filters = connect(NETFILTER)
        try:
            count += accepting.remove(filters)
        finally:
            filters.close()
    except Failure as failure:
        faults.append(f"firewall: {failure.msg}")
    try:
        count += firewalld.remove()
        count += legacy.remove()
    except Failed as error:
        faults.append(f"firewall: {error}")
    return [*([f"firewall: the accept is taken back, from {count} in all"] if count else []), *faults]


def what_drops(tunnel_port: int | None = None) -> list[str]:
    """Say what drops containers' packets, or the tunnel's, and what could not be looked at."""
    drops, unread = look(tunnel_port)
    return drops + unread


def look(tunnel_port: int | None) -> tuple[list[str], list[str]]:
    """Say what drops containers' packets, or the tunnel's, and beside it what could not be looked at."""
    found: list[str] = []
    unread: list[str] = []
    try:
        filters = connect(NETFILTER)
        try:
            found += [one.text() for one in dropping.find(filters)]
            if tunnel_port is not None:
                port = accepting.of_tunnel(tunnel_port).looked_for
                found += [one.text() for one in dropping.find(filters, dropping.INPUT, port)]
        finally:
            filters.close()
    except Failure as failure:
        unread.append(failure.msg)
    hooks = (dropping.FORWARD,) if tunnel_port is None else (dropping.FORWARD, dropping.INPUT)
    try:
        found += [one.text for hook in hooks for one in legacy.dropping(hook)]
    except Failed as error:
        unread.append(str(error))
    return found, unread


def _listen(changed: asyncio.Event) -> None:
    """Set the event whenever somebody has changed nftables."""
    socket = platform.netlink_socket(NETFILTER)
    try:
        socket.bind((0, 0))
        listener = Events(socket, (events.NFTABLES,))
    except OSError as error:
        socket.close()
        log.warning("changes of nftables are seen late", why=str(error))
        return

    def read() -> None:
        with contextlib.suppress(Lost, Malformed, OSError):  # whatever it was: something has changed
            listener.read()
        changed.set()

    asyncio.get_running_loop().add_reader(socket.fileno(), read)
