"""What an engine has told, as a value that two engines can be compared by."""

from __future__ import annotations

from collections.abc import Coroutine
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

from ipamd.models.address import IPAddress
from ipamd.models.allocation import Allocation
from ipamd.models.errors import DomainError
from ipamd.models.hold import Hold, HoldUse
from ipamd.models.identity import Identity
from ipamd.models.outcome import Granted, Outcome, Refused, Released
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from tests.properties.history.values import Answer, Had


async def told(work: Coroutine[Any, Any, Any]) -> Answer:
    """What an engine answered, as a value that two engines can be compared by."""
    try:
        answer: Outcome | Any = await work
    except DomainError as refusal:
        return "refused", refusal.code
    match answer:
        case Granted(grants, repeated):
            return "granted", [had_of(grant.address, grant.prefix_length) for grant in grants], repeated
        case Released(addresses):
            return "released", set(addresses)
        case Refused(error):
            return "refused", error.code
        case Pool():
            return "pool", answer
        case Reservation():
            return "reservation", answer.id
        case [IPv4Address() | IPv6Address(), *_]:
            return "addresses", set(answer)
        case Quota():
            return "quota", answer.name, answer.limit, answer.counting
        case HoldUse(left, taken):
            return "use", left, taken
        case Hold():
            return "hold", answer.name, answer.state
        case list() | tuple():
            return "rows", {(name_of(row), had_of(row.address, row.prefix_length)) for row in answer}
        case _:
            return "value", answer


def had_of(address: IPAddress, prefix_length: int | None) -> Had:
    return address if prefix_length is None else ip_network((address, prefix_length))


def name_of(row: Allocation) -> str:
    return row.holder.container_id if isinstance(row.holder, Identity) else row.holder.name
