"""Who acts: the principal of the request that is being served, for the change log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

ITSELF: Final = "ipamd"
"""What ipamd does of its own accord."""

LOOPBACK: Final = "loopback"
"""Whoever asks while ipamd has no tokens: it then serves this machine alone."""

_ACTING: Final[ContextVar[str]] = ContextVar("acting", default=ITSELF)


def who_acts() -> str:
    """The name of who acts."""
    return _ACTING.get()


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Serve a request in the name of its principal."""
    token = _ACTING.set(name)
    try:
        yield
    finally:
        _ACTING.reset(token)
