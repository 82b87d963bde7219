"""Samples of use: the sums over the blocks of every pool, once for each hour, whoever samples."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_network
from typing import Final

import pytest

from ipamd.backends.conformance.examples import NOW, PLAIN, block, carve, remove, save
from ipamd.backends.interface import Backend
from ipamd.models.instant import LATEST
from ipamd.models.sample import HOUR, UsageSample, hour_of

pytestmark = pytest.mark.asyncio

FIRST: Final = hour_of(NOW)
OTHER: Final = replace(PLAIN, name="other", subnet=ip_network("10.1.0.0/16"))


async def samples(backend: Backend, pool: str = "pods") -> list[tuple[int, int]]:
    """The samples of a pool, the hours counted from the first."""
    found = await backend.ledger.samples(pool, 0, LATEST, 10_000)
    assert all(isinstance(each, UsageSample) for each in found)
    return [((each.at - FIRST) // HOUR, each.allocated) for each in found]


async def test_a_sample_has_the_sum_over_the_blocks_of_each_pool(backend: Backend) -> None:
    await save(backend, PLAIN, OTHER)
    await carve(backend, block(0, allocated=3), block(64, allocated=64), block(128))

    await backend.sample_usage(FIRST)

    assert await samples(backend) == [(0, 67)]
    assert await samples(backend, "other") == [(0, 0)]
    assert await samples(backend, "no such") == []


async def test_an_hour_is_sampled_once_whoever_comes(backend: Backend, replica: Backend) -> None:
    await save(backend, PLAIN)
    await carve(backend, block(0, allocated=3))
    await backend.sample_usage(FIRST)
    await carve(backend, block(64, allocated=5))

    await replica.sample_usage(FIRST)
    both = (each.sample_usage(FIRST + HOUR) for each in (backend, replica) * 4)
    await asyncio.gather(*both)

    assert await samples(backend) == await samples(replica) == [(0, 3), (1, 8)]


async def test_samples_are_read_between_two_moments_oldest_first(backend: Backend) -> None:
    await save(backend, PLAIN)
    for hour in (2, 0, 1, 3):
        await backend.sample_usage(FIRST + hour * HOUR)

    async def hours(begin: int, end: int, limit: int = 9) -> list[int]:
        found = await backend.ledger.samples("pods", FIRST + begin, FIRST + end, limit)
        return [(each.at - FIRST) // HOUR for each in found]

    assert await hours(0, 4 * HOUR) == [0, 1, 2, 3]
    assert await hours(1, 3 * HOUR) == [1, 2]
    assert await hours(0, 4 * HOUR, limit=2) == [0, 1]


async def test_old_samples_are_dropped_and_nothing_else(backend: Backend) -> None:
    await save(backend, PLAIN, OTHER)
    for hour in range(4):
        await backend.sample_usage(FIRST + hour * HOUR)

    while await backend.forget_samples(FIRST + HOUR):
        pass

    assert await samples(backend) == await samples(backend, "other") == [(2, 0), (3, 0)]


async def test_a_pool_goes_with_its_samples(backend: Backend) -> None:
    await save(backend, PLAIN, OTHER)
    await backend.sample_usage(FIRST)

    await remove(backend, PLAIN)

    assert await samples(backend) == []
    assert await samples(backend, "other") == [(0, 0)]
