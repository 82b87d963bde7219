"""What `from __future__ import annotations` finds in MicroPython, which never evaluates annotations."""

annotations = True
