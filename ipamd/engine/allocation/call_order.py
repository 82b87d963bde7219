"""The order of one node's calls: which of two was issued later, and what follows from it.

Networks, proxies and spools reorder calls, and a plugin whose parent was killed lives on. The rules stand
here alone; docs/issued.md tells them with examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ipamd.backends.interface import RememberedRelease, Repeated
from ipamd.models.allocation import Allocation, NetworkNamespace
from ipamd.models.instant import AHEAD, Instant
from ipamd.models.issued import CallOrder, Issued

UNNAMED: Final = 0
"""The boot of calls that name none. Their order is that of the service's clock."""


def order_among(boots: Mapping[str, int], issued: Issued, delivered: Issued | None = None) -> CallOrder:
    """The order of a call among those of its node, whose boots have these numbers.

    A call out of a spool names the boot in which it is delivered too. It counts as before that boot.
    """
    number = boots[issued.boot]
    if delivered is not None and delivered.boot != issued.boot:
        number = min(number, boots[delivered.boot] - 1)
    return CallOrder(number, issued.uptime_ns)


def order_on_arrival(now: Instant, passed: Instant, latest: tuple[CallOrder, Instant] | None) -> CallOrder:
    """The order of a call that does not say when it was issued: as it arrives.

    `latest` is the latest call that said so, and how much time had passed when it was heard. By it the node's
    clock is known, so that the call is later than those before it, whatever the service's clock was set to.
    Without it the call is before every boot: any release that names its moment is later.
    """
    if latest is None:
        return CallOrder(UNNAMED, now * 1000)
    (boot, uptime_ns), heard = latest
    return CallOrder(boot, uptime_ns + (passed - heard) * 1000)


def overtaken(ask: CallOrder, releases: Iterable[RememberedRelease], now: Instant) -> bool:
    """Whether an ADD comes too late: a DEL issued after it, or the undo of this very ADD, was carried out.

    A DEL that arrived while the service's clock was ahead was not after an ADD that arrives now.
    """
    return any(
        ask == release.order if release.undo else ask < release.order
        for release in releases
        if release.order.boot != UNNAMED or release.order.uptime_ns <= (now + AHEAD) * 1000
    )


def frees(release: CallOrder | None, undo: bool, row: Allocation) -> bool:
    """Whether a release ends a holding.

    A DEL frees what was last issued before it; one without an order was issued as it arrived, later than
    everything. An undo frees what its own ADD took, unless another call was told of it since.
    """
    if release is None:
        return True
    if undo:
        return row.taken == release and row.generation == 1
    return row.repeated < release


def repeat(row: Allocation, ask: CallOrder, boot: str | None, netns: NetworkNamespace | None) -> Repeated:
    """What becomes of a row whose ADD came again, from a container in this boot and namespace.

    The same ADD tried again tells nobody new, so it does not count; another one does. The container lives
    where the last one says: a runtime may start it again under its ID without a DEL.
    """
    generation = row.generation if ask == row.taken else row.generation + 1
    if ask <= row.repeated:
        return Repeated(row.stored_id, generation, row.repeated, row.boot, row.netns)
    return Repeated(row.stored_id, generation, ask, boot, netns)
