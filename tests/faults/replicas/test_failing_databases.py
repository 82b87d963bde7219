"""PostgreSQL is killed, promoted, cut off, under load: what clients were told stays true."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.faults.clients import TRY_AGAIN, Caller, Node, Unanswered
from tests.faults.ledger import compare
from tests.faults.replicas.clients import await_answers, clients_at
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.cutting import Cutter
from tests.faults.replicas.pair import DATABASE, Pair
from tests.faults.replicas.services import consistent, services
from tests.postgres import USER, Postgres, running_postgres
from tests.service import IpamdProcess, scratch_folder
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(200)

FAILOVERS = 2


@pytest.fixture
def server() -> Iterator[tuple[Postgres, str]]:
    """A server of a test's own, with a migrated database."""
    with running_postgres() as server, server.migrated() as database:
        yield server, database


def test_every_answer_stays_true_over_promotions_of_a_synchronous_standby(pair: Pair) -> None:
    with (
        services(pair.url) as replicas,
        consistent(replicas),
        clients_at(*(each.port for each in replicas)) as clients,
    ):
        for _ in range(FAILOVERS):
            await_answers(clients)
            pair.fail_over()
            await_answers(clients)
            pair.attach()
        await_answers(clients)

    compare([client.ledger for client in clients], PostgresTables(pair.primary, DATABASE))


def test_a_commit_whose_wait_for_the_standby_is_ended_by_hand_is_not_taken_for_durable(pair: Pair) -> None:
    with services(pair.url, 1) as [replica]:
        caller = Caller(replica.port, Node("node-0"), ["pods"])
        assert caller.add("before").code == 0
        [receiver] = [pid for pid in pair.standby.children() if b"walreceiver" in command_of(pid)]
        os.kill(receiver, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(1) as thread:
                adding = thread.submit(caller.add, "doubtful")

                def cancelled_and_done() -> bool:
                    pair.primary.sql(CANCEL_WAITING)  # each time that it is settled again it waits again
                    return adding.done()

                eventually(cancelled_and_done)
        finally:
            os.kill(receiver, signal.SIGCONT)

    with pytest.raises(Unanswered, match="in-doubt"):
        adding.result()


CANCEL_WAITING = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_every_answer_stays_true_over_kills_of_postgresql(server: tuple[Postgres, str]) -> None:
    postgres, database = server
    with (
        services(postgres.url(database)) as replicas,
        consistent(replicas),
        clients_at(*(each.port for each in replicas)) as clients,
    ):
        for _ in range(3):
            await_answers(clients)
            postgres.kill()
            await_refusal(replicas[0])
            postgres.start()
        for _ in range(2):
            await_answers(clients)
            # One of its processes is enough: the server ends all others and recovers.
            [[backend], *_] = postgres.sql(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'ipamd' AND state = 'active'"
            ) or postgres.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'ipamd'")
            os.kill(int(backend), signal.SIGKILL)
        await_answers(clients)

    compare([client.ledger for client in clients], PostgresTables(postgres, database))


def await_refusal(replica: IpamdProcess) -> None:
    """Wait until a replica says that it cannot serve."""
    eventually(lambda: not replica.http.get("/readyz").is_success)


def test_every_answer_stays_true_when_the_answers_to_commits_are_lost(
    postgres: Postgres, database: str
) -> None:
    with scratch_folder() as folder:
        cutter = Cutter(folder, postgres.folder)
        url = f"postgresql://{USER}@/{database}?host={quote(str(folder), safe='')}"
        with services(url) as replicas, consistent(replicas):
            with clients_at(*(each.port for each in replicas)) as clients:
                cutter.lose_every(7)
                await_answers(clients)
                eventually(lambda: cutter.cuts >= 50)
            cutter.lose_none()
        cutter.close()

    compare([client.ledger for client in clients], PostgresTables(postgres, database))


def test_a_call_whose_commit_is_in_doubt_and_cannot_be_settled_is_not_answered_with_a_no(
    postgres: Postgres, database: str
) -> None:
    with scratch_folder() as folder:
        cutter = Cutter(folder, postgres.folder)
        url = f"postgresql://{USER}@/{database}?host={quote(str(folder), safe='')}"
        with services(url, 1) as [replica]:
            caller = Caller(replica.port, Node("node-0"), ["pods"])
            assert caller.add("before").code == 0

            cutter.lose_and_go()
            with pytest.raises(Unanswered, match="in-doubt"):
                caller.add("doubtful")

    assert set(PostgresTables(postgres, database).live()) == {"before", "doubtful"}


def test_a_primary_that_becomes_read_only_is_left_for_the_one_that_takes_writes(pair: Pair) -> None:
    with services(pair.url, 1) as [replica]:
        caller = Caller(replica.port, Node("node-0"), ["pods"])
        before = caller.add("c")
        old = pair.primary
        old.sql("ALTER SYSTEM SET default_transaction_read_only = on")
        old.sql("SELECT pg_reload_conf()")
        pair.promote()

        eventually(lambda: caller.add("new").code == 0)

        assert caller.add("c").address == before.address
        assert set(PostgresTables(pair.primary, DATABASE).live()) == {"c", "new"}


def test_while_no_host_takes_writes_calls_are_told_to_try_again(pair: Pair) -> None:
    with services(pair.url, 1) as [replica]:
        caller = Caller(replica.port, Node("node-0"), ["pods"])
        assert caller.add("before").code == 0
        pair.primary.kill()

        refused = caller.add("meanwhile")
        pair.promote()
        eventually(lambda: caller.add("after").code == 0)

        assert refused.code == TRY_AGAIN
        assert replica.logged("no host takes writes")
