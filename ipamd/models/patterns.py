"""Patterns that people write for names: a name, or a beginning followed by `*`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ANY_ENDING: Final = "*"
"""At the end of a pattern: any text, or none."""


def beginning_of(pattern: str) -> str | None:
    """The beginning that a pattern matches, None if it is a name."""
    return pattern[: -len(ANY_ENDING)] if pattern.endswith(ANY_ENDING) else None


def covers(pattern: str, text: str) -> bool:
    """Whether a pattern matches a name, or all that another pattern matches."""
    beginning = beginning_of(pattern)
    return pattern == text if beginning is None else text.startswith(beginning)


def widest(patterns: Sequence[str]) -> tuple[str, ...]:
    """Patterns without those that another one covers: no two match the same name."""
    every = dict.fromkeys(patterns)
    return tuple(one for one in every if not any(other != one and covers(other, one) for other in every))


def cluster_allowed(clusters: tuple[str, ...], cluster: str) -> bool:
    """Whether a cluster is among those given; all are if none is."""
    return not clusters or cluster in clusters
