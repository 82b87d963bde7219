"""How full a pool is, as JSON."""

from __future__ import annotations

from typing_extensions import TypedDict

from ipamd.engine.inspection.usage import Usage


class ShownUsage(TypedDict):
    """Addresses of a pool. `size` is the sum of the others, but for the last three.

    `leased` are those that nodes hold in advance, `held` those left of holds. `reserved` are those kept for a
    holder that does not have them now; `excluded` those that no holder may have; `cooling` those given back
    so lately that they are not handed out again yet. `prefixes` says how many prefixes are held, by length;
    their addresses are among the allocated ones. Of these, `away` are those that owners have and nobody
    holds. `waiting` are no addresses, but the allocations that wait for one.
    """

    size: int
    allocated: int
    leased: int
    held: int
    cooling: int
    reserved: int
    excluded: int
    free: int
    prefixes: dict[int, int]
    away: int
    waiting: int


def usage_document(usage: Usage, away: int, waiting: int) -> ShownUsage:
    """The use of a pool as it is shown."""
    return {
        "size": usage.size,
        "allocated": usage.allocated,
        "leased": usage.leased,
        "held": usage.held,
        "cooling": usage.cooling,
        "reserved": usage.reserved,
        "excluded": usage.excluded,
        "free": usage.free,
        "prefixes": usage.prefixes,
        "away": away,
        "waiting": waiting,
    }
