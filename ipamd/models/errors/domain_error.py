"""What all errors of the domain are."""

from __future__ import annotations

from typing import ClassVar


class DomainError(Exception):
    """Why a request changes nothing. `str()` is a sentence that says what is wrong and what to do.

    `code` never changes: programs compare it, people search for it.
    """

    code: ClassVar[str]
