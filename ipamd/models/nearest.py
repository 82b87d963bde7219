"""A word that is not known: the sentence that refuses it and offers the nearest one that is known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Final

LONGEST_WORD: Final = 64
"""Characters of an unknown word that are compared and quoted: comparing takes time by the square of them."""

MOST_KNOWN_LISTED: Final = 24
_NEAR: Final = 0.55
"""The share of letters that two words have in common: `exclude` is as near as this to `exclusions`."""


def unknown(kind: str, word: str, known: Iterable[str]) -> str:
    """A sentence on a word of this kind (a field, a key) that is not known.

    It reads "unknown field `exclude`; did you mean `exclusions`?". If no known word is near, it lists all
    of them. It quotes foreign text: escape it when it is shown.
    """
    names = list(known)
    quoted = word if len(word) <= LONGEST_WORD else f"{word[:LONGEST_WORD]}..."
    near = nearest(word, names)
    if near is not None:
        return f"unknown {kind} `{quoted}`; did you mean `{near}`?"
    if 0 < len(names) <= MOST_KNOWN_LISTED:
        return f"unknown {kind} `{quoted}`; known: {', '.join(names)}"
    return f"unknown {kind} `{quoted}`"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is most like this one, None if none is near."""
    if len(word) > LONGEST_WORD:
        return None
    folded = _folded(word)
    best, best_likeness = None, _NEAR
    for name in known:
        likeness = SequenceMatcher(None, folded, _folded(name), autojunk=False).ratio()
        if likeness > best_likeness:
            best, best_likeness = name, likeness
    return best


def _folded(word: str) -> str:
    """`block-size`, `blockSize` and `block_size` are one word."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())
