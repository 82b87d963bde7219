"""What this node's lease did and ipamd has not heard of, in stateDir: history after a power cut or a reboot.

The store is in memory. So what is not reported yet is written down here too. A line is a JSON object: first
whose events they are, then each event with its number and its time. A line that is cut off ends the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Raw, Struct

from cni_plugin import files
from cni_plugin.platform import uptime_ns
from ipam_plugin.leases import layout
from ipam_plugin.leases.log import Record
from node_agent.leasing.holding import Holding
from node_agent.leasing.lease_calls import Reporter
from node_agent.leasing.making import Maker

_YOUNGEST_NS: Final = 500_000_000
"""What is younger is reported before it is worth a write, as long as ipamd answers."""
_LARGEST: Final = 2 * layout.LOG_SIZE
_PIECE: Final = 500


class Event(Struct, frozen=True):
    """One event: its number in the store's log, and its time in nanoseconds since 1970."""

    number: int
    time: int
    event: Raw


class Unreported:
    """The file. What stands in it is known by the end of the events that it has."""

    def __init__(self, path: Path, maker: Maker) -> None:
        self._path = path
        self._maker = maker
        self._whose: Reporter | None = None
        self._position = 0
        self._size = 0

    def follow(self, holding: Holding) -> None:
        """Write down what the store has and ipamd has not; remove it if ipamd has all. OSError, NoStore."""
        view = holding.view()
        if view.reported == view.last:
            self.remove()
            return
        if not view.epoch:
            return  # the next one is not known yet, and what is there is still true
        maker = self._maker
        whose = Reporter(maker.cluster, maker.node, maker.boot, view.store, view.epoch)
        is_new = whose != self._whose or self._size > _LARGEST
        position = 0 if is_new else self._position
        before = uptime_ns() - _YOUNGEST_NS
        lines = [msgspec.json.encode(whose)] if is_new else []
        is_last = False
        while not is_last:
            records = holding.events(_PIECE, position)
            old = [record for record in records if record.at <= before]
            is_last = len(old) < _PIECE
            lines += _lines(old)
            position = old[-1].end if old else position
        if position == (0 if is_new else self._position):
            return
        self._whose = None  # until it is written: an unfinished line must not have others behind it
        data = b"\n".join(lines) + b"\n"
        if is_new:
            files.make_folders(str(self._path.parent), 0o755)
            files.replace(str(self._path.parent), self._path.name, data)
        else:
            self._append(data)
        self._size = len(data) if is_new else self._size + len(data)
        self._whose, self._position = whose, position

    def read(self) -> tuple[Reporter, Sequence[Event]] | None:
        """What stands in the file, None if there is none. Raises OSError, ValueError."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        first, *rest = data.split(b"\n")
        whose = msgspec.json.decode(first, type=Reporter)
        found: list[Event] = []
        for line in rest:
            try:
                event = msgspec.json.decode(line, type=Event)
            except ValueError:
                break  # the power was cut while it was written
            if found and event.number != found[-1].number + 1:
                break
            found.append(event)
        return whose, found

    def remove(self) -> None:
        """Forget all: ipamd has it. Raises OSError."""
        self._path.unlink(missing_ok=True)
        self._whose = None

    def _append(self, data: bytes) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            files.write_all(file, data)
            os.fdatasync(file)
        finally:
            os.close(file)


def _lines(records: Sequence[Record]) -> list[bytes]:
    now, wall = uptime_ns(), time.time_ns()
    return [
        msgspec.json.encode(Event(record.number, wall - now + record.at, Raw(record.event)))
        for record in records
    ]
