"""What the check says of the live rows of one address of an owner."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from ipamd.engine.inspection.owners_apart import contradictions
from ipamd.models.allocation import NEVER_CAME, Allocation, Workload
from ipamd.models.identity import Owner, digest_of, owner_in
from tests.rules.values import NOW, held, table

ADDRESS = "10.0.0.7"
TEAM = Workload("team", "pod")


def owned(away: int | None, name: str = "vm", namespace: str = "team") -> Allocation:
    holder = owner_in("default", namespace, name)
    return held(
        ADDRESS, holder=holder, digest=holder.digest, workload=Workload(namespace, None), away_since=away
    )


def holding(slot: int = 1, name: str = "vm", workload: Workload = TEAM) -> Allocation:
    return structs.replace(held(ADDRESS), slot=slot, held_for=name, workload=workload)


MACHINE = Owner("machine", digest_of("machine"))


@table(
    "rows, kinds",
    {
        "an owner with two holders is right": ([owned(None), holding(1), holding(2)], []),
        "an owner that is away is right": ([owned(NOW)], []),
        "one whom nobody has held yet is right": ([owned(NEVER_CAME)], []),
        "a holder without its owner": ([holding()], ["holder-without-owner"]),
        "two of them": ([holding(1), holding(2)], ["holder-without-owner"] * 2),
        "a holder of an address that another kind of owner has": (
            [held(ADDRESS, holder=MACHINE, digest=MACHINE.digest), holding()],
            ["holder-without-owner"],
        ),
        "a holder for another owner": ([owned(None, "other"), holding()], ["holder-without-owner"]),
        "a holder for an owner of another namespace": (
            [owned(None, namespace="other"), holding()],
            ["holder-without-owner"],
        ),
        "an owner that is away and held": ([owned(NOW), holding()], ["owner-holders"]),
        "an owner that is neither": ([owned(None)], ["owner-holders"]),
        "a container's own address is right": ([held(ADDRESS)], []),
    },
)
def test_what_is_wrong(rows: Sequence[Allocation], kinds: Sequence[str]) -> None:
    found = list(contradictions(rows))

    assert [each.kind for each in found] == kinds
    assert all(ADDRESS in each.what and not each.repairable for each in found)
