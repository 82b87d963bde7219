"""How long a unit of work may still wait."""

from __future__ import annotations

import asyncio

from ipamd.backends.sql.postgres.connection import PostgresSession
from ipamd.backends.sql.postgres.unit import STATEMENT_SECONDS, milliseconds
from ipamd.models.errors import Unavailable


class Deadline:
    """A moment of the event loop's clock after which nothing is waited for any more."""

    def __init__(self, seconds: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._moment = self._clock() + seconds

    @property
    def left(self) -> float:
        """Seconds; raises Unavailable when none is left."""
        left = self._moment - self._clock()
        if left <= 0:
            raise Unavailable("others have locked what the call needs: try again")
        return left

    async def bound(self, session: PostgresSession) -> None:
        """Let the next statement wait for no lock beyond the moment."""
        locks = milliseconds(self.left)
        await session.say(
            f"SELECT set_config('lock_timeout', '{locks}', true), "
            f"set_config('statement_timeout', '{locks + milliseconds(STATEMENT_SECONDS)}', true)"
        )
