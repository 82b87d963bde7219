"""Why a process cannot listen on a socket."""

from __future__ import annotations


class SocketUnusable(Exception):
    """A path or a socket from systemd is unusable. `str()` says what to do."""


class SocketInUse(Exception):
    """Another process listens on the path. `str()` says what to do."""
