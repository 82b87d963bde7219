"""One service for all tests of a module; each test makes pools of its own."""

import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.service import IpamdProcess

NewPool = Callable[..., dict[str, Any]]

_numbers = itertools.count(1)


@pytest.fixture
def http(lasting_ipamd: IpamdProcess) -> httpx.Client:
    """A client on the service's Unix socket."""
    return lasting_ipamd.http


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
