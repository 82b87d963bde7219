"""The known word that is most like a misspelt one."""

from __future__ import annotations

_LONGEST = 64
_NEAR = 0.55  # the share of letters in common, in their order: `exclude` is as near as this to `exclusions`


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Give the nearest known word, "" if none is near."""
    best, best_likeness = "", _NEAR
    if len(word) <= _LONGEST:
        folded = _folded(word)
        for name in known:
            likeness = _likeness(folded, _folded(name))
            if likeness > best_likeness:
                best, best_likeness = name, likeness
    return best


def _folded(word: str) -> str:
    """`state_dir`, `stateDir` and `state-dir` are one word."""
    return "".join([c for c in word.lower() if c not in "-_."])


def _likeness(one: str, other: str) -> float:
    """Give twice the length of the longest common subsequence over that of both words."""
    before = [0] * (len(other) + 1)
    for letter in one:
        row = [0]
        for at, c in enumerate(other):
            row.append(before[at] + 1 if c == letter else max(before[at + 1], row[at]))
        before = row
    return 2 * before[-1] / (len(one) + len(other) or 1)
