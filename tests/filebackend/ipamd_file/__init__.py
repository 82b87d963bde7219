"""Allocations in a folder: all of them in memory, and each unit of work a line of a journal.

A backend of a package of its own, which knows of ipamd only its values and the interface. It is written to be
read (docs/backends.md): a search looks at every block of a pool, a page at every allocation.
"""

from ipamd_file.backend import open_file

__all__ = ["open_file"]
