"""The check beside 16 clients without pause: it finds nothing, and its repair takes nothing from anybody."""

import sqlite3
from contextlib import closing

import pytest

from tests.faults.churn import Churn
from tests.faults.ledger import Tables
from tests.service import IpamdProcess

ROUNDS = 10
TURN = 60
POOL = {"cooldown": 0, "block_size": 28}


@pytest.mark.parametrize("repair", [False, True])
def test_nothing_is_found_while_addresses_come_and_go(ipamd_process: IpamdProcess, repair: bool) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24", **POOL)

    with Churn(ipamd_process.port, ["pods"], most=4) as churn:
        for _ in range(ROUNDS):
            churn.await_more(TURN)
            assert ipamd_process.contradictions(repair=repair) == []

    assert {one.answer.code for one in churn.added} == {0}


def test_a_block_is_repaired_while_addresses_of_it_come_and_go(ipamd_process: IpamdProcess) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24", **POOL)

    with Churn(ipamd_process.port, ["pods"], most=4) as churn:
        for _ in range(ROUNDS):
            churn.await_more(TURN)
            with closing(sqlite3.connect(ipamd_process.database, timeout=10)) as accident, accident:
                accident.execute("UPDATE block SET last_freed = 4000000000000000")
            ipamd_process.contradictions(repair=True)
            assert ipamd_process.contradictions() == []

    assert {one.answer.code for one in churn.added} == {0}
    assert Tables(ipamd_process.database).overlapping() == []
