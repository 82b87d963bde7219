"""Arithmetic of prefixes, blocks and what may be handed out. Pure: no I/O, no clock."""
