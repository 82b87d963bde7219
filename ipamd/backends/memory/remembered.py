"""What is remembered in memory of what ended: releases, and the addresses of sticky pools."""

from __future__ import annotations

from dataclasses import replace

from ipamd.backends.interface import RememberedRelease
from ipamd.backends.memory.journal import Journal
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.instant import Instant


class Releases:
    """Releases to remember: the last of each holder, and each undo."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[Digest, tuple[RememberedRelease, ...]] = {}

    def remember(self, release: RememberedRelease) -> None:
        """Keep a release in place of those that it makes superfluous."""
        known = self.rows.get(release.digest, ())
        rivals = [other for other in known if _same_memory(other, release)]
        if any((other.order, other.until) >= (release.order, release.until) for other in rivals):
            return
        kept = tuple(other for other in known if other not in rivals)
        self.journal.put(self.rows, release.digest, (*kept, release))

    def forget(self, before: Instant) -> None:
        """Drop those whose time is over."""
        for digest, known in list(self.rows.items()):
            kept = tuple(release for release in known if release.until > before)
            if kept:
                self.rows[digest] = kept
            else:
                del self.rows[digest]

    def after(self, moment: Instant) -> int:
        """How many are kept beyond a moment."""
        return sum(release.until > moment for known in self.rows.values() for release in known)

    def shorten(self, until: Instant) -> int:
        """Keep none beyond a moment; how many were."""
        count = self.after(until)
        for digest, known in self.rows.items():
            self.rows[digest] = tuple(replace(one, until=min(one.until, until)) for one in known)
        return count


def _same_memory(one: RememberedRelease, other: RememberedRelease) -> bool:
    if one.undo or other.undo:
        return one.undo == other.undo and one.order == other.order
    return True


class FormerAddresses:
    """The addresses that workloads had in sticky pools."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.rows: dict[Digest, dict[int, FormerAddress]] = {}

    def of(self, workload: Digest) -> list[FormerAddress]:
        """What a workload had."""
        return list(self.rows.get(workload, {}).values())

    def write(self, one: FormerAddress) -> None:
        """Keep the address of whoever began last."""
        known = self.rows.get(one.workload, {})
        if one.position not in known or one.is_kept_over(known[one.position]):
            self.journal.put(self.rows, one.workload, {**known, one.position: one})

    def forget(self, before: Instant) -> None:
        """Drop those that need not be remembered after an instant."""
        for workload, known in list(self.rows.items()):
            kept = {position: one for position, one in known.items() if one.until > before}
            if kept:
                self.rows[workload] = kept
            else:
                del self.rows[workload]
