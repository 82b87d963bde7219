"""Tokens on several replicas: what was revoked on one is refused on all within five seconds."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.api.access.conftest import Caller, first_token
from tests.api.plugin_call import call
from tests.postgres import Postgres
from tests.service import running_replicas

BOUND_SECONDS = 5.0


@pytest.fixture(scope="module")
def replicas(postgres: Postgres) -> Iterator[tuple[Caller, Caller]]:
    """The same admin at two replicas, by a token that `ipamd token create` made in their database."""
    with postgres.migrated() as database:
        url = postgres.url(database)
        token = first_token(url)
        with running_replicas(url) as (one, other):
            yield Caller(one, token), Caller(other, token)


def status(caller: Caller) -> int:
    return caller.post("/v1/cni/status", call("c1")).status_code


def test_a_token_is_good_on_every_replica_and_a_revoked_one_on_none_within_five_seconds(
    replicas: tuple[Caller, Caller],
) -> None:
    one, other = replicas
    number, text = one.token_for("node", cluster="default", node="n1")
    node = Caller(other.service, text)
    # An admin's request reads what is new at once, a node's does within the same bound.
    assert other.get(f"/v1/tokens/{number}").status_code == 200
    assert status(node) == 204

    one.ask("DELETE", f"/v1/tokens/{number}")
    revoked = time.monotonic()
    while status(node) == 204 and time.monotonic() - revoked < BOUND_SECONDS:
        time.sleep(0.05)

    assert status(node) == 401
    assert other.get("/v1/pools").status_code == 200


def test_a_replica_that_was_stopped_takes_no_token_that_was_revoked_meanwhile(
    replicas: tuple[Caller, Caller],
) -> None:
    one, other = replicas
    number, text = one.token_for("node", cluster="default", node="n1")
    other.get(f"/v1/tokens/{number}")
    node = Caller(other.service, text)
    assert status(node) == 204
    assert other.service.process is not None

    os.kill(other.service.process.pid, signal.SIGSTOP)
    one.ask("DELETE", f"/v1/tokens/{number}")
    time.sleep(BOUND_SECONDS - 1)
    os.kill(other.service.process.pid, signal.SIGCONT)

    assert status(node) == 401
