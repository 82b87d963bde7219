"""Finding what holders have, and writing what becomes of it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from msgspec import structs

from ipamd.backends.conformance.examples import (
    NOW,
    allocation,
    begin,
    end,
    find,
    release,
    write,
)
from ipamd.backends.interface import Backend, Changes, Ended, RememberedRelease, Repeated
from ipamd.models.allocation import Ending, Idempotency, NetworkNamespace, Workload
from ipamd.models.identity import Identity, Owner, digest_of
from ipamd.models.issued import CallOrder

pytestmark = pytest.mark.asyncio

C1 = digest_of("c1")


async def remembered(backend: Backend, digest: bytes = C1) -> set[RememberedRelease]:
    return set((await find(backend, digest)).releases[digest])


async def test_every_field_of_an_allocation_comes_back(backend: Backend) -> None:
    pod = allocation(
        "fd00::1:2",
        "c1",
        workload=Workload("shop", "web-0", "5a1c"),
        boot="f0e1",
        netns=NetworkNamespace(4, 4026532000),
        generation=3,
        taken=CallOrder(1 << 40, (1 << 62) + 1),
        repeated=CallOrder(1 << 41, 5),
    )
    machine = allocation(
        "10.0.0.2",
        holder=Owner("vm-1", digest_of("vm-1")),
        block=int(ip_address("10.0.0.2")),
        idempotency=Idempotency("token/key", b"\x00hash\xff"),
        begun_by="ann (token 7)",
    )

    await begin(backend, pod, machine)

    found = await find(backend, pod.digest, machine.digest)
    [first], [second] = found.held[pod.digest], found.held[machine.digest]
    assert structs.replace(first, id=None) == pod
    assert structs.replace(second, id=None) == machine


async def test_names_of_any_characters_come_back_as_they_were(backend: Backend) -> None:
    odd = Identity("default", "pods", "node-1", "c'1\"--\\;\u202e\U0001f4a5\n", "eth0")

    [stored] = await begin(backend, allocation(holder=odd, workload=Workload("%_", "' OR 1=1 --", "")))

    assert stored.holder == odd
    assert stored.workload == Workload("%_", "' OR 1=1 --", "")


async def test_find_answers_for_each_holder_by_position(backend: Backend) -> None:
    second, first = allocation("10.0.0.1", "c1", position=1), allocation("10.0.0.2", "c1", position=0)
    other = allocation("10.0.0.3", "c2")
    await begin(backend, second, first, other)
    nobody = digest_of("nobody")

    found = await find(backend, first.digest, nobody, other.digest)

    assert [row.address for row in found.held[first.digest]] == [first.address, second.address]
    assert [row.address for row in found.held[other.digest]] == [other.address]
    assert list(found.held[nobody]) == [] == list(found.releases[nobody])
    assert not found.busy


async def test_find_answers_for_thousands_of_holders_at_once(backend: Backend) -> None:
    rows = [allocation(str(ip_address("10.0.0.0") + number), f"c{number}") for number in range(1100)]
    await begin(backend, *rows)

    found = await find(backend, *(row.digest for row in rows))

    assert all(len(found.held[row.digest]) == 1 for row in rows)


async def test_what_has_ended_is_not_found(backend: Backend) -> None:
    [first, second] = await begin(backend, allocation(), allocation("10.0.0.2", position=1))

    await end(backend, first)

    found = await find(backend, first.digest)
    assert list(found.held[first.digest]) == [second]


@pytest.mark.parametrize(("boot", "netns"), [("b2", NetworkNamespace(4, 4026532999)), (None, None)])
async def test_a_repeat_is_written_on_the_row(
    backend: Backend, boot: str | None, netns: NetworkNamespace | None
) -> None:
    [stored, other] = await begin(backend, allocation(), allocation("10.0.0.2", "c2"))

    repeat = Repeated(stored.stored_id, 2, CallOrder(1, 20), boot, netns)
    await write(backend, Changes(repeated=[repeat]))

    found = await find(backend, stored.digest, other.digest)
    assert list(found.held[stored.digest]) == [
        structs.replace(stored, generation=2, repeated=CallOrder(1, 20), boot=boot, netns=netns)
    ]
    assert list(found.held[other.digest]) == [other]


@pytest.mark.parametrize("why", list(Ending))
async def test_why_a_holding_ended_is_kept(backend: Backend, why: Ending) -> None:
    [stored] = await begin(backend, allocation())
    number = stored.stored_id
    ended = structs.replace(stored, until=NOW + 5, ending=why)

    await write(backend, Changes(ended=[_ended(number, why)]))

    assert await backend.ledger.allocation(number) == ended


async def test_who_ended_a_holding_and_what_for_is_kept(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())
    number = stored.stored_id

    await write(
        backend, Changes(ended=[Ended(number, NOW + 5, Ending.ADMIN, by="ann (token 7)", reason="dead")])
    )

    ended = structs.replace(
        stored, until=NOW + 5, ending=Ending.ADMIN, ended_by="ann (token 7)", reason="dead"
    )
    assert await backend.ledger.allocation(number) == ended


def _ended(number: int, why: Ending) -> Ended:
    return Ended(number, NOW + 5, why)


async def test_a_release_is_remembered_also_of_a_holder_that_had_nothing(backend: Backend) -> None:
    await write(backend, Changes(remembered=[release(C1, 10)]))

    assert await remembered(backend) == {release(C1, 10)}


async def test_a_release_is_remembered_beside_what_it_ended(backend: Backend) -> None:
    [stored] = await begin(backend, allocation())

    await write(
        backend,
        Changes(ended=[_ended(stored.stored_id, Ending.RELEASED)], remembered=[release(stored.digest, 20)]),
    )

    assert await remembered(backend, stored.digest) == {release(stored.digest, 20)}


@pytest.mark.parametrize("first", [0, 1])
async def test_of_a_holders_releases_the_last_issued_is_remembered(backend: Backend, first: int) -> None:
    both = [release(C1, 10), release(C1, 20)]

    for one in (both[first], both[1 - first]):
        await write(backend, Changes(remembered=[one]))

    assert await remembered(backend) == {release(C1, 20)}


async def test_the_boot_counts_before_the_time_in_it(backend: Backend) -> None:
    later = RememberedRelease(C1, CallOrder(2, 1), False, NOW)

    for one in (later, release(C1, 1000)):
        await write(backend, Changes(remembered=[one]))

    assert await remembered(backend) == {later}


async def test_a_release_that_comes_again_is_remembered_for_longer(backend: Backend) -> None:
    for until in (NOW, NOW + 5, NOW + 2):
        await write(backend, Changes(remembered=[release(C1, 10, until=until)]))

    assert await remembered(backend) == {release(C1, 10, until=NOW + 5)}


@pytest.mark.parametrize("together", [True, False])
async def test_undos_are_remembered_each_apart_from_releases(backend: Backend, together: bool) -> None:
    undos = [release(C1, number, undo=True) for number in (10, 30)]
    all_of_them = [release(C1, 20), *undos]

    for group in [all_of_them] if together else [[one] for one in reversed(all_of_them)]:
        await write(backend, Changes(remembered=group))
    await write(backend, Changes(remembered=[undos[0]]))

    assert await remembered(backend) == set(all_of_them)


async def test_releases_of_many_holders_in_one_write_are_each_remembered(backend: Backend) -> None:
    digests = [digest_of(str(number)) for number in range(600)]

    await write(backend, Changes(remembered=[release(digest, 10) for digest in digests]))

    found = await find(backend, *digests)
    assert all(list(found.releases[digest]) == [release(digest, 10)] for digest in digests)


async def test_releases_are_forgotten_when_their_time_is_over_and_not_before(backend: Backend) -> None:
    digests = [digest_of(str(number)) for number in range(2500)]
    kept = [release(digests[0], 1, undo=True, until=NOW + 1), release(digests[1], 2, until=NOW + 9)]
    old = [release(digest, 1) for digest in digests]
    await write(backend, Changes(remembered=[*old, *kept]))

    await backend.forget_releases(NOW)

    found = await find(backend, *digests)
    assert [each for digest in digests for each in found.releases[digest]] == kept
