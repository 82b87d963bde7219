"""A clock that was ahead once: addresses cool no longer than their cooldown from now."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from ipamd.backends.registry import open_backend
from ipamd.engine.engine import Engine
from ipamd.engine.setting_back import set_back
from ipamd.models.identity import Identity
from ipamd.models.instant import SECOND
from ipamd.models.outcome import Granted, Refused
from ipamd.models.pool import Pool
from ipamd.models.request import AllocationRequest, Release

pytestmark = pytest.mark.asyncio

NOW = 1_700_000_000 * SECOND
AHEAD = NOW + 3 * 365 * 86_400 * SECOND
POOL = Pool(name="p", subnet=ip_network("10.65.0.0/29"), block_length=29, cooldown=2)


class Now:
    moment = AHEAD

    def __call__(self) -> int:
        return self.moment


def ask(name: str) -> AllocationRequest:
    return AllocationRequest(holder=Identity("c", "pods", "n", name, "eth0"), pool_names=(("p",),))


async def all_taken_and_released(engine: Engine) -> None:
    for name in "abcdef":
        assert isinstance(await engine.submit(ask(name)), Granted)
    for name in "abcdef":
        await engine.submit(Release(digest=ask(name).digest))


async def kinds_found(engine: Engine, *, repair: bool) -> list[str]:
    portion = await engine.consistency.portion(None, None, repair=repair)
    return [finding.kind.value for finding in portion.findings]


@pytest.mark.parametrize("restarted", [True, False])
async def test_what_was_freed_under_a_clock_ahead_is_given_again_after_its_cooldown(
    scratch: Path, restarted: bool
) -> None:
    now, url = Now(), f"sqlite:///{scratch / 'x.sqlite'}"
    backend = await open_backend(url)
    engine = await Engine.open(backend, clock=now)
    await engine.administration.create_pool(POOL)
    await all_taken_and_released(engine)
    now.moment = NOW
    if restarted:
        await engine.close()
        backend = await open_backend(url)
        engine = await Engine.open(backend, clock=now)

    await set_back(backend, engine.catalogue, now())
    cooling = await engine.submit(ask("new"))
    now.moment += 2 * SECOND
    ready = await engine.submit(ask("new"))

    assert isinstance(cooling, Refused)
    assert isinstance(ready, Granted)
    assert await kinds_found(engine, repair=False) == []
    await engine.close()


async def test_check_finds_moments_ahead_of_the_clock_and_repairs_them(scratch: Path) -> None:
    now = Now()
    engine = await Engine.open(await open_backend(f"sqlite:///{scratch / 'x.sqlite'}"), clock=now)
    await engine.administration.create_pool(POOL)
    await all_taken_and_released(engine)
    now.moment = NOW

    found = await kinds_found(engine, repair=True)

    assert "free-since" in found
    assert await kinds_found(engine, repair=False) == []
    now.moment += 2 * SECOND
    assert isinstance(await engine.submit(ask("new")), Granted)
    await engine.close()
