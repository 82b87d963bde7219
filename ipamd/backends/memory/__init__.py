"""Allocations in memory, with the constraints and the undoing of a database."""
