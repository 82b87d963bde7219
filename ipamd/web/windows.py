"""How many windows may be live at once: each costs a view every few seconds for as long as it is open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MOST: Final = 200
MOST_OF_ONE: Final = 12
"""A browser has six connections to one host, if it speaks HTTP/1.1."""


class NoRoom(Exception):
    """As many windows are live as may be. `str()` says so to whoever opened one more."""


class Windows:
    """The windows that are live, by who looks."""

    def __init__(self) -> None:
        self._of: Counter[str] = Counter()

    @contextmanager
    def one_of(self, who: str) -> Iterator[None]:
        """One window, for as long as it is live. Raises NoRoom."""
        if self._of[who] >= MOST_OF_ONE:
            raise NoRoom(f"{MOST_OF_ONE} windows of yours are live already: pause or close one of them")
        if self._of.total() >= MOST:
            raise NoRoom(f"{MOST} windows are live already, as many as ipamd serves at once")
        self._of[who] += 1
        try:
            yield
        finally:
            self._of[who] -= 1
            if not self._of[who]:
                del self._of[who]
