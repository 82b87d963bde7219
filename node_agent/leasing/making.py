"""A new store of leases, empty and closed: made beside its name, then renamed to it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ipam_plugin.leases import layout
from ipam_plugin.leases.store import Store

_MOUNTS: Final = Path("/proc/self/mountinfo")
_IN_MEMORY: Final = "tmpfs"


class NotInMemory(Exception):
    """The folder is not on tmpfs, so what a store says there would outlive the containers of a boot."""


@dataclass(frozen=True, slots=True)
class Maker:
    """Whose store it is."""

    cluster: str
    node: str
    boot: str
    machine: str
    """What identifies the machine, "" if nothing does."""


def make(path: Path, maker: Maker, *, anywhere: bool = False) -> None:
    """Make a store, all of whose parts but the answers have their room. OSError; NotInMemory.

    `anywhere` takes a folder that is not on tmpfs.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not anywhere:
        kind = filesystem_of(path.parent)
        if kind != _IN_MEMORY:
            raise NotInMemory(f"{path.parent} is on {kind}, not on tmpfs: this node has no leases")
    unfinished = path.with_name(f".{path.name}-{os.getpid()}")
    file = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    store = Store(file, str(unfinished))
    try:
        os.truncate(file, layout.SIZE)
        os.posix_fallocate(file, 0, layout.ANSWERS)
        store.header = _header(maker)
        store.change([])
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    finally:
        store.close()


def filesystem_of(folder: Path) -> str:
    """The kind of the file system on which a folder is."""
    place = str(folder.resolve())
    found, kind = "", ""
    for line in _MOUNTS.read_text().splitlines():
        fields, _, source = line.partition(" - ")
        mounted = fields.split()[4]
        inside = mounted == "/" or place == mounted or place.startswith(mounted + "/")
        if inside and len(mounted) >= len(found):  # a later one covers an earlier one
            found, kind = mounted, source.split()[0]
    return kind


def _header(maker: Maker) -> bytearray:
    header = bytearray(layout.REDO)
    header[layout.STORE_ID : layout.STORE_ID + 16] = os.urandom(16)
    header[layout.BOOT : layout.BOOT + 36] = maker.boot.encode()
    header[layout.NODE : layout.NODE + 16] = layout.digest(maker.cluster, maker.node)
    header[layout.MACHINE : layout.MACHINE + 16] = layout.digest(maker.machine)
    return header
