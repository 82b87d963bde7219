"""The agent's conversation with ipamd about what lives here, on the wire."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from node_agent.node import Node
from node_agent.relay.own_calls import OwnCalls, decoded, sentence_of
from node_agent.relay.upstream import Refused, Response
from node_agent.watching.dead import Held
from node_agent.watching.looking import Seen

_PATH: Final = "/v1/census"
_SECONDS: Final = 10.0
_AT_ONCE: Final = 1000
MOST_DEAD: Final = 5000
MOST_LIVING: Final = 2000
"""So many are named at once; the rest follows when these are free, or known."""


class Unknown(Refused):
    """ipamd takes no census: it is of an earlier version."""


class Rows(Struct, frozen=True):
    """A part of what the node's containers hold."""

    timeline: str
    rows: list[Held]
    more: bool


class ConflictTold(Struct, frozen=True):
    """An interface that lives, and whose address is another's at ipamd."""

    container_id: str
    address: str
    why: str


class Told(NamedTuple):
    """What the node's containers hold, by id, as ipamd knows it in a timeline."""

    timeline: str
    rows: list[Held]


class Speaker(NamedTuple):
    """Who speaks for the node: this machine in this boot."""

    machine: str
    boot: str


class Known(NamedTuple):
    """What the node was told: the highest id of an allocation in a timeline, and what ipamd signed of it."""

    timeline: str
    told: int
    receipt: str | None


class Answer(Struct, frozen=True):
    """What became of a census."""

    freed: int
    gone: list[int]
    changed: list[int]
    waiting: int
    adopted: int = 0
    conflicts: list[ConflictTold] = []
    receipt: str | None = None
    is_anew: bool = False


_ROWS: Final = msgspec.json.Decoder(Rows)
_ANSWER: Final = msgspec.json.Decoder(Answer)


class CensusCalls:
    """What the agent asks ipamd about what lives here, and tells it. All methods raise Silent and Refused."""

    def __init__(self, node: Node, calls: OwnCalls) -> None:
        self._node = node
        self._calls = calls

    async def held_after(self, last: int, timeline: str | None) -> Told:
        """What the node's containers hold, by id, after this row; all if the timeline is another."""
        found: list[Held] = []
        more = True
        while more:
            after = found[-1].id if found else last
            query = {
                "cluster": self._node.cluster,
                "node": self._node.name,
                "after": after,
                "limit": _AT_ONCE,
            }
            answer = await self._ask("GET", f"{_PATH}?{urlencode(query)}", b"")
            part = decoded(_ROWS, answer)
            if part.timeline != timeline and after:
                found, last, timeline = [], 0, part.timeline
                continue
            timeline = part.timeline
            found += part.rows
            more = part.more and bool(part.rows)
        return Told(timeline or "", found)

    async def say(self, speaker: Speaker, uptime_ns: int, known: Known, seen: Seen) -> Answer:
        """Say which of the node's allocations are dead, and what lives, by a look begun at this uptime."""
        document: dict[str, Any] = {
            "cluster": self._node.cluster,
            "node": self._node.name,
            "machine": speaker.machine,
            "issued": {"boot": speaker.boot, "uptime_ns": uptime_ns},
            "timeline": known.timeline,
            "told": known.told,
            "receipt": known.receipt,
            "is_whole": seen.unseen is None and len(seen.living) <= MOST_LIVING,
            "dead": [
                {"id": row.id, "generation": row.generation, "taken": row.taken}
                for row in seen.dead[:MOST_DEAD]
            ],
            "living": seen.living[:MOST_LIVING],
        }
        answer = await self._ask("POST", _PATH, msgspec.json.encode(document))
        return decoded(_ANSWER, answer)

    async def _ask(self, method: str, path: str, body: bytes) -> Response:
        answer = await self._calls.ask(method, path, body, _SECONDS)
        if answer.status == HTTPStatus.OK:
            return answer
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            raise Unknown("this ipamd takes no census: update it")
        after = answer.headers.get("retry-after", "")
        raise Refused(sentence_of(answer), float(after) if after.isdigit() else None)
