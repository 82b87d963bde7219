"""The file of the leases, under its lock: the header, and changes that are whole or absent.

A change writes first what nobody reads yet (a record of the log, the holder of a free seat). Then one write
of the first page makes it count: on tmpfs a write inside a page is whole or absent if the process is killed.
The page holds what the change writes elsewhere too. After a kill before that the next process does it.
"""

from __future__ import annotations

import os
from struct import pack, pack_into, unpack_from

from cni_plugin import platform
from cni_plugin.platform import sha256
from ipam_plugin.leases import layout
from ipam_plugin.leases.layout import number_in

_MAGIC_NAME = layout.MAGIC[:7]
_NOT_THERE = (2, 13, 20)  # for this user
_NO_FILE = (6, 21, 40)  # a socket, a folder, a link that leads nowhere
_WRITABLE_BY_OTHERS = 0o022
_WRITE = "<IH"  # of the redo: offset and length, before the bytes
_FRAME = "<H8s"  # of holders and answers: length and sum, before the bytes
_FRAME_SIZE = 10
_USUAL = 512  # most of them are shorter


class Unusable(ValueError):
    """There is a file, and nothing may be taken from it: the text says why. It stays as it is."""


class Damaged(ValueError):
    """A part of the file does not have its sum. The text says which."""


class Busy(Exception):
    """Other calls had the lock for too long."""


class Store:
    """The open file. After lock() its header is read, and nobody else changes anything until close()."""

    def __init__(self, file: int, path: str) -> None:
        self._file = file
        self.path = path
        self.header = bytearray()

    def lock(self, limit_ms: int) -> None:
        """Take the lock and read the header; finish what a killed process began. Busy, Unusable, Damaged."""
        if not platform.lock_within(self._file, limit_ms):
            raise Busy
        self._load()

    def close(self) -> None:
        """Let go of lock and file."""
        platform.close(self._file)

    def number(self, at: int) -> int:
        """Give a number of the header."""
        return number_in(self.header, at)

    def set(self, at: int, value: int) -> None:
        """Set a number of the header; the next change makes it count."""
        pack_into("<Q", self.header, at, value)

    @property
    def is_open(self) -> bool:
        return self.header[layout.IS_OPEN] == 1

    @property
    def boot(self) -> str:
        return bytes(self.header[layout.BOOT : layout.BOOT + 36]).decode()

    def read(self, size: int, offset: int) -> bytes:
        """Read a part."""
        data = platform.read_at(self._file, size, offset)
        if len(data) != size:
            raise Damaged("it is cut off")
        return data

    def write_ahead(self, data: bytes, offset: int) -> None:
        """Write what nobody reads before the change that follows."""
        if platform.write_at(self._file, data, offset) != len(data):
            raise OSError(28)

    def framed(self, offset: int, limit: int) -> bytes:
        """Read bytes that stand after their length and sum."""
        size = min(limit, _USUAL)
        data = self.read(size, offset)
        length, its_sum = unpack_from(_FRAME, data)
        end = _FRAME_SIZE + length
        if size < end <= limit:
            data += self.read(end - size, offset + size)
        found = data[_FRAME_SIZE:end]
        if end > limit or its_sum != layout.sum_of(found, offset):
            raise Damaged(f"the sum at {offset} is wrong")
        return found

    def change(self, writes: list[tuple[int, bytes]]) -> None:
        """Make a change count: the header as it is set, and what it writes elsewhere."""
        number = self.number(layout.CHANGE) + 1
        self.set(layout.CHANGE, number)
        pieces = [bytes(self.header[layout.HEADER_BODY :]), bytes([len(writes)])]
        for offset, data in writes:
            pieces.append(pack(_WRITE, offset, len(data)))
            pieces.append(data)
        body = b"".join(pieces)
        body = pack("<H", layout.HEADER_BODY + len(body)) + body[2:]
        self.write_ahead(layout.MAGIC + sha256(body)[:16] + body, 0)
        self._carry_out(number, writes)

    def set_aside(self) -> str:
        """Mark the file for those who have it open, and give it another name, in the place of an earlier one.

        Returns that name.
        """
        name = aside(self.path)
        self.retire()
        os.rename(self.path, name)
        return name

    def retire(self) -> None:
        """Mark the file for those who have it open: nothing is taken from it any more."""
        self.write_ahead(layout.RETIRED, 0)

    def _load(self) -> None:
        page = self.read(layout.HEADER_READ, 0)
        magic = page[:8]
        if magic != layout.MAGIC:
            if magic == layout.RETIRED:
                raise Unusable("it was replaced")
            if magic[:7] == _MAGIC_NAME:
                raise Unusable(f"its format is {magic[7]}, and this plugin knows {layout.MAGIC[7]}")
            raise Damaged("it does not begin as one")
        length = unpack_from("<H", page, layout.HEADER_LENGTH)[0]
        body = page[layout.HEADER_BODY : length]
        if not layout.REDO < length <= layout.CARRIED_OUT or page[8:24] != sha256(body)[:16]:
            raise Damaged("the sum of its header is wrong")
        self.header = bytearray(page[: layout.REDO])
        number = self.number(layout.CHANGE)
        if number_in(page, layout.CARRIED_OUT) != number:
            self._carry_out(number, _redo(page))

    def _carry_out(self, number: int, writes: list[tuple[int, bytes]]) -> None:
        for offset, data in writes:
            self.write_ahead(data, offset)
        self.write_ahead(pack("<Q", number), layout.CARRIED_OUT)


def aside(path: str) -> str:
    """Give the name of a store that cannot be used any more. Only the last one is kept: it takes memory."""
    return path + ".set-aside"


def open_store(path: str) -> Store | None:
    """Open the store, None if there is none; OSError. Unusable if others than its owner can write it."""
    try:
        file = platform.open_file(path, platform.O_RDWR | platform.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        if error.errno in _NO_FILE:
            raise Unusable("it is not a regular file") from error
        raise
    mode, owner, _ = platform.file_status(file)
    if mode & platform.S_IFMT != platform.S_IFREG:
        platform.close(file)
        raise Unusable("it is not a regular file")
    if owner != platform.effective_user() or mode & _WRITABLE_BY_OTHERS:
        platform.close(file)
        raise Unusable("others than root can write it")
    return Store(file, path)


def _redo(page: bytes) -> list[tuple[int, bytes]]:
    writes = []
    at = layout.REDO + 1
    for _ in range(page[layout.REDO]):
        offset, size = unpack_from(_WRITE, page, at)
        at += 6
        writes.append((offset, page[at : at + size]))
        at += size
    return writes
