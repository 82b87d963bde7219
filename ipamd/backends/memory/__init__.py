"""Allocations in memory, with the constraints and the undoing of a database."""

from ipamd.backends.memory.backend import MemoryBackend, open_memory

__all__ = ["MemoryBackend", "open_memory"]
