"""The known name that a misspelt one probably means."""

from __future__ import annotations


def nearest(name: str, known: list[str]) -> str:
    """Give the known name with the fewest letters to change, the first of several; "" without any."""
    best, least = "", 0
    for one in known:
        changes = _changes(name.lower(), one.lower())
        if not best or changes < least:
            best, least = one, changes
    return best


def _changes(one: str, other: str) -> int:
    """Count the letters to insert, take away or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one):
        before = row
        row = [number + 1]
        for at, against in enumerate(other):
            row.append(min(row[at] + 1, before[at + 1] + 1, before[at] + (letter != against)))
    return row[-1]
