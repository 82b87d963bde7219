"""Gives containers that live, and are not in the tables, the addresses that they use: after a restore."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from ipamd.engine.allocation.adoption import Adopted, Adoption, AdoptionOutcome, Attachment
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.catalogue_cache import CatalogueCache
from ipamd.models.census import Conflict

log = structlog.get_logger()


class Living:
    """Adopts what nodes say lives on them."""

    def __init__(self, adoption: Adoption, cache: CatalogueCache) -> None:
        self._adoption = adoption
        self._cache = cache

    async def adopt(self, living: Sequence[Attachment]) -> tuple[int, tuple[Conflict, ...]]:
        """Adopt what is free. Returns how many were, and those that use what is not theirs.

        Raises Unavailable: the next report goes on.
        """
        by_space: dict[str, list[Attachment]] = {}
        conflicts = []
        catalogue = await self._cache.refresh() if living else self._cache.catalogue
        for attachment in living:
            spaces = spaces_of(attachment, catalogue)
            if len(spaces) == 1:
                by_space.setdefault(spaces.pop(), []).append(attachment)
            elif spaces:
                why = f"pools of the spaces {' and '.join(sorted(spaces))} have it: import it by hand"
                conflicts.append(_conflict(attachment, why))
        adopted = 0
        for space, attachments in by_space.items():
            for done in await self._adoption.adopt(attachments, space, None, dry_run=False):
                adopted += done.standing is AdoptionOutcome.TAKEN
                if done.standing is AdoptionOutcome.TAKEN:
                    _tell(done)
                elif is_conflict(done):
                    conflicts.append(_conflict(done.attachment, done.why or ""))
        return adopted, tuple(conflicts)


def spaces_of(attachment: Attachment, catalogue: Catalogue) -> set[str]:
    """The address spaces that have a pool with its first address."""
    first = attachment.addresses[0]
    return {
        pool.space
        for pool in catalogue.pools.values()
        if pool.subnet.version == first.version and first in pool.subnet
    }


def is_conflict(adopted: Adopted) -> bool:
    """Whether somebody else has the address, or may get a part of the prefix.

    A free seat of a lease is to be this container's soon.
    """
    if adopted.standing is AdoptionOutcome.REFUSED and adopted.attachment.prefix is not None:
        return True
    if adopted.standing is not AdoptionOutcome.CONFLICT:
        return False
    return adopted.rival is None or adopted.rival.seat is None


def _conflict(attachment: Attachment, why: str) -> Conflict:
    identity = attachment.identity
    address = str(attachment.addresses[0])
    return Conflict(identity.network, identity.container_id, identity.ifname, address, why)


def _tell(adopted: Adopted) -> None:
    identity, outside = adopted.attachment.identity, set(map(str, adopted.outside))
    log.warning(
        "census",
        outcome="adopted",
        node=identity.node,
        container_id=identity.container_id,
        ifname=identity.ifname,
        addresses=[each for each in adopted.attachment.used if each not in outside],
    )
