"""The agent's conversation with ipamd about its lease, on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct, structs

from node_agent.leasing.seating import Identity
from node_agent.relay.membership import Membership
from node_agent.relay.own_calls import OwnCalls, decoded, problem_of, sentence_of
from node_agent.relay.upstream import Refused, Response, Upstream

_SECONDS: Final = 10.0
_ASK: Final = "/v1/leases"
_REPORT: Final = "/v1/leases/report"
MOST_EVENTS: Final = 500
"""So many events are in one report."""
_UNACCEPTABLE: Final = (400, 413, 422)


class NotOurs(Refused):
    """Another machine, boot or store has the lease, at least for now."""


class Over(Refused):
    """The epoch of the lease is over: the store is closed, and the next asking names no epoch."""


class NotAdmitted(Refused):
    """ipamd does not know the node's token, or it is not this node's."""


class Unacceptable(Refused):
    """ipamd cannot read what it was told, and never will."""


class Gap(Refused):
    """A report does not begin with the event that ipamd wants."""

    def __init__(self, sentence: str, wanted: int) -> None:
        super().__init__(sentence)
        self.wanted = wanted


class Reporter(Struct, frozen=True):
    """Whose events are reported: a store as ipamd knows it."""

    cluster: str
    node: str
    boot: str
    store: str
    epoch: int


class SeatTold(Struct, frozen=True):
    """A new seat, or one whose answer has changed."""

    seat: int
    key: str
    result: Raw
    cools_ns: int = 0
    cooldown_ns: int = 0


class IssuedTold(Struct, frozen=True):
    """When the last ADD of a container was issued."""

    uptime_ns: int
    boot: str | None = None


class ContainerTold(Struct, frozen=True):
    """A container that ipamd has, or that it ended."""

    network: str
    container_id: str
    ifname: str
    issued: IssuedTold = IssuedTold(0)

    @property
    def identity(self) -> Identity:
        return Identity(self.network, self.container_id, self.ifname)


class Told(Struct, frozen=True):
    """What ipamd says of this node's lease."""

    epoch: int
    grant: int
    seconds: int
    reported: int = 0
    revision: int = 0
    seats: list[SeatTold] = []
    returned: list[int] = []
    recall: list[int] = []
    void: list[int] = []
    ended: list[ContainerTold] = []
    untaken: list[int] = []
    refused: dict[str, str] = {}
    identities: list[ContainerTold] | None = None


class Reported(Struct, frozen=True):
    """The number of the last event that ipamd has."""

    acknowledged: int


_TOLD: Final = msgspec.json.Decoder(Told)
_REPORTED: Final = msgspec.json.Decoder(Reported)


class LeaseCalls:
    """What the agent asks ipamd about the lease, and tells it. All methods raise Silent and Refused."""

    def __init__(self, upstream: Upstream, membership: Membership) -> None:
        self._calls = OwnCalls(upstream, membership)

    async def ask(self, document: dict[str, Any], wait: float) -> Told:
        """Say all that the node has, and hear all that is its. Raises NotOurs and Over."""
        body = msgspec.json.encode(document | {"wait": wait})
        answer = await self._post(_ASK, body, wait + _SECONDS)
        return decoded(_TOLD, answer)

    async def report(self, reporter: Reporter, first: int, events: Sequence[tuple[int, bytes]]) -> int:
        """Report events with their ages in nanoseconds, from number `first` on.

        Returns the number of the last one that ipamd has. Raises Gap and Over.
        """
        head = msgspec.json.encode({**structs.asdict(reporter), "first": first})
        aged = [b'{"age_ns":%d,' % max(0, age) + event[1:] for age, event in events]
        body = head[:-1] + b',"events":[' + b",".join(aged) + b"]}"
        answer = await self._post(_REPORT, body, _SECONDS)
        return decoded(_REPORTED, answer).acknowledged

    async def _post(self, path: str, body: bytes, seconds: float) -> Response:
        answer = await self._calls.ask("POST", path, body, seconds)
        if answer.status != HTTPStatus.OK:
            raise _refusal(answer)
        return answer


def _refusal(answer: Response) -> Refused:
    sentence, wanted = sentence_of(answer), problem_of(answer).get("wanted")
    if answer.status == HTTPStatus.GONE:
        return Over(sentence)
    if isinstance(wanted, int):
        return Gap(sentence, wanted)
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return NotAdmitted(sentence)
    if answer.status in _UNACCEPTABLE:
        return Unacceptable(sentence)
    return NotOurs(sentence) if answer.status == HTTPStatus.CONFLICT else Refused(sentence)
