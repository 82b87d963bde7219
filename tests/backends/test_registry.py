"""From a database's URL to its backend."""

import pytest

from ipamd.backends.registry import installed, open_backend
from ipamd.models.errors import DatabaseUnfit


def test_the_backends_of_this_package_are_found() -> None:
    assert {"memory", "sqlite"} <= set(installed())


@pytest.mark.parametrize("url", ["mongo://host/x", "memory", "", "/var/lib/ipamd.sqlite", "sqlite:x"])
async def test_a_scheme_that_nothing_serves_is_answered_with_those_that_are(url: str) -> None:
    with pytest.raises(DatabaseUnfit, match=r"write one of .*memory://.*sqlite://"):
        await open_backend(url)


async def test_a_password_is_not_shown() -> None:
    with pytest.raises(DatabaseUnfit) as refused:
        await open_backend("mongo://admin:secret@host/x")

    assert "secret" not in str(refused.value)
    assert "mongo://host/x" in str(refused.value)


async def test_a_database_in_memory_has_no_name() -> None:
    with pytest.raises(DatabaseUnfit, match="write memory://"):
        await open_backend("memory://somewhere")


async def test_each_database_in_memory_is_a_new_one() -> None:
    one, other = await open_backend("memory://"), await open_backend("memory://")

    await one.record_contacts({})

    assert one is not other
