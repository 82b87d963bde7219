"""Why a process cannot listen where it was told to."""

from __future__ import annotations


class SocketUnusable(Exception):
    """A socket that cannot be meant: its path, or what systemd hands over. `str()` says what to do."""


class SocketInUse(Exception):
    """Another process listens on the path. `str()` says what to do."""
