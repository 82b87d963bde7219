"""The bare loop of commits that benchmarks put beside ipamd writes into the tables as they are today."""

import asyncio

import pytest

from benchmarks.group_commits import rows_a_second
from ipamd.backends.registry import open_backend


async def migrate(url: str) -> None:
    await (await open_backend(url)).close()


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_loop_stores_every_row(database_url: str) -> None:
    asyncio.run(migrate(database_url))

    assert rows_a_second(database_url, size=4, number=3) > 0  # it counts what is stored
