"""The addresses that workloads had in sticky pools."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import NOW, write
from ipamd.backends.interface import Backend, Changes
from ipamd.models.former_address import FormerAddress
from ipamd.models.identity import Digest
from ipamd.models.instant import AHEAD

pytestmark = pytest.mark.asyncio

WEB: Final = bytes(15) + b"w"
OTHER: Final = bytes(15) + b"o"
FIRST: Final = FormerAddress(WEB, 0, "pods", ip_address("10.0.0.1"), NOW - 9, NOW, NOW + 60)
SECOND: Final = FormerAddress(WEB, 1, "six", ip_address("fd00::1"), NOW - 9, NOW, NOW + 60)
OTHERS: Final = FormerAddress(OTHER, 0, "pods", ip_address("10.0.0.2"), NOW - 9, NOW, NOW + 90)


async def had(backend: Backend, *workloads: Digest) -> set[FormerAddress]:
    found = await backend.transact(lambda transaction: transaction.former(workloads))
    return {one for former in found.values() for one in former}


async def test_each_workload_had_what_was_written_of_it(backend: Backend) -> None:
    await write(backend, Changes(former=[FIRST, OTHERS, SECOND]))

    assert await had(backend, WEB) == {FIRST, SECOND}
    assert await had(backend, WEB, OTHER) == {FIRST, SECOND, OTHERS}
    assert not await had(backend, bytes(16))


async def test_what_the_latest_holder_had_is_kept(backend: Backend) -> None:
    older = structs.replace(FIRST, address=ip_address("10.0.0.8"), since=NOW - 20, freed=NOW + 5)
    newer = structs.replace(FIRST, address=ip_address("10.0.0.9"), since=NOW - 5, freed=NOW + 6)
    await write(backend, Changes(former=[FIRST]))

    await write(backend, Changes(former=[older]))
    assert await had(backend, WEB) == {FIRST}
    await write(backend, Changes(former=[newer]))
    assert await had(backend, WEB) == {newer}


async def test_what_began_ahead_of_the_present_gives_way(backend: Backend) -> None:
    """Else a workload whose address was noted by a clock that was ahead would have none again for years."""
    ahead = structs.replace(FIRST, since=NOW + AHEAD + 2, freed=NOW + 10 * AHEAD)
    soon = structs.replace(FIRST, address=ip_address("10.0.0.8"), since=NOW, freed=NOW + 1)
    right = structs.replace(soon, freed=NOW + 2)
    for one, kept in ((ahead, ahead), (right, ahead), (soon, soon)):
        await write(backend, Changes(former=[one]))
        assert await had(backend, WEB) == {kept}


async def test_what_a_holder_had_again_is_kept_with_its_latest_end(backend: Backend) -> None:
    again = structs.replace(FIRST, freed=NOW + 7, until=NOW + 67)
    await write(backend, Changes(former=[FIRST]))

    await write(backend, Changes(former=[again]))

    assert await had(backend, WEB) == {again}


async def test_what_is_old_is_forgotten(backend: Backend) -> None:
    await write(backend, Changes(former=[FIRST, OTHERS]))

    while await backend.forget_former(NOW + 60):
        pass

    assert await had(backend, WEB, OTHER) == {OTHERS}
