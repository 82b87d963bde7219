"""Releases that could not be delivered, one file each, under stateDir.

An entry is one JSON object: the only destination to which it goes, then `request`, the lasting part of the
request that was not answered. `spool/` holds waiting entries. `spool/set-aside/` holds those that ipamd will
never accept, each with its reason beside it. If you move one back into `spool/`, it waits again.
"""

from __future__ import annotations

import os
import time

from cni_plugin import platform
from cni_plugin.clock import rfc3339
from cni_plugin.failure import IO_FAILURE, Failure, reason
from cni_plugin.files import make_folder, make_folders, read_regular, sync_folder, write_all, write_durably

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.destination import Destination

_ENDING = ".json"
_REASON_ENDING = ".reason"
_REQUEST = b',"request":'
_ENTRY_BYTES = 1 << 20
_FOLDER_MODE = 0o700
_STATE_MODE = 0o755
_WRITABLE_BY_OTHERS = 0o022
_ENOENT = 2


class Spool:
    """The spool of one state folder."""

    def __init__(self, state_dir: str) -> None:
        self._state = state_dir
        self._folder = f"{state_dir}/spool"
        self._aside = f"{self._folder}/set-aside"

    def names(self) -> list[str]:
        """Give the names of the waiting entries. OSError or ValueError if they cannot be listed."""
        try:
            return [name for name in os.listdir(self._folder) if _is_entry(name)]
        except OSError as error:
            if error.errno != _ENOENT:
                raise
            return []

    def count(self) -> int | None:
        """Give how many entries wait, None if that cannot be seen: no call fails because of it."""
        try:
            return len(self.names())
        except (OSError, ValueError):
            return None

    def put(self, whom: Destination, kept: bytes, refusal: bytes | None = None) -> str:
        """Write an entry durably and give its name. With a refusal of ipamd it is set aside at once.

        Failure 5 if it cannot be written.
        """
        wall = time.time_ns()
        name = f"{wall}-{platform.uptime_ns()}-{platform.process_id()}{_ENDING}"
        data = b"".join([b"{", whom.encode().encode(), _REQUEST, kept, b"}"])
        folder = self._folder if refusal is None else self._aside
        try:
            self._prepare(folder)
            if refusal is not None:
                write_durably(folder, name + _REASON_ENDING, _dated(refusal, wall))
            write_durably(folder, name, data)
        except OSError as error:
            raise Failure(
                IO_FAILURE, f"the release cannot be written into {folder}: {reason(error)}"
            ) from error
        return name

    def read(self, name: str) -> bytes:
        """Give an entry. OSError, or ValueError if it is not a regular file of an entry's size."""
        return read_regular(f"{self._folder}/{name}", _ENTRY_BYTES).data

    def drop(self, name: str) -> None:
        """Remove a delivered entry.

        After a crash it may be there again and is delivered twice, which is harmless.
        """
        os.unlink(f"{self._folder}/{name}")

    def set_aside(self, name: str, refusal: bytes) -> None:
        """Set an entry aside, with the reason beside it, so that nobody tries it again.

        OSError if that fails.
        """
        self._prepare(self._aside)
        aside = name + _REASON_ENDING
        if aside not in os.listdir(self._aside):  # left by a crash in between
            write_durably(self._aside, aside, _dated(refusal, time.time_ns()))
        os.rename(f"{self._folder}/{name}", f"{self._aside}/{name}")
        sync_folder(self._aside)

    def lock(self) -> int | None:
        """Lock the delivery and give the descriptor that holds the lock, None if another call has it."""
        flags = platform.O_WRONLY | platform.O_CREAT | platform.O_CLOEXEC
        file = platform.open_file(f"{self._folder}/.lock", flags, 0o600)
        if platform.try_lock(file):
            return file
        platform.close(file)
        return None

    def is_own(self) -> bool:
        """Tell whether only this user can write entries: an entry decides where a token is sent."""
        status = os.stat(self._folder)
        return status[4] == platform.effective_user() and status[0] & _WRITABLE_BY_OTHERS == 0

    def try_out(self) -> None:
        """Check that a release could be written now. OSError if not."""
        self._prepare(self._folder)
        path = f"{self._folder}/.trial-{platform.process_id()}"
        flags = platform.O_WRONLY | platform.O_CREAT | platform.O_CLOEXEC
        file = platform.open_file(path, flags, 0o600)
        try:
            write_all(file, b"?")
        finally:
            platform.close(file)
            os.unlink(path)

    def _prepare(self, folder: str) -> None:
        if _is_there(folder):
            return
        make_folders(self._state, _STATE_MODE)
        make_folder(self._folder, _FOLDER_MODE)
        if folder != self._folder:
            make_folder(folder, _FOLDER_MODE)


def request_of(entry: bytes) -> bytes:
    """Give the lasting part of an entry's request. ValueError if there is none.

    The text before it cannot be inside a JSON string, where its quotes would be escaped.
    """
    at = entry.find(_REQUEST)
    if at < 0 or not entry.endswith(b"}}"):
        raise ValueError("no request")
    return entry[at + len(_REQUEST) : -1]


def _is_entry(name: str) -> bool:
    return name.endswith(_ENDING) and not name.startswith(".")


def _is_there(path: str) -> bool:
    try:
        os.stat(path)
    except OSError as error:
        if error.errno != _ENOENT:
            raise
        return False
    return True


def _dated(refusal: bytes, wall: int) -> bytes:
    return rfc3339(wall).encode() + b" " + refusal + b"\n"
