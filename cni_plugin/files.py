"""Read files safely and write them durably."""

from __future__ import annotations

import os

from cni_plugin import platform

_FIRST_PIECE = 4096
_LARGEST_PIECE = 65536
_EEXIST = 17


class Unfit(ValueError):
    """A file is not what it should be. The text says why."""


class Held:
    """The contents of a regular file when it was open, with its mode and owner then."""

    def __init__(self, data: bytes, mode: int, owner: int) -> None:
        self.data = data
        self.mode = mode
        self.owner = owner


def read_regular(path: str, limit: int) -> Held:
    """Read a regular file of at most so many bytes. OSError, or Unfit for anything else.

    The file is checked before it is opened, because opening a device may have an effect. It is checked again
    afterwards, because only the open file counts. It is opened without blocking, because a pipe would wait
    for a writer.
    """
    if os.stat(path)[0] & platform.S_IFMT != platform.S_IFREG:
        raise Unfit("not a regular file")
    file = platform.open_file(path, platform.O_RDONLY | platform.O_NONBLOCK | platform.O_CLOEXEC)
    try:
        mode, owner, _ = platform.file_status(file)
        if mode & platform.S_IFMT != platform.S_IFREG:
            raise Unfit("not a regular file")
        return Held(read_all(file, limit), mode, owner)
    finally:
        platform.close(file)


def read_all(file: int, limit: int) -> bytes:
    """Read an open file to its end; Unfit if it holds more than the limit."""
    pieces: list[bytes] = []
    size = 0
    while True:
        piece = platform.read(file, next_piece(size))
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise Unfit(f"larger than {limit} bytes")


def next_piece(size: int) -> int:
    """Give how much to read after so many bytes: a large buffer costs time, and most reads are small."""
    return min(max(size, _FIRST_PIECE), _LARGEST_PIECE)


def write_all(file: int, data: bytes) -> None:
    """Write all of the bytes; OSError if the system does not take them."""
    rest = memoryview(data)
    while len(rest):
        rest = rest[platform.write(file, rest) :]


def write_durably(folder: str, name: str, data: bytes) -> None:
    """Make a new file with mode 0600. When this returns, it is complete and on disk. OSError otherwise."""
    _write_and_rename(folder, f".{name}", name, platform.O_EXCL, data)


def replace(folder: str, name: str, data: bytes) -> None:
    """Make a file, mode 0600, or put another in its place, whole and on disk when this returns; OSError."""
    _write_and_rename(folder, f".{name}-{platform.process_id()}", name, platform.O_TRUNC, data)


def _write_and_rename(folder: str, unfinished: str, name: str, opening: int, data: bytes) -> None:
    """Write a file under a name that nobody looks for, then give it its own; what fails is taken away."""
    path = f"{folder}/{unfinished}"
    flags = platform.O_WRONLY | platform.O_CREAT | opening | platform.O_CLOEXEC
    file = platform.open_file(path, flags, 0o600)
    try:
        try:
            write_all(file, data)
            platform.sync(file)
        finally:
            platform.close(file)
        os.rename(path, f"{folder}/{name}")
    except OSError:
        os.unlink(path)
        raise
    sync_folder(folder)


def make_folders(path: str, mode: int) -> None:
    """Make a folder, and those above it that are not there; OSError."""
    parts = path.split("/")
    for length in range(2, len(parts) + 1):
        make_folder("/".join(parts[:length]), mode)


def make_folder(path: str, mode: int) -> None:
    """Make a folder, if it is not there, so that it survives a crash like what is put into it; OSError."""
    try:
        platform.make_folder(path, mode)
    except OSError as error:
        if error.errno != _EEXIST:
            raise
        return
    parent = path[: path.rfind("/")] or "/"
    sync_folder(parent)


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    file = platform.open_file(folder, platform.O_RDONLY | platform.O_DIRECTORY | platform.O_CLOEXEC)
    try:
        platform.sync(file)
    finally:
        platform.close(file)
