"""The preference `wait` of an allocation (RFC 7240, section 4.3): how long it may wait for room."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Header, Request

from ipamd.api.problems import Problem
from ipamd.engine.allocation.waiting import MakeRequest, Waited
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.errors import DomainError
from ipamd.models.limits import LONGEST_WAIT
from ipamd.models.outcome import Outcome

Prefer = Annotated[
    list[str] | None,
    Header(
        description=f"`wait=60`: if there is no room, wait so many seconds for it, {LONGEST_WAIT} at most, "
        "first come first served (RFC 7240). Other preferences are ignored."
    ),
]

_PREFERENCE: Final = re.compile(r'\s*([^\s=;,"]+)\s*(?:=\s*("[^"]*"|[^\s;,"]*)\s*)?(?:;[^,]*)?')


class Wait:
    """How long a request may wait, and how long it did. Without `seconds` it was not asked to wait."""

    def __init__(self, seconds: int | None = None, request: Request | None = None) -> None:
        self._seconds = seconds
        self._request = request
        self._waited: Waited | None = None

    @classmethod
    def of(cls, prefer: Sequence[str] | None, request: Request) -> Wait:
        """What the headers `Prefer` ask for. Raises a problem if that is no time that anybody may wait."""
        return cls(_seconds_of(prefer or ()), request)

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says of the preference."""
        return {} if self._seconds is None else {"Preference-Applied": f"wait={self._seconds}"}

    async def outcome(self, make: MakeRequest, engine: Engine, catalogue: Catalogue) -> Outcome:
        """What becomes of an allocation. Raises Unavailable, InDoubt."""
        if not self._seconds or self._request is None:
            return await engine.allocate(make(catalogue))
        gone = asyncio.create_task(_goes(self._request))
        try:
            self._waited = await engine.waiting.allocate(make, self._seconds, gone)
        finally:
            gone.cancel()
        return self._waited.outcome

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say in a refusal how long the request waited, and how many were still before it."""
        try:
            yield
        except DomainError as error:
            if self._seconds is None:
                raise
            raise self._problem(error) from error

    def _problem(self, error: DomainError) -> Problem:
        problem = Problem.from_domain(error)
        problem.headers = {**problem.headers, **self.headers}
        if self._waited is not None and self._waited.stood:
            seconds, ahead = round(self._waited.seconds, 1), self._waited.before
            problem.detail += f"; it waited {seconds:g} s, and {_wait(ahead)} before it"
            problem.members = {**problem.members, "waited_seconds": seconds, "waiting_before": ahead}
        return problem


NO_WAIT: Final = Wait()


def _seconds_of(headers: Sequence[str]) -> int | None:
    """The first preference `wait` (RFC 7240, section 2: the first one counts), None if there is none."""
    for name, value in _PREFERENCE.findall(",".join(headers)):
        if name.lower() == "wait":
            return _checked(value.strip('"'))
    return None


def _checked(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) <= LONGEST_WAIT):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "invalid",
            f"Prefer: wait is {text[:32]!r}: write a whole number of seconds, {LONGEST_WAIT} at most",
        )
    return int(text)


def _wait(number: int) -> str:
    return "nobody waits" if not number else f"{number} wait{'s' if number == 1 else ''}"


async def _goes(request: Request) -> None:
    """Return when the caller has closed its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
