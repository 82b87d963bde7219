"""The order of one node's calls: which of two was issued later, and what follows from it.

Networks, proxies and spools reorder calls, and a plugin whose parent was killed lives on. The rules stand
here alone; docs/issued.md tells them with examples.
"""

from __future__ import annotations

from collections.abc import Iterable

from ipamd.backends.interface import RememberedRelease
from ipamd.models.allocation import Allocation
from ipamd.models.issued import CallOrder


def overtaken(ask: CallOrder, releases: Iterable[RememberedRelease]) -> bool:
    """Whether an ADD comes too late: a DEL issued after it, or the undo of this very ADD, was carried out."""
    return any(ask == release.order if release.undo else ask < release.order for release in releases)


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


def repeat(row: Allocation, ask: CallOrder) -> tuple[int, CallOrder]:
    """Generation and latest order of a row whose ADD came again.

    The same ADD tried again tells nobody new, so it does not count; another one does.
    """
    generation = row.generation if ask == row.taken else row.generation + 1
    return generation, max(row.repeated, ask)
