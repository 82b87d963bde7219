"""One service for all tests of a module; each test makes pools of its own."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service import IpamdProcess

NewPool = Callable[..., dict[str, Any]]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def service() -> Iterator[IpamdProcess]:
    """The service with an empty SQLite database, for a whole module."""
    folder = Path(tempfile.mkdtemp(prefix="ipamd-"))
    service = IpamdProcess(folder)
    service.start()
    yield service
    service.stop()
    service.http.close()
    shutil.rmtree(folder)


@pytest.fixture
def http(service: IpamdProcess) -> httpx.Client:
    """A client on the service's Unix socket."""
    return service.http


@pytest.fixture
def new_pool(http: httpx.Client) -> NewPool:
    """Makes a pool that no other test knows: named only, in a subnet of its own."""

    def make(**fields: Any) -> dict[str, Any]:
        number = next(_numbers)
        body = {
            "name": f"pool-{number}",
            "subnet": f"10.{number // 256}.{number % 256}.0/24",
            "auto_assign": False,
            **fields,
        }
        answer = http.post("/v1/pools", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        made: dict[str, Any] = answer.json()
        return made

    return make
